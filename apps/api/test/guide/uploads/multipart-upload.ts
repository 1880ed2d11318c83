import type { Readable } from 'node:stream';
import type { S3Client } from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';

export class MultipartUpload {
  constructor(private readonly client: S3Client) {}

  create({ Bucket, Key, Body, ContentType }: { Bucket: string; Key: string; Body: Readable; ContentType: string }) {
    // --- The guide: Multipart Upload Configuration ---
const upload = new Upload({
  client: this.client,
  params: { Bucket, Key, Body, ContentType },
  partSize: 10 * 1024 * 1024, // 10MB parts
  queueSize: 4, // 4 concurrent uploads
});
    // --- end of the guide ---
    return upload;
  }
}
