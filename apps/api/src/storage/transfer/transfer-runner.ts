import { createHash } from 'node:crypto';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { DatabaseUnavailableError } from '../../prisma/database-error.js';
import type { ByteSource } from '../source/byte-source.js';
import type { SourceRequest } from '../source/source-request.js';
import { describeTransferError, isTransferLost, StorageError, type StorageErrorCode } from '../storage.errors.js';
import { STORAGE_OPTIONS, type StorageOptions } from '../storage.options.js';
import type { StorageFile } from '../storage-file.repository.js';
import { type AssertOwned, ObjectCleaner } from '../upload/object-cleaner.js';
import type { ObjectOptions } from '../upload/object-options.js';
import { ObjectUploader } from '../upload/object-uploader.js';
import type { ResumedUpload } from '../upload/stored-part.js';
import type { ObjectPlace } from '../upload/upload-attempt.js';
import type { UploadedObject } from '../upload/upload-outcome.js';
import { LeaseKeeper, transferLost } from './lease-keeper.js';
import { ProgressMeter, type TransferProgress } from './progress-meter.js';
import { ReadBack } from './read-back.js';
import { RetryPolicy } from './retry-policy.js';
import { type Resumption, TakeUp } from './take-up.js';
import { type Claim, type DoneObject, type Failure, TransferStateRepository } from './transfer-state.repository.js';
import { type ByteAllowance, WorkspaceQuotaRepository } from './workspace-quota.repository.js';

/** Stored type of a file whose caller gave none: nothing a browser would show or run. */
const UNKNOWN_TYPE = 'application/octet-stream';

/** After these errors the parts that are stored are of no use to the next try. */
const OF_NO_USE: ReadonlySet<StorageErrorCode> = new Set([
  'SOURCE_CHANGED',
  'SOURCE_NOT_RESUMABLE',
  'STORED_BYTES_CHANGED',
  'SOURCE_CHECKSUM_MISMATCH',
]);

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
  /** `resume`: from there on, and of that version alone. */
  open(watchers: SourceWatchers, signal: AbortSignal, resume?: SourceRequest['resume']): Promise<ByteSource>;
}

/** One row, what it is made of, and who wants to know how far it is. */
export interface TransferJob {
  readonly file: Pick<StorageFile, 'workspaceId' | 'bucket' | 'path' | 'mimeType' | 'createdAt'>;
  readonly work: TransferWork;
  readonly onProgress: (progress: TransferProgress) => void;
}

/** The reason with which a process that stops ends its transfers: they go on elsewhere, or when it starts again. */
export class HandOver extends StorageError {
  /** Before anybody goes on with the file. */
  readonly delayMs: number = 0;

  constructor(message = 'the process is stopping; the same request goes on with this file') {
    super('TRANSFER_CANCELLED', message, { isRetryable: true });
  }
}

/** The same by a process that has others to carry: this one's source is slow, and there is no room for it now. */
export class PutOff extends HandOver {
  constructor(override readonly delayMs: number) {
    super('the source is slow, and others come first; the transfer goes on later');
  }
}

/** Whether the bucket may hold parts or an object of this file: then its row keeps what the next owner needs to look. */
interface Remains {
  isPossible: boolean;
  /** An upload may be left whose id nobody knows. */
  isUploadUnknown: boolean;
  /** Of this try, now in the purge table; `isDiscarded` when nothing of it is left. */
  detachedUploadId?: string;
  isDiscarded?: boolean;
}

/** One try of one row. */
interface Try extends TransferJob {
  readonly claim: Claim;
  readonly left: Remains;
  readonly meter: ProgressMeter;
  readonly signal: AbortSignal;
  readonly assertOwned: AssertOwned;
  /** Of the workspace's day; null where no quota says. */
  allowance: ByteAllowance | null;
  /** Ends a source that brings more than that. */
  readonly excess: AbortController;
}

/** Carries one claimed row from its source to DONE or FAILED, or back to PENDING for another try. */
@Injectable()
export class TransferRunner {
  private readonly logger = new Logger(TransferRunner.name);

  constructor(
    private readonly state: TransferStateRepository,
    private readonly takeUp: TakeUp,
    private readonly uploader: ObjectUploader,
    private readonly readBack: ReadBack,
    private readonly cleaner: ObjectCleaner,
    private readonly retries: RetryPolicy,
    private readonly quotas: WorkspaceQuotaRepository,
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
    const { uploadId, completing, isUploadUnknown } = claim;
    const left: Remains = { isPossible: uploadId !== null || completing, isUploadUnknown };
    try {
      const assertOwned = () => lease.assertHeld();
      const excess = new AbortController();
      const signal = AbortSignal.any([lease.signal, excess.signal]);
      const stored = await this.transfer({ ...job, claim, left, meter, signal, assertOwned, allowance: null, excess });
      if (!(await this.state.markDone(claim, stored))) throw transferLost(claim);
    } catch (error) {
      if (!(await this.settle(claim, job, error, left))) throw error;
    } finally {
      lease.end();
    }
  }

