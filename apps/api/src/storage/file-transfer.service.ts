import { Injectable } from '@nestjs/common';
import { FileDeletion } from './file-deletion.js';
import { FileLinks, type PresignOptions } from './file-links.js';
import type { PresignedUrl } from './s3/presigner.js';
import { StorageError } from './storage.errors.js';
import type { StorageFile } from './storage-file.repository.js';
import { RunningTransfers } from './transfer/running-transfers.js';
import { type RefreshSource, type RemoteFile, SourceOpener, type StreamedFile } from './transfer/source-opener.js';
import { TransferControl } from './transfer/transfer-control.js';
import { TransferIntake } from './transfer/transfer-intake.js';
import type { SourceWatchers } from './transfer/transfer-runner.js';
import { TransferWorker } from './transfer/transfer-worker.js';
import { Waiting, type WaitOptions } from './transfer/waiting.js';
import { WorkspaceQuotaRepository, type WorkspaceUsage } from './transfer/workspace-quota.repository.js';

export type { PresignOptions, RemoteFile, StreamedFile, WaitOptions, WorkspaceUsage };

/** Brings files from URLs into the bucket, and gives them out again: the class that features call. */
@Injectable()
export class FileTransferService {
  constructor(
    private readonly intake: TransferIntake,
    private readonly transfers: RunningTransfers,
    private readonly worker: TransferWorker,
    private readonly control: TransferControl,
    private readonly sources: SourceOpener,
    private readonly deletion: FileDeletion,
    private readonly links: FileLinks,
    private readonly quotas: WorkspaceQuotaRepository,
  ) {}

  /**
   * Streams `sourceUrl` into the bucket and tracks it in one StorageFile row: PENDING, TRANSFERRING, then DONE or
   * FAILED. Resolves with the DONE row, its `size` and `sha256` those of the bytes that the source sent.
   *
   * A source that breaks off is taken up from the exact byte, by its ETag or Last-Modified; one that allows ranges is
   * read over up to SOURCE_MAX_CONNECTIONS connections where each brings more. `sourceHeaders` (a recorder's bearer
   * token) go to the origin of `sourceUrl` alone. `expected` refuses other bytes, `object` says how the store keeps it.
   *
   * Once the row is committed the transfer does not depend on this process: it is taken up by any worker, and tried
   * again (TRANSFER_MAX_ATTEMPTS) where its error may go away. `signal` and `waitMs` end the waiting, not the transfer.
   * The same request again (idempotency key, or workspace, path, and source without query) gives the DONE row, waits
   * for the transfer under way, or tries a FAILED one again: one row and one object.
   * Memory: S3_QUEUE_SIZE parts and what is being read, out of TRANSFER_MEMORY_BYTES for the whole process;
   * TRANSFER_CONCURRENCY transfers stream at once. A file that its workspace has no bytes left for waits for the next day (UTC), and its row says so.
   * @throws StorageError INVALID_*, SOURCE_URL_INVALID, SOURCE_ADDRESS_BLOCKED, WORKSPACE_NOT_FOUND, PATH_TAKEN,
   * IDEMPOTENCY_KEY_REUSED, QUOTA_EXCEEDED before a row is made; TRANSFER_GOES_ON when the wait ends first; any other
   * code after the row is FAILED, nothing of it is left in the bucket, and `transferError` says the same
   */
  async createAndTransfer(options: RemoteFile, wait: WaitOptions = {}): Promise<StorageFile> {
    this.transfers.assertOpen();
    const file = await this.intake.acceptRemote(options, this.transfers.headStartMs).catch((error) => {
      this.transfers.assertOpen(); // The database may be away because the process has stopped meanwhile.
      throw error;
    });
    return await this.waitFor(file, wait);
  }

  /**
   * The same without the waiting: resolves with the PENDING row as soon as it is committed, together with the ticket
   * that brings it to its end.
   *
   * @throws as createAndTransfer does before a row is made
   */
  async enqueue(options: RemoteFile): Promise<StorageFile> {
    const file = await this.intake.acceptRemote(options, 0);
    this.worker.poke();
    return file;
  }

