import { Injectable } from '@nestjs/common';
import { FileTransferService } from '../storage/file-transfer.service.js';
import { S3Service } from '../storage/s3.service.js';
import { StorageError } from '../storage/storage.errors.js';
import { type StorageFile, StorageFileRepository } from '../storage/storage-file.repository.js';
import type { Recording } from './recording.repository.js';

/** `type` of the files that are videos of recordings. */
export const VIDEO_TYPE = 'recording-video';

/** Key of a recording's video: known before the file is, so that its transfer can be seen while it runs. */
export function videoPathOf(recording: Pick<Recording, 'id' | 'workspaceId'>): string {
  return `recordings/${recording.workspaceId}/${recording.id}.mp4`;
}

const VIDEO_FILE_NAME = /([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.mp4$/;

/** Id of the recording whose video the file is, by its type and place; undefined when it is none. */
export function findRecordingId(file: { workspaceId: string; type: string; path: string }): string | undefined {
  const [, id] = VIDEO_FILE_NAME.exec(file.path) ?? [];
  if (id === undefined || file.type !== VIDEO_TYPE) return undefined;
  return file.path === videoPathOf({ id, workspaceId: file.workspaceId }) ? id : undefined;
}

/** The files behind recordings. `videoFileId` is set only once the transfer is DONE; until then the path tells. */
@Injectable()
export class RecordingVideosService {
  constructor(
    private readonly files: StorageFileRepository,
    private readonly transfers: FileTransferService,
    private readonly s3: S3Service,
  ) {}

  /** @throws StorageError SOURCE_URL_INVALID, SOURCE_ADDRESS_BLOCKED */
  assertTransferable(externalVideoUrl: string): void {
    this.transfers.assertSourceUrl(externalVideoUrl);
  }

  /** One query for all: the file of each recording by the recording's id, where there is one. */
  async findFiles(workspaceId: string, recordings: readonly Recording[]): Promise<Map<string, StorageFile>> {
    const files = await this.files.findByIdsOrPaths({
      workspaceId,
      bucket: this.s3.getDefaultBucket(),
      ids: recordings.flatMap(({ videoFileId }) => videoFileId ?? []),
      paths: recordings.map(videoPathOf),
    });
    const byId = new Map(files.map((file) => [file.id, file]));
    const byPath = new Map(files.map((file) => [file.path, file]));
    return new Map(
      recordings.flatMap((recording) => {
        const file = byId.get(recording.videoFileId ?? '') ?? byPath.get(videoPathOf(recording));
        return file === undefined ? [] : [[recording.id, file]];
      }),
    );
  }

  /**
   * A URL that plays the video, for one hour.
   *
   * @throws StorageError FILE_NOT_READY, FILE_DELETED
   */
  async presign(recording: Recording): Promise<{ url: string; expiresAt: Date }> {
    const file = (await this.findFiles(recording.workspaceId, [recording])).get(recording.id);
    if (file === undefined) throw new StorageError('FILE_NOT_READY', 'the transfer of the video has not begun');
    return await this.transfers.presign(file, { disposition: 'inline' });
  }
}
