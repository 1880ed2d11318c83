import { createHash } from 'node:crypto';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { DatabaseUnavailableError } from '../../prisma/database-error.js';
import type { ByteSource } from '../source/byte-source.js';
import { describeTransferError, StorageError } from '../storage.errors.js';
import { STORAGE_OPTIONS, type StorageOptions } from '../storage.options.js';
import type { StorageFile } from '../storage-file.repository.js';
import { ObjectCleaner } from '../upload/object-cleaner.js';
import type { ObjectOptions } from '../upload/object-options.js';
import { ObjectUploader } from '../upload/object-uploader.js';
import type { ObjectPlace } from '../upload/upload-attempt.js';
import { UploadOutcome } from '../upload/upload-outcome.js';
import { LeaseKeeper, transferLost } from './lease-keeper.js';
import { ProgressMeter, type TransferProgress } from './progress-meter.js';
import { RetryPolicy } from './retry-policy.js';
import { type Claim, type DoneObject, type Failure, TransferStateRepository } from './transfer-state.repository.js';

/** Stored type of a file whose caller gave none: nothing a browser would show or run. */
const UNKNOWN_TYPE = 'application/octet-stream';

/** What a source tells while it is read. */
export interface SourceWatchers {
  onBytes(bytes: Buffer): void;
  onRestart(): void;
}

/** What a transfer needs beyond its row. */
export interface TransferWork {
  /** Of the source; null where the bytes come from this process. */
  readonly host: string | null;
  /** Another try can have the same bytes. */
  readonly isRepeatable: boolean;
  readonly object?: ObjectOptions | undefined;
  readonly expectedSha256?: string | undefined;
  open(watchers: SourceWatchers, signal: AbortSignal): Promise<ByteSource>;
}

/** One row, what it is made of, and who wants to know how far it is. */
export interface TransferJob {
  readonly file: Pick<StorageFile, 'bucket' | 'path' | 'mimeType'>;
  readonly work: TransferWork;
  readonly onProgress: (progress: TransferProgress) => void;
}

/** The reason with which a process that stops ends its transfers: they go on elsewhere, or when it starts again. */
export class HandOver extends StorageError {
  constructor() {
    super('TRANSFER_CANCELLED', 'the process is stopping; the same request goes on with this file', {
      isRetryable: true,
    });
  }
}

/** Whether the bucket may hold parts or an object of this file: then its row keeps what the next owner needs to look. */
interface Remains {
  isPossible: boolean;
}

/** Carries one claimed row from its source to DONE or FAILED, or back to PENDING for another try. */
@Injectable()
export class TransferRunner {
  private readonly logger = new Logger(TransferRunner.name);

  constructor(
    private readonly state: TransferStateRepository,
    private readonly uploader: ObjectUploader,
    private readonly outcome: UploadOutcome,
    private readonly cleaner: ObjectCleaner,
    private readonly retries: RetryPolicy,
    @Inject(STORAGE_OPTIONS) private readonly options: StorageOptions,
  ) {}

  /**
   * Resolves after the row is DONE, or waits for another try.
   *
   * Memory: that of one upload; the bytes are hashed and counted on their way.
   * @throws the first error, after the clean-up and after the row is FAILED. TRANSFER_LOST and
   * DatabaseUnavailableError leave the row to its next owner.
   */
  async run(claim: Claim, job: TransferJob, cancel: AbortSignal): Promise<void> {
    const meter = new ProgressMeter();
    const lease = new LeaseKeeper({ state: this.state, claim, leaseMs: this.options.leaseMs, meter }, cancel);
    const left: Remains = { isPossible: claim.uploadId !== null || claim.completing };
    try {
      const stored =
        (await this.takeUp(claim, job, left)) ??
        (await this.transfer(claim, job, { left, meter, signal: lease.signal }));
      if (!(await this.state.markDone(claim, stored))) throw transferLost(claim);
    } catch (error) {
      if (!(await this.settle(claim, job, error, left.isPossible))) throw error;
    } finally {
      lease.end();
    }
  }

  /** Ends what the owner before left: a finished object is kept, parts are thrown away. */
  private async takeUp(claim: Claim, job: TransferJob, left: Remains): Promise<DoneObject | null> {
    if (!left.isPossible) return null;
    const { uploadId } = claim;
    const place = placeOf(job);
    if (claim.completing && claim.size !== null) {
      const object = await this.outcome.takeUpComplete({ ...place, uploadId }, claim.id, Number(claim.size));
      if (object !== undefined)
        return { ...object, sha256: claim.sha256, sha256Origin: 'SOURCE', isLengthVerified: claim.lengthVerified };
    }
    if (uploadId !== null && !(await this.cleaner.discardParts({ ...place, uploadId }))) {
      throw new StorageError(
        'UPLOAD_FAILED',
        `parts of an earlier try of ${place.bucket}/${place.key} cannot be discarded`,
      );
    }
    if (!(await this.state.setUpload(claim, null))) throw transferLost(claim);
    left.isPossible = false;
    return null;
  }

