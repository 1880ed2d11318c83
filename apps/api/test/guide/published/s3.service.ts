import type { Readable } from 'node:stream';

// s3.service.txt as a declaration: without the decorator and `async`, which a class without bodies cannot have.
export declare class S3Service {
  // Upload a stream (multipart, 10MB chunks)
  uploadStream(options: {
    path: string;
    body: Readable;
    contentType: string;
    bucket?: string;
  }): Promise<{ path: string; bucket: string; size: number | null }>;

  // Generate presigned URL (instantaneous, ~1ms)
  getSignedUrl(path: string, expiresIn?: number, bucket?: string): Promise<string>;

  // Delete an object
  deleteObject(path: string, bucket?: string): Promise<void>;

  // Get object metadata
  headObject(
    path: string,
    bucket?: string
  ): Promise<{
    contentLength: number;
    contentType: string;
    lastModified: Date;
  }>;

  // Get default bucket name
  getDefaultBucket(): string;
}