  /**
   * Brings a stream of this process (an avatar, a user's upload) into the bucket, tracked like a transfer. `body` is
   * read once, and destroyed when the transfer fails; it cannot be had again, so that its first failure is final.
   *
   * A FAILED file at the same path is tried again with these bytes, by one stream at a time; any other file there is
   * PATH_TAKEN, and so is one that an earlier try turns out to have stored after all.
   * @param control `signal` cancels the transfer
   * @throws as createAndTransfer; an error of `body` as it is
   */
  async createFromStream(options: StreamedFile, control: Omit<WaitOptions, 'waitMs'> = {}): Promise<StorageFile> {
    try {
      this.transfers.assertOpen();
      const file = await this.intake.acceptStream(options);
      return await this.transferStream(file, options, control);
    } catch (error) {
      // Listened to, because a stream that nobody listens to would end the process with it.
      options.body.on('error', () => {}).destroy(error as Error);
      throw error;
    }
  }

  /**
   * Ends the transfer wherever it runs: its parts are removed, and its row becomes FAILED (TRANSFER_CANCELLED). One
   * that another process runs ends within a second or, where no bytes come, a third of the lease; one whose object the
   * store is already putting together may end DONE. On a file that has ended: no change.
   *
   * @returns the row as it is then
   */
  async cancelTransfer(storageFile: StorageFile): Promise<StorageFile> {
    return await this.control.cancel(storageFile);
  }

  /**
   * Tries a FAILED file again, with the source that its row keeps, or one that waits for its next try at once. On any
   * other: no change.
   *
   * @returns the row, PENDING
   * @throws StorageError SOURCE_LOST where the row keeps no source: the request itself has to be sent again
   */
  async retryTransfer(storageFile: StorageFile): Promise<StorageFile> {
    return await this.control.retry(storageFile);
  }

  /**
   * Judges a URL as `createAndTransfer` does at once: for whoever takes it now and has it transferred later.
   *
   * @throws StorageError SOURCE_URL_INVALID, SOURCE_ADDRESS_BLOCKED
   */
  assertSourceUrl(sourceUrl: string): void {
    this.sources.parse({ sourceUrl });
  }

  /**
   * Says who hands out a fresh link for files of a `type` when theirs has expired (401, 403, 410; 404 behind a redirect), before
   * the first byte or in the middle: the bytes go on where they broke off, and must be of the same file by length and
   * validator.
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
  async presign(storageFile: StorageFile, options?: PresignOptions): Promise<PresignedUrl> {
    return await this.links.presign(storageFile, options);
  }

  /**
   * Soft (the default): the file is hidden and its transfer ended; object and path stay, and it can be restored.
   * Hard: object, parts and row are gone, and the path is free. Both may be said again, on a stale object too.
   *
   * @throws StorageError FILE_BUSY when another process does not let go of the transfer; STORE_*
   */
  async deleteFile(storageFile: StorageFile, hardDelete = false): Promise<void> {
    await this.deletion.delete(storageFile, hardDelete);
  }

  /** What a workspace had of the present day, and what it may have. */
  async readUsage(workspaceId: string): Promise<WorkspaceUsage> {
    return await this.quotas.read(workspaceId);
  }

  private async waitFor(file: StorageFile, options: WaitOptions): Promise<StorageFile> {
    const waiting = new Waiting(file.id, options);
    try {
      return await this.transfers.follow(file, waiting);
    } finally {
      waiting.end();
    }
  }

  private async transferStream(
    file: StorageFile,
    options: StreamedFile,
    { onProgress, signal }: Omit<WaitOptions, 'waitMs'>,
  ): Promise<StorageFile> {
    const waiting = new Waiting(file.id, onProgress !== undefined ? { onProgress } : {});
    let isRead = false;
    const work = {
      host: null,
      isRepeatable: false,
      object: options.object,
      expectedSha256: options.expected?.sha256,
      open: (watchers: SourceWatchers) => {
        isRead = true;
        return this.sources.openStream(file, options, watchers);
      },
    };
    const stored = await this.transfers.follow(file, waiting, { work, signal });
    if (isRead) return stored;
    // By an earlier try whose object turned up, or by another stream that came between.
    throw new StorageError('PATH_TAKEN', `path ${file.path} was stored with other bytes meanwhile`);
  }
}
