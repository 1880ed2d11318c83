import { Injectable } from '@nestjs/common';
import { FileRemoval } from './cleanup/file-removal.js';
import { assertFileName, assertObjectKey, FILE_NAME_MAX_LENGTH } from './object-key.js';
import { type PresignedUrl, Presigner } from './s3/presigner.js';
import { S3Service } from './s3.service.js';
import { redactSourceUrl } from './source/source-url.js';
import { StorageError } from './storage.errors.js';
import { DEFAULT_URL_EXPIRY_SECONDS } from './storage.options.js';
import { type StorageFile, StorageFileRepository } from './storage-file.repository.js';
import type { TransferProgress } from './transfer/progress-meter.js';
import { RunningTransfers } from './transfer/running-transfers.js';
import { type RefreshSource, type RemoteFile, SourceOpener, type StreamedFile } from './transfer/source-opener.js';
import { assertNewFile } from './transfer/transfer-request.js';
import { isInlineType } from './upload/content-headers.js';

/** What callers may watch and stop. */
export interface TransferControl {
  /** Called up to four times a second, and at the end. */
  onProgress?: (progress: TransferProgress) => void;
  /** Cancels the transfer: it cleans up, and its row becomes FAILED. */
  signal?: AbortSignal;
}

export interface PresignOptions {
  /** Whole seconds, 1 to 604,800; 3,600 when absent. */
  expiresIn?: number;
  /** `inline` is refused for types that can run scripts. Absent: inline where the type is safe. */
  disposition?: 'inline' | 'attachment';
  /** Name that the browser saves under; absent: the last segment of the path. */
  filename?: string;
}

/** Brings files from URLs into the bucket, and gives them out again: the class that features call. */
@Injectable()
export class FileTransferService {
  constructor(
    private readonly files: StorageFileRepository,
    private readonly transfers: RunningTransfers,
    private readonly sources: SourceOpener,
    private readonly removal: FileRemoval,
    private readonly s3: S3Service,
    private readonly presigner: Presigner,
  ) {}

  /**
   * Streams `sourceUrl` into the bucket and tracks it in one StorageFile row: PENDING, TRANSFERRING, then DONE or
   * FAILED. Resolves with the DONE row, its `size` and `sha256` those of the bytes that the source sent.
   *
   * A source that breaks off is taken up from the exact byte, by its ETag or Last-Modified; one that allows ranges is
   * read over up to SOURCE_MAX_CONNECTIONS connections where each brings more. `sourceHeaders` (a recorder's bearer
   * token) go to the origin of `sourceUrl` alone. `expected` refuses other bytes, `object` says how the store keeps it.
   *
   * The same request again (workspace, path, and source without query) gives the DONE row, joins the transfer under
   * way, or tries a FAILED one again: one row and one object.
   * Memory: S3_QUEUE_SIZE parts and what is being read, out of TRANSFER_MEMORY_BYTES for the whole process;
   * TRANSFER_CONCURRENCY transfers stream at once.
   * @throws StorageError INVALID_*, SOURCE_URL_INVALID, SOURCE_ADDRESS_BLOCKED, WORKSPACE_NOT_FOUND, PATH_TAKEN before a
   * row is made; any other code after the row is FAILED, nothing of it is left in the bucket, and `transferError` says
   * the same
   */
  async createAndTransfer(options: RemoteFile, control: TransferControl = {}): Promise<StorageFile> {
    const request = this.sources.parse(options);
    assertNewFile(options);
    this.transfers.assertOpen();
    const file = await this.findOrCreate(options, redactSourceUrl(request.url));
    return await this.transfers.run(file, {
      ...control,
      host: request.url.host,
      object: options.object,
      expectedSha256: options.expected?.sha256,
      open: (watchers, signal) => this.sources.openRemote(file, request, options, watchers, signal),
    });
  }

  /**
   * Brings a stream of this process (an avatar, a user's upload) into the bucket, tracked like a transfer. `body` is
   * read once, and destroyed when the transfer fails.
   *
   * A FAILED file at the same path is tried again with these bytes; any other file there is PATH_TAKEN.
   * @throws as createAndTransfer; an error of `body` as it is
   */
  async createFromStream(options: StreamedFile, control: TransferControl = {}): Promise<StorageFile> {
    try {
      assertNewFile(options);
      this.transfers.assertOpen();
      const file = await this.findOrCreate(options, null);
      return await this.transfers.run(file, {
        ...control,
        host: null,
        object: options.object,
        expectedSha256: options.expected?.sha256,
        open: (watchers) => this.sources.openStream(file, options, watchers),
      });
    } catch (error) {
      // Listened to, because a stream that nobody listens to would end the process with it.
      options.body.on('error', () => {}).destroy(error as Error);
      throw error;
    }
  }