  /** Ends what the owner before left, goes on with it, or begins anew. */
  private async transfer(attempt: Try): Promise<DoneObject> {
    const { claim, left, work, signal, assertOwned } = attempt;
    this.assertNotDeadly(claim);
    if (left.isPossible) {
      // Nothing of what it left is thrown away by a process that stops.
      if (signal.reason instanceof HandOver) throw signal.reason;
      const isWanted = work.isRepeatable && !claim.isCancelled && !signal.aborted;
      const found = await this.takeUp.examine(claim, placeOf(attempt), { isWanted, signal, assertOwned });
      if (found.kind === 'object') return await this.finish(attempt, found.object);
      if (found.kind === 'parts') {
        attempt.allowance = await this.quotas.allowance(attempt.file.workspaceId);
        return await this.resume(attempt, found.resumption);
      }
      left.isPossible = false;
    }
    assertWanted(attempt);
    attempt.allowance = await this.quotas.allowance(attempt.file.workspaceId);
    return await this.begin(attempt);
  }

  /** Before anything of it is looked at: that may be what ends the process. What it left is the purge worker's. */
  private assertNotDeadly({ crashes }: Claim): void {
    if (crashes < this.options.maxCrashes) return;
    const message = `${crashes} processes in a row died while they ran this transfer, and none stored more than the one before`;
    throw new StorageError('TRANSFER_CRASHED', message);
  }

  /** Of an owner that died after it sent Complete: what it had read, or where it had not read all, what is stored. */
  private async finish(attempt: Try, object: UploadedObject): Promise<DoneObject> {
    const { sha256, lengthVerified: isLengthVerified } = attempt.claim;
    if (sha256 !== null) return { ...object, sha256, sha256Origin: 'SOURCE', isLengthVerified };
    return { ...object, ...(await this.hashStored(attempt, object.size)), isLengthVerified };
  }

  private async begin(attempt: Try): Promise<DoneObject> {
    let hash = createHash('sha256');
    const source = await attempt.work.open(
      {
        onBytes: (bytes) => {
          hash.update(bytes);
          this.count(attempt, bytes);
        },
        onRestart: () => {
          hash = createHash('sha256');
          attempt.meter.restart();
        },
      },
      attempt.signal,
    );
    let sha256 = '';
    const object = await this.write(attempt, source, {
      beforeObject: () => {
        sha256 = hash.digest('hex');
        assertSha256(sha256, attempt.work.expectedSha256);
        return sha256;
      },
    });
    return { ...object, sha256, sha256Origin: 'SOURCE', isLengthVerified: source.isLengthVerified };
  }

  private async resume(attempt: Try, { upload, version, fromBytes }: Resumption): Promise<DoneObject> {
    const { claim, meter, work, signal } = attempt;
    meter.resumeFrom(fromBytes);
    let source: ByteSource;
    try {
      const watchers = { onBytes: (bytes: Buffer) => this.count(attempt, bytes), onRestart: () => {} };
      source = await work.open(watchers, signal, { fromBytes, version });
      await this.state.noteResumption(claim, fromBytes);
    } catch (error) {
      await this.leaveParts(attempt, upload.uploadId, error);
      throw error;
    }
    const object = await this.write(attempt, source, { resume: upload, beforeObject: () => null });
    return { ...object, ...(await this.hashStored(attempt, object.size)), isLengthVerified: source.isLengthVerified };
  }

  /** `beforeObject` gives the SHA-256 of what was read; null where this owner did not read all. */
  private async write(
    attempt: Try,
    source: ByteSource,
    { resume, beforeObject }: { resume?: ResumedUpload; beforeObject: () => string | null },
  ): Promise<UploadedObject> {
    const { claim, left, meter, work, file, signal } = attempt;
    meter.totalBytes = source.length;
    assertAllowed(attempt, source);
    let openUploadId = resume?.uploadId ?? '';
    const object = await this.uploader.write({
      ...placeOf(attempt),
      source,
      contentType: file.mimeType ?? UNKNOWN_TYPE,
      object: work.object,
      token: tokenOf(claim.id, resume === undefined ? claim.attempts : (claim.uploadAttempt ?? claim.attempts)),
      ...(claim.attempts > 1 ? { lostSince: file.createdAt } : {}),
      signal,
      resume,
      keepParts: (error) => source.version !== null && this.isGoneOnWith(attempt, error),
      hooks: {
        assertOwned: attempt.assertOwned,
        beforeCreate: async () => {
          if (!(await this.state.announceUpload(claim))) throw transferLost(claim);
        },
        onUploadId: async (uploadId, { partSizeBytes, isOnly }) => {
          left.isPossible = true;
          left.isUploadUnknown ||= !isOnly;
          openUploadId = uploadId;
          const isAnotherPossible = left.isUploadUnknown;
          const begun = { uploadId, partSizeBytes, sourceVersion: source.version, isAnotherPossible };
          if (!(await this.state.setUpload(claim, begun))) throw transferLost(claim);
        },
        onUnknownDiscarded: async () => {
          if (left.isUploadUnknown) await this.state.forgetUnknownUploads(claim);
          left.isUploadUnknown = false;
        },
        onPart: async (part) => {
          if (!(await this.state.addPart(claim, openUploadId, part))) throw transferLost(claim);
        },
        beforeObject: async (size) => {
          const read = { size, sha256: beforeObject(), lengthVerified: source.isLengthVerified };
          if (!(await this.state.setCompleting(claim, read))) throw transferLost(claim);
          left.isPossible = true;
        },
        onUnanswered: () => {
          left.isUploadUnknown = true;
        },
        beforeDiscard: async () => {
          if (!(await this.state.detachUpload(claim))) throw transferLost(claim);
          left.detachedUploadId = openUploadId;
          left.isPossible = false;
        },
        onDiscarded: () => {
          left.isPossible = false;
          left.isDiscarded = true;
        },
      },
    });
    this.tell(attempt);
    return object;
  }

