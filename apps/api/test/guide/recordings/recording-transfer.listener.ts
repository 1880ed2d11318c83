import { Injectable, Logger } from '@nestjs/common';
import { OnEvent } from '@nestjs/event-emitter';
import { FileTransferService } from '../storage/file-transfer.service';
import { RecordingRepository } from './recording.repository';

// --- The guide: Complete Example: Video Recording Transfer ---
@Injectable()
export class RecordingTransferListener {
  constructor(
    private readonly fileTransferService: FileTransferService,
    private readonly recordingRepository: RecordingRepository
  ) {}

  @OnEvent('recording.ready')
  async handleRecordingReady(event: { recordingId: string }) {
    const recording = await this.recordingRepository.findById(event.recordingId);

    try {
      // Transfer video to S3
      const storageFile = await this.fileTransferService.createAndTransfer({
        sourceUrl: recording.externalVideoUrl,
        workspaceId: recording.workspaceId,
        path: `recordings/${recording.workspaceId}/${recording.id}.mp4`,
        type: 'recording-video',
        mimeType: 'video/mp4',
      });

      // Link StorageFile to Recording
      await this.recordingRepository.update(recording.id, {
        videoFileId: storageFile.id,
      });

      this.logger.log(`Video transferred: ${recording.id}`);
    } catch (error) {
      this.logger.error(`Transfer failed: ${recording.id}`, error);
    }
  }
}
// --- end of the guide ---

// The guide's class logs through a member that it does not show.
export interface RecordingTransferListener {
  logger: Logger;
}
RecordingTransferListener.prototype.logger = new Logger(RecordingTransferListener.name);