  /**
   * Says who hands out a fresh link for files of a `type` when theirs has expired (401, 403, 410), before the first
   * byte or in the middle: the bytes go on where they broke off, and must be of the same file by length and validator.
   *
   * By type and not by call: whichever process goes on with a file has to find it. Call it once, when the module starts.
   */
  refreshSourcesOf(type: string, refresh: RefreshSource): void {
    this.sources.registerRefresh(type, refresh);
  }

  /**
   * A URL that shows or downloads the file until it expires. Judges the object it is given: no query, no request.
   *
   * @param expiresIn whole seconds, 1 to 604,800; 3,600 when absent
   * @throws StorageError FILE_NOT_READY, FILE_DELETED, INVALID_EXPIRY
   */
  async getSignedUrl(storageFile: StorageFile, expiresIn?: number): Promise<string> {
    return (await this.presign(storageFile, { expiresIn })).url;
  }

  /** getSignedUrl with the moment of its end, and with the say of how a browser takes the file. */
  async presign(storageFile: StorageFile, options: PresignOptions = {}): Promise<PresignedUrl> {
    const { id, path, bucket, mimeType } = storageFile;
    if (storageFile.deletedAt !== null) throw new StorageError('FILE_DELETED', `file ${id} is deleted`);
    if (storageFile.transferStatus !== 'DONE') {
      throw new StorageError('FILE_NOT_READY', `file ${id} is ${storageFile.transferStatus}, not DONE`);
    }
    assertObjectKey(path);
    if (options.filename !== undefined) assertFileName(options.filename);
    const filename = options.filename ?? defaultFileName(path);
    const isInline = mimeType !== null && isInlineType(mimeType) && options.disposition !== 'attachment';
    return await this.presigner.presignGet({
      bucket,
      key: path,
      expiresIn: options.expiresIn ?? DEFAULT_URL_EXPIRY_SECONDS,
      disposition: { type: isInline ? 'inline' : 'attachment', filename },
      // A type that can run scripts stays a download even where the disposition is ignored.
      ...(mimeType !== null && isInlineType(mimeType) ? {} : { contentType: 'application/octet-stream' }),
    });
  }

  /**
   * Soft (the default): the file is hidden and its transfer ended; object and path stay, and it can be restored.
   * Hard: object, parts and row are gone, and the path is free. Both may be said again, on a stale object too.
   *
   * @throws StorageError FILE_BUSY when another process does not let go of the transfer; STORE_*
   */
  async deleteFile(storageFile: StorageFile, hardDelete = false): Promise<void> {
    const { id, workspaceId } = storageFile;
    await this.files.softDelete({ id, workspaceId });
    await this.transfers.cancel(id, new StorageError('TRANSFER_CANCELLED', 'the file was deleted'));
    if (hardDelete) await this.removal.remove({ id, workspaceId });
  }

  private async findOrCreate(
    { workspaceId, path, type, mimeType }: { workspaceId: string; path: string; type: string; mimeType?: string },
    sourceUrl: string | null,
  ): Promise<StorageFile> {
    const bucket = this.s3.getDefaultBucket();
    try {
      return await this.files.create({
        workspaceId,
        path,
        type,
        bucket,
        ...(sourceUrl !== null ? { sourceUrl } : {}),
        ...(mimeType ? { mimeType } : {}),
      });
    } catch (error) {
      if (!(error instanceof StorageError) || error.code !== 'PATH_TAKEN') throw error;
      const existing = await this.files.findByPath({ workspaceId, bucket, path });
      if (existing === null || existing.sourceUrl !== sourceUrl || existing.deletedAt !== null) throw error;
      // Two streams cannot be compared: only one whose file failed may be followed by another.
      if (sourceUrl === null && existing.transferStatus !== 'FAILED') throw error;
      return existing;
    }
  }
}

/** Last segment of a checked path; of a long one the end, which holds the extension. */
function defaultFileName(path: string): string {
  return path
    .slice(path.lastIndexOf('/') + 1)
    .slice(-FILE_NAME_MAX_LENGTH)
    .toWellFormed();
}
