import { Readable } from 'node:stream';
import { Injectable } from '@nestjs/common';

const nodeReadableStream = Readable.from([Buffer.from('the bytes of a video')]);

// --- The guide: S3Service, Usage Examples ---
import { S3Service } from '../storage/s3.service';

@Injectable()
export class MyService {
  constructor(private readonly s3Service: S3Service) {}

  async uploadFile() {
    // Upload a stream
    const result = await this.s3Service.uploadStream({
      path: 'uploads/workspace-id/file.mp4',
      body: nodeReadableStream,
      contentType: 'video/mp4',
    });
    // result: { path: '...', bucket: '...', size: 12345 }

    // Generate presigned URL (1 hour)
    const url = await this.s3Service.getSignedUrl('uploads/workspace-id/file.mp4', 3600);

    // Delete object
    await this.s3Service.deleteObject('uploads/workspace-id/file.mp4');

    // Check if object exists and get size
    const meta = await this.s3Service.headObject('uploads/workspace-id/file.mp4');
    console.log(`Size: ${meta.contentLength} bytes`);
  }
}
// --- end of the guide ---
