import { Injectable, Logger } from '@nestjs/common';
import { OnEvent } from '@nestjs/event-emitter';
import { RecordingRepository } from './recording.repository.js';
import { findRecordingId } from './recording-videos.service.js';

/** Links a video that is DONE to its recording, also where the process that asked for it died before it could. */
@Injectable()
export class RecordingLinkListener {
  private readonly logger = new Logger(RecordingLinkListener.name);

  constructor(private readonly recordings: RecordingRepository) {}

  /** Rejects when the database does not answer: the event is told again. Twice changes nothing more. */
  @OnEvent('storage.file.done', { suppressErrors: false })
  async handleFileDone(file: { fileId: string; workspaceId: string; type: string; path: string }): Promise<void> {
    const id = findRecordingId(file);
    if (id === undefined) return;
    await this.recordings.linkVideo({ workspaceId: file.workspaceId, id, videoFileId: file.fileId });
    this.logger.debug(`Video linked: ${id}`);
  }
}
