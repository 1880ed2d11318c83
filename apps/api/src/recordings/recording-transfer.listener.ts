import { Injectable, Logger } from '@nestjs/common';
import { OnEvent } from '@nestjs/event-emitter';
import { DatabaseUnavailableError } from '../prisma/database-error.js';
import type { EventDelivery } from '../storage/events/event-dispatcher.js';
import { FileTransferService } from '../storage/file-transfer.service.js';
import { StorageError } from '../storage/storage.errors.js';
import { RecordingRepository } from './recording.repository.js';
import { VIDEO_TYPE, videoPathOf } from './recording-videos.service.js';

/** Brings the video of a recording into the bucket as soon as the recording is ready. */
@Injectable()
export class RecordingTransferListener {
  private readonly logger = new Logger(RecordingTransferListener.name);

  constructor(
    private readonly fileTransferService: FileTransferService,
    private readonly recordingRepository: RecordingRepository,
  ) {}

  /**
   * Never throws: it is also called by `emit`, where nobody waits for it. The row says what came of it, and the same
   * event may be sent again: without a database there may be no row yet, and none is made for a workspace that has had
   * the files of its day, so that the outbox is asked to.
   */
  @OnEvent('recording.ready')
  async handleRecordingReady(event: { recordingId: string }, delivery?: EventDelivery): Promise<void> {
    try {
      const recording = await this.recordingRepository.findById(event.recordingId);
      const storageFile = await this.fileTransferService.createAndTransfer({
        sourceUrl: recording.externalVideoUrl,
        workspaceId: recording.workspaceId,
        path: videoPathOf(recording),
        type: VIDEO_TYPE,
        mimeType: 'video/mp4',
      });
      await this.recordingRepository.update(recording.id, { videoFileId: storageFile.id });
      this.logger.log(`Video transferred: ${recording.id}`);
    } catch (error) {
      this.logger.error(`Transfer failed: ${event.recordingId}`, error);
      if (error instanceof DatabaseUnavailableError || isOfThisDay(error)) delivery?.retryLater(error);
    }
  }
}

function isOfThisDay(error: unknown): boolean {
  return error instanceof StorageError && error.code === 'QUOTA_EXCEEDED' && error.isRetryable;
}
