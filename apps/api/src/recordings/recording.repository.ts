import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { Recording } from '../generated/prisma/client.js';
import { Prisma } from '../generated/prisma/client.js';
import { afterPosition, formatCursor, parseCursor } from '../prisma/page-cursor.js';
import { PrismaService } from '../prisma/prisma.service.js';
import { StorageError } from '../storage/storage.errors.js';

export type { Recording };

export interface NewRecording {
  workspaceId: string;
  externalVideoUrl: string;
  title?: string;
}

export interface VideoLink {
  workspaceId: string;
  id: string;
  videoFileId: string;
}

export interface RecordingPage {
  recordings: Recording[];
  /** Absent on the last page. */
  nextCursor?: string;
}

/** Rows of Recording. What a user asks goes through the methods that take the workspace. */
@Injectable()
export class RecordingRepository {
  constructor(private readonly prisma: PrismaService) {}

  /**
   * For the listener alone, which is told an id by our own event: no workspace is asked.
   *
   * @throws Error when there is no such recording
   */
  async findById(id: string): Promise<Recording> {
    return await this.prisma.client.recording.findUniqueOrThrow({ where: { id } });
  }

  /**
   * For the listener alone: links the video.
   *
   * @throws Error when there is no such recording
   */
  async update(id: string, data: { videoFileId: string }): Promise<Recording> {
    return await this.prisma.client.recording.update({ where: { id }, data });
  }

  /**
   * Inserts the recording and its `recording.ready` event, both or neither; EventDispatcher tells of it.
   *
   * @throws StorageError WORKSPACE_NOT_FOUND
   */
  async create(recording: NewRecording): Promise<Recording> {
    const id = randomUUID();
    const { workspaceId } = recording;
    const event = { type: 'recording.ready', workspaceId, subjectId: id, payload: { recordingId: id } };
    try {
      return await this.prisma.transaction(async (transaction) => {
        await transaction.outboxEvent.create({ data: event });
        return await transaction.recording.create({ data: { id, ...recording } });
      });
    } catch (error) {
      if (error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2003') {
        throw new StorageError('WORKSPACE_NOT_FOUND', 'there is no such workspace', { cause: error });
      }
      throw error;
    }
  }

  /** Links a video to its recording, where both are still there. Again: no change. */
  async linkVideo({ workspaceId, id, videoFileId }: VideoLink): Promise<void> {
    await this.prisma.client.$executeRaw`
      UPDATE core_recording SET video_file_id = file.id, updated_at = now() AT TIME ZONE 'UTC'
      FROM core_storage_file AS file
      WHERE core_recording.id = ${id}::uuid AND core_recording.workspace_id = ${workspaceId}::uuid
        AND file.id = ${videoFileId}::uuid AND video_file_id IS DISTINCT FROM file.id`;
  }

  async findInWorkspace({ workspaceId, id }: { workspaceId: string; id: string }): Promise<Recording | null> {
    return await this.prisma.client.recording.findFirst({ where: { workspaceId, id } });
  }

  /**
   * One page, newest first.
   *
   * @param page `limit` rows, 1 to 100, after `cursor`, the `nextCursor` of the page before
   * @throws StorageError INVALID_CURSOR
   */
  async listInWorkspace(
    workspaceId: string,
    { cursor, limit }: { cursor?: string | undefined; limit: number },
  ): Promise<RecordingPage> {
    const after = cursor === undefined ? undefined : parseCursor(cursor);
    if (cursor !== undefined && after === undefined) {
      throw new StorageError('INVALID_CURSOR', 'cursor is not one that a list gave; start without it');
    }
    const recordings = await this.prisma.client.recording.findMany({
      where: { workspaceId, ...(after !== undefined ? afterPosition(after) : {}) },
      orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
      take: limit + 1,
    });
    const last = recordings.length > limit ? recordings[limit - 1] : undefined;
    return { recordings: recordings.slice(0, limit), ...(last ? { nextCursor: formatCursor(last) } : {}) };
  }
}