  /** An object whose bytes are not those that were sent, or not those that are expected, is removed. */
  private async hashStored(attempt: Try, size: number): Promise<Pick<DoneObject, 'sha256' | 'sha256Origin'>> {
    const { claim, work, left, signal, assertOwned } = attempt;
    try {
      const sha256 = await this.readBack.hash(claim, { ...placeOf(attempt), size }, signal);
      assertSha256(sha256, work.expectedSha256);
      return { sha256, sha256Origin: 'STORED' };
    } catch (error) {
      const isOfNoUse = error instanceof StorageError && OF_NO_USE.has(error.code);
      if (isOfNoUse && (await this.cleaner.discardObject(placeOf(attempt), { assertOwned }))) left.isPossible = false;
      throw error;
    }
  }

  /** Before a byte was read: parts that nobody goes on with are thrown away. */
  private async leaveParts(attempt: Try, uploadId: string, error: unknown): Promise<void> {
    if (this.isGoneOnWith(attempt, error)) return;
    await this.takeUp.discard(attempt.claim, { ...placeOf(attempt), uploadId });
    attempt.left.isPossible = false;
  }

  private isGoneOnWith({ work, claim }: Try, error: unknown): boolean {
    if (error instanceof DatabaseUnavailableError) return true;
    if (!(error instanceof StorageError) || OF_NO_USE.has(error.code)) return false;
    return work.isRepeatable && this.delayAfter(error, claim.retries) !== null;
  }

  private count(attempt: Try, bytes: Buffer): void {
    const { allowance, meter, excess } = attempt;
    if (allowance !== null && meter.bytes + bytes.length > allowance.bytesLeft) {
      excess.abort(allowance.refuse(meter.bytes + bytes.length));
    }
    if (attempt.meter.add(bytes.length)) this.tell(attempt);
  }

  /** A listener that throws is the caller's fault, and no reason to lose the file. */
  private tell({ onProgress, meter }: Try): void {
    try {
      if (meter.isNews()) onProgress(meter.read());
    } catch (error) {
      this.logger.warn({ err: error }, 'onProgress threw');
    }
  }

  /**
   * Writes down what became of a try that failed; true when the row waits for another one. A row that belongs to
   * another, or whose database is away, is left as it is: its next owner decides.
   */
  private async settle(claim: Claim, { work }: TransferJob, error: unknown, left: Remains): Promise<boolean> {
    if (error instanceof DatabaseUnavailableError || isTransferLost(error)) return false;
    if (!(error instanceof StorageError)) this.logger.error({ err: error, fileId: claim.id }, 'transfer failed');
    const failure: Failure = {
      transferError: describeTransferError(error),
      errorCode: error instanceof StorageError ? error.code : 'UPLOAD_FAILED',
      keepUpload: left.isPossible,
      isUploadUnknown: left.isUploadUnknown,
    };
    const delayMs = work.isRepeatable ? this.delayAfter(error, claim.retries) : null;
    try {
      const { detachedUploadId, isDiscarded } = left;
      if (detachedUploadId !== undefined && isDiscarded) await this.state.forgetDetached(claim, detachedUploadId);
      if (delayMs === null) await this.state.markFailed(claim, failure);
      else {
        const isTold = !(error instanceof HandOver);
        const isCounted = isTold && failure.errorCode !== 'QUOTA_EXCEEDED';
        return await this.state.requeue(claim, { delayMs, failure, isCounted, isTold });
      }
    } catch (cause) {
      // The transfer's own error is the one to report; the row is taken up when its lease has run out.
      this.logger.error({ err: cause, fileId: claim.id }, 'the failed transfer could not be written down');
    }
    return false;
  }

  /** Until the next try, in ms; null when there is none. */
  private delayAfter(error: unknown, retries: number): number | null {
    return error instanceof HandOver ? error.delayMs : this.retries.next(error, retries);
  }
}

function assertWanted({ claim, signal }: Try): void {
  signal.throwIfAborted();
  if (claim.isCancelled) throw new StorageError('TRANSFER_CANCELLED', 'the transfer was cancelled');
}

/** Before a byte of it is stored. */
function assertAllowed({ allowance }: Try, source: ByteSource): void {
  if (source.length === null) return;
  try {
    allowance?.assertRoomFor(source.length);
  } catch (error) {
    source.destroy(error as Error);
    throw error;
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
function tokenOf(fileId: string, attempt: number): string {
  return `${fileId}.${attempt}`;
}