  private async transfer(
    claim: Claim,
    job: TransferJob,
    { left, meter, signal }: { left: Remains; meter: ProgressMeter; signal: AbortSignal },
  ): Promise<DoneObject> {
    signal.throwIfAborted();
    if (claim.isCancelled) throw new StorageError('TRANSFER_CANCELLED', 'the transfer was cancelled');
    let hash = createHash('sha256');
    const source = await job.work.open(
      {
        onBytes: (bytes) => {
          hash.update(bytes);
          if (meter.add(bytes.length)) this.tell(job, meter);
        },
        onRestart: () => {
          hash = createHash('sha256');
          meter.restart();
        },
      },
      signal,
    );
    meter.totalBytes = source.length;
    let sha256 = '';
    const uploaded = await this.uploader.write({
      ...placeOf(job),
      source,
      contentType: job.file.mimeType ?? UNKNOWN_TYPE,
      object: job.work.object,
      token: tokenOf(claim),
      signal,
      hooks: {
        onUploadId: async (uploadId) => {
          left.isPossible = true;
          if (!(await this.state.setUpload(claim, uploadId))) throw transferLost(claim);
        },
        beforeObject: async (size) => {
          sha256 = hash.digest('hex');
          assertSha256(sha256, job.work.expectedSha256);
          const read = { size, sha256, lengthVerified: source.isLengthVerified };
          if (!(await this.state.setCompleting(claim, read))) throw transferLost(claim);
          left.isPossible = true;
        },
        onUnanswered: () => {
          left.isPossible = true;
        },
        onDiscarded: () => {
          left.isPossible = false;
        },
      },
    });
    this.tell(job, meter);
    return { ...uploaded, sha256, sha256Origin: 'SOURCE', isLengthVerified: source.isLengthVerified };
  }

  /** A listener that throws is the caller's fault, and no reason to lose the file. */
  private tell(job: TransferJob, meter: ProgressMeter): void {
    try {
      if (meter.isNews()) job.onProgress(meter.read());
    } catch (error) {
      this.logger.warn({ err: error }, 'onProgress threw');
    }
  }

  /**
   * Writes down what became of a try that failed; true when the row waits for another one. A row that belongs to
   * another, or whose database is away, is left as it is: its next owner decides.
   */
  private async settle(claim: Claim, { work }: TransferJob, error: unknown, keepUpload: boolean): Promise<boolean> {
    if (error instanceof DatabaseUnavailableError) return false;
    if (error instanceof StorageError && error.code === 'TRANSFER_LOST') return false;
    if (!(error instanceof StorageError)) this.logger.error({ err: error, fileId: claim.id }, 'transfer failed');
    const failure: Failure = {
      transferError: describeTransferError(error),
      errorCode: error instanceof StorageError ? error.code : 'UPLOAD_FAILED',
      keepUpload,
    };
    const delayMs = work.isRepeatable ? this.delayAfter(error, claim.retries) : null;
    try {
      if (delayMs === null) await this.state.markFailed(claim, failure);
      else return await this.state.requeue(claim, { delayMs, failure, isCounted: !(error instanceof HandOver) });
    } catch (cause) {
      // The transfer's own error is the one to report; the row is taken up when its lease has run out.
      this.logger.error({ err: cause, fileId: claim.id }, 'the failed transfer could not be written down');
    }
    return false;
  }

  /** Until the next try, in ms; null when there is none. */
  private delayAfter(error: unknown, retries: number): number | null {
    return error instanceof HandOver ? 0 : this.retries.next(error, retries);
  }
}

function placeOf({ file }: TransferJob): ObjectPlace {
  return { bucket: file.bucket, key: file.path };
}

function assertSha256(sha256: string, expected: string | undefined): void {
  if (expected === undefined || sha256 === expected.toLowerCase()) return;
  throw new StorageError('SOURCE_CHECKSUM_MISMATCH', `source has SHA-256 ${sha256}, and another was expected`);
}

/** Names one try of one file in the object's metadata. */
function tokenOf({ id, attempts }: Pick<Claim, 'id' | 'attempts'>): string {
  return `${id}.${attempts}`;
}
