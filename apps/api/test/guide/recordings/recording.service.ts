import { Injectable } from '@nestjs/common';
import type { Recording } from './recording.repository';

// --- The guide: FileTransferService, Usage Examples ---
import { FileTransferService } from '../storage/file-transfer.service';

@Injectable()
export class RecordingService {
  constructor(private readonly fileTransferService: FileTransferService) {}

  async transferRecordingVideo(recording: Recording) {
    // Transfer video from external URL to S3
    const storageFile = await this.fileTransferService.createAndTransfer({
      sourceUrl: recording.externalVideoUrl,
      workspaceId: recording.workspaceId,
      path: `recordings/${recording.workspaceId}/${recording.id}.mp4`,
      type: 'recording-video',
      mimeType: 'video/mp4',
    });

    // storageFile.transferStatus is now 'DONE'
    // storageFile.size contains the file size

    // Generate presigned URL for frontend
    const url = await this.fileTransferService.getSignedUrl(storageFile);

    // Delete file (soft delete by default)
    await this.fileTransferService.deleteFile(storageFile);

    // Hard delete (permanent)
    await this.fileTransferService.deleteFile(storageFile, true);
  }
}
// --- end of the guide ---
