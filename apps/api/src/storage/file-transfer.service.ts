import { setTimeout as sleep } from 'node:timers/promises';
import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import pLimit from 'p-limit';
import { assertFileName, assertObjectKey, assertPathOfWorkspace, FILE_NAME_MAX_LENGTH, isUuid } from './object-key.js';
import { type PresignedUrl, Presigner } from './s3/presigner.js';
import { S3Service } from './s3.service.js';
import { SourceReader } from './source/source-reader.js';
import { redactSourceUrl } from './source/source-url.js';
import { parseTransferError, StorageError } from './storage.errors.js';
import { DEFAULT_URL_EXPIRY_SECONDS, STORAGE_OPTIONS, type StorageOptions } from './storage.options.js';
import { type StorageFile, StorageFileRepository } from './storage-file.repository.js';
import { type TransferProgress, TransferRunner } from './transfer/transfer-runner.js';
import { type Claim, TransferStateRepository } from './transfer/transfer-state.repository.js';
import { assertMimeType, isInlineType } from './upload/content-headers.js';
import { ObjectCleaner } from './upload/object-cleaner.js';

/** How often a transfer that another process runs is looked at, in ms. */
const JOIN_POLL_MS = 500;
const TYPE_MAX_LENGTH = 100;
/** Longest wait for clean-ups at the end of the process, in ms: below the 30 s after which Kubernetes kills. */
const STOP_LIMIT_MS = 20_000;

/** What callers may watch and stop. */
export interface TransferControl {
  /** Called for every chunk read; keep it short. */
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

interface RunningTransfer {
  readonly settled: Promise<StorageFile>;
  cancel(reason: StorageError): void;
}

/** Brings files from URLs into the bucket, and gives them out again: the class that features call. */
@Injectable()
export class FileTransferService implements OnModuleDestroy {
  private readonly running = new Map<string, RunningTransfer>();
  private readonly limit: ReturnType<typeof pLimit>;
  private isStopping = false;

  constructor(
    private readonly files: StorageFileRepository,
    private readonly state: TransferStateRepository,
    private readonly runner: TransferRunner,
    private readonly reader: SourceReader,
    private readonly s3: S3Service,
    private readonly cleaner: ObjectCleaner,
    private readonly presigner: Presigner,
    @Inject(STORAGE_OPTIONS) private readonly options: StorageOptions,
  ) {
    this.limit = pLimit(options.transferConcurrency);
  }

  /**
   * Streams `sourceUrl` into the bucket and tracks it in one StorageFile row: PENDING, TRANSFERRING, then DONE or
   * FAILED. Resolves with the DONE row, its `size` and `sha256` those of the bytes that the source sent.
   *
   * The same request again (workspace, path, and source without query) gives the DONE row, joins the transfer under
   * way, or tries a FAILED one again: one row and one object.
   * Memory: that of S3Service.uploadStream a transfer; TRANSFER_CONCURRENCY of them stream at once.
   * @throws StorageError INVALID_*, SOURCE_URL_INVALID, WORKSPACE_NOT_FOUND, PATH_TAKEN before a row is made; any
   * other code after the row is FAILED, nothing of it is left in the bucket, and `transferError` says the same
   */
  async createAndTransfer(
    options: { sourceUrl: string; workspaceId: string; path: string; type: string; mimeType?: string },
    control: TransferControl = {},
  ): Promise<StorageFile> {
    const url = this.reader.parseUrl(options.sourceUrl);
    if (!isUuid(options.workspaceId)) throw new StorageError('WORKSPACE_NOT_FOUND', 'workspaceId is not a UUID');
    assertObjectKey(options.path);
    assertPathOfWorkspace(options.path, options.workspaceId);
    if (
      typeof options.type !== 'string' ||
      !/^[\w.:/-]+$/.test(options.type) ||
      options.type.length > TYPE_MAX_LENGTH
    ) {
      throw new StorageError('INVALID_TYPE', `type must be 1 to ${TYPE_MAX_LENGTH} of a-z, 0-9 and _ . : / -`);
    }
    if (options.mimeType !== undefined) assertMimeType(options.mimeType);
    if (this.isStopping) throw stopping();
    return await this.transfer(await this.findOrCreate(options, url), url, control);
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
    const running = this.running.get(id);
    running?.cancel(new StorageError('TRANSFER_CANCELLED', 'the file was deleted'));
    await running?.settled.catch(() => {}); // Its own caller is told; here only its end matters.
    if (hardDelete) await this.remove({ id, workspaceId });
  }

  /**
   * Ends every transfer: each cleans up and its row becomes FAILED, which the same request takes up again. One that a
   * silent store holds is left to its lease.
   */
  async onModuleDestroy(): Promise<void> {
    this.isStopping = true;
    const running = [...this.running.values()];
    for (const transfer of running) transfer.cancel(stopping());
    const limit = new AbortController();
    const settled = Promise.allSettled(running.map((transfer) => transfer.settled));
    const limited = sleep(STOP_LIMIT_MS, undefined, { signal: limit.signal }).catch(() => {}); // All ended before.
    await Promise.race([settled, limited]);
    limit.abort();
  }

  private async findOrCreate(
    options: { workspaceId: string; path: string; type: string; mimeType?: string },
    url: URL,
  ): Promise<StorageFile> {
    const { workspaceId, path, type, mimeType } = options;
    const bucket = this.s3.getDefaultBucket();
    const sourceUrl = redactSourceUrl(url);
    try {
      return await this.files.create({ workspaceId, path, type, bucket, sourceUrl, ...(mimeType ? { mimeType } : {}) });
    } catch (error) {
      if (!(error instanceof StorageError) || error.code !== 'PATH_TAKEN') throw error;
      const existing = await this.files.findByPath({ workspaceId, bucket, path });
      if (existing === null || existing.sourceUrl !== sourceUrl || existing.deletedAt !== null) throw error;
      return existing;
    }
  }

  /** Runs the transfer, joins the one under way here, or waits for the one under way in another process. */
  private transfer(file: StorageFile, url: URL, control: TransferControl): Promise<StorageFile> {
    if (file.transferStatus === 'DONE') return Promise.resolve(file);
    const joined = this.running.get(file.id);
    if (joined !== undefined) return joined.settled;
    if (this.isStopping) return Promise.reject(stopping()); // It stopped while the row was made: nobody would wait.
    const cancel = new AbortController();
    // Rows and clients are told one thing, whatever reason the caller's signal carries.
    const onAbort = () => cancel.abort(new StorageError('TRANSFER_CANCELLED', 'the transfer was cancelled'));
    if (control.signal?.aborted) onAbort();
    control.signal?.addEventListener('abort', onAbort, { once: true });
    const run = () => this.runOrFollow(file, url, control, cancel.signal);
    const settled = this.inTurn(run, cancel.signal).finally(() => {
      control.signal?.removeEventListener('abort', onAbort);
      this.running.delete(file.id);
    });
    this.running.set(file.id, { settled, cancel: (reason) => cancel.abort(reason) });
    return settled;
  }

  /** Runs `task` when a slot is free; a cancelled one at once, because it reads no source and only ends its row. */
  private inTurn<Result>(task: () => Promise<Result>, signal: AbortSignal): Promise<Result> {
    let begun: Promise<Result> | undefined;
    const begin = () => (begun ??= task());
    return new Promise((resolve, reject) => {
      const beginNow = () => void begin().then(resolve, reject);
      if (signal.aborted) return beginNow();
      signal.addEventListener('abort', beginNow, { once: true });
      this.limit(begin).then(resolve, reject);
    });
  }

  private async runOrFollow(file: StorageFile, url: URL, control: TransferControl, signal: AbortSignal) {
    for (let attempts = file.attempts; ; ) {
      const claim = await this.state.claim(file.id, this.options.leaseMs);
      if (claim !== null) {
        const { path: key, bucket, mimeType } = file;
        await this.runner.run(claim, { bucket, key, url, mimeType, onProgress: control.onProgress }, signal);
      }
      const now = await this.state.find(file.id);
      if (now === null || now.deletedAt !== null) throw new StorageError('FILE_DELETED', `file ${file.id} is deleted`);
      if (now.transferStatus === 'DONE') return now;
      if (now.transferStatus === 'FAILED' && now.attempts > attempts) throw parseTransferError(now.transferError);
      attempts = Math.min(attempts, now.attempts);
      signal.throwIfAborted(); // Another process runs it: it goes on there.
      await sleep(JOIN_POLL_MS, undefined, { signal }).catch(() => {}); // A cancel ends the wait; the next round says so.
    }
  }

  private async remove(file: { id: string; workspaceId: string }): Promise<void> {
    const { leaseMs } = this.options;
    const giveUpAt = performance.now() + leaseMs * 2;
    for (;;) {
      const claim = await this.state.claimForRemoval(file, leaseMs);
      const row = await this.files.findById(file);
      if (row === null) return;
      if (claim !== null) return await this.removeClaimed(claim, row);
      if (performance.now() > giveUpAt) {
        throw new StorageError('FILE_BUSY', `file ${file.id} is still being transferred by another process`);
      }
      await sleep(JOIN_POLL_MS);
    }
  }

  private async removeClaimed(claim: Claim, { id, bucket, path: key }: StorageFile): Promise<void> {
    try {
      await this.cleaner.removeObject({ bucket, key });
      const { uploadId } = claim;
      if (uploadId !== null && !(await this.cleaner.discardParts({ bucket, key, uploadId }))) {
        throw new StorageError('FILE_BUSY', `parts of file ${id} cannot be discarded now; delete it again later`);
      }
      if (!(await this.cleaner.isObjectGone({ bucket, key }))) {
        throw new StorageError('FILE_BUSY', `the store still shows ${bucket}/${key} after its delete; is it locked?`);
      }
      if (!(await this.state.remove(claim))) {
        throw new StorageError('FILE_BUSY', `file ${id} was taken over while it was removed; delete it again`);
      }
    } catch (error) {
      await this.state.release(claim).catch(() => {}); // The first error counts; the lease runs out by itself.
      throw error;
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

function stopping(): StorageError {
  return new StorageError('TRANSFER_CANCELLED', 'the process is stopping; the same request goes on with this file');
}
