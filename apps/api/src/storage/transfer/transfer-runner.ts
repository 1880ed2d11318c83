import { createHash } from 'node:crypto';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { DatabaseUnavailableError } from '../../prisma/database-error.js';
import { SourceReader } from '../source/source-reader.js';
import { describeTransferError, StorageError } from '../storage.errors.js';
import { STORAGE_OPTIONS, type StorageOptions } from '../storage.options.js';
import { ObjectCleaner } from '../upload/object-cleaner.js';
import { ObjectUploader } from '../upload/object-uploader.js';
import { StreamSource } from '../upload/stream-source.js';
import { type UploadedObject, UploadOutcome } from '../upload/upload-outcome.js';
import { type Claim, TransferStateRepository } from './transfer-state.repository.js';

/** Stored type of a file whose caller gave none: nothing a browser would show or run. */
const UNKNOWN_TYPE = 'application/octet-stream';
/** Renewals that fit into one lease: two may fail before it runs out. */
const RENEWALS_PER_LEASE = 3;

export interface TransferProgress {
  /** Read from the source so far. */
  bytes: number;
  /** Announced by the source; null when it did not say. */
  totalBytes: number | null;
}

export interface TransferJob {
  bucket: string;
  key: string;
  url: URL;
  mimeType: string | null;
  onProgress?: (progress: TransferProgress) => void;
}

/** Whether the bucket may hold parts or an object of this file: then its row keeps what the next owner needs to look. */
interface Remains {
  isPossible: boolean;
}

type StoredFile = UploadedObject & { sha256: string | null };

/** Carries one claimed row from its source to DONE or FAILED. */
@Injectable()
export class TransferRunner {
  private readonly logger = new Logger(TransferRunner.name);

  constructor(
    private readonly state: TransferStateRepository,
    private readonly reader: SourceReader,
    private readonly uploader: ObjectUploader,
    private readonly outcome: UploadOutcome,
    private readonly cleaner: ObjectCleaner,
    @Inject(STORAGE_OPTIONS) private readonly options: StorageOptions,
  ) {}

  /**
   * Resolves after the row is DONE.
   *
   * Memory: that of one upload; the bytes are hashed and counted on their way.
   * @throws the first error, after the clean-up and after the row is FAILED. TRANSFER_LOST and
   * DatabaseUnavailableError leave the row to its next owner.
   */
  async run(claim: Claim, job: TransferJob, cancel: AbortSignal): Promise<void> {
    const lease = this.keepLease(claim, cancel);
    const left: Remains = { isPossible: claim.uploadId !== null || claim.completing };
    try {
      const stored = (await this.takeUp(claim, job, left)) ?? (await this.transfer(claim, job, left, lease.signal));
      if (!(await this.state.markDone(claim, stored))) throw lost(claim);
    } catch (error) {
      await this.fail(claim, error, left.isPossible);
      throw error;
    } finally {
      lease.end();
    }
  }

  /** Ends what the owner before left: a finished object is kept, parts are thrown away. */
  private async takeUp(claim: Claim, job: TransferJob, left: Remains): Promise<StoredFile | null> {
    if (!left.isPossible) return null;
    const { uploadId } = claim;
    const place = { bucket: job.bucket, key: job.key };
    if (claim.completing && claim.size !== null) {
      const object = await this.outcome.takeUpComplete({ ...place, uploadId }, claim.id, Number(claim.size));
      if (object !== undefined) return { ...object, sha256: claim.sha256 };
    }
    if (uploadId !== null && !(await this.cleaner.discardParts({ ...place, uploadId }))) {
      throw new StorageError(
        'UPLOAD_FAILED',
        `parts of an earlier try of ${job.bucket}/${job.key} cannot be discarded`,
      );
    }
    if (!(await this.state.setUpload(claim, null))) throw lost(claim);
    left.isPossible = false;
    return null;
  }

  private async transfer(claim: Claim, job: TransferJob, left: Remains, signal: AbortSignal): Promise<StoredFile> {
    signal.throwIfAborted();
    const source = await this.reader.open(job.url, signal);
    const hash = createHash('sha256');
    const progress: TransferProgress = { bytes: 0, totalBytes: source.contentLength };
    let sha256 = '';
    const uploaded = await this.uploader.write({
      bucket: job.bucket,
      key: job.key,
      source: new StreamSource(source.body, {
        length: source.contentLength,
        contentEncoding: source.contentEncoding,
        onBytes: (bytes) => {
          hash.update(bytes);
          progress.bytes += bytes.length;
          job.onProgress?.({ ...progress });
        },
      }),
      contentType: job.mimeType ?? UNKNOWN_TYPE,
      token: tokenOf(claim),
      signal,
      hooks: {
        onUploadId: async (uploadId) => {
          if (!(await this.state.setUpload(claim, uploadId))) throw lost(claim);
          left.isPossible = true;
        },
        beforeObject: async (size) => {
          sha256 = hash.digest('hex');
          if (!(await this.state.setCompleting(claim, { size, sha256 }))) throw lost(claim);
          left.isPossible = true;
        },
        onDiscarded: () => {
          left.isPossible = false;
        },
      },
    });
    return { ...uploaded, sha256 };
  }

  /** Writes FAILED, unless the row belongs to another or the database is away: then its next owner decides. */
  private async fail(claim: Claim, error: unknown, keepUpload: boolean): Promise<void> {
    if (error instanceof DatabaseUnavailableError) return;
    if (error instanceof StorageError && error.code === 'TRANSFER_LOST') return;
    if (!(error instanceof StorageError)) this.logger.error({ err: error, fileId: claim.id }, 'transfer failed');
    try {
      await this.state.markFailed(claim, { transferError: describeTransferError(error), keepUpload });
    } catch (cause) {
      // The transfer's own error is the one to report; the row is taken up when its lease has run out.
      this.logger.error({ err: cause, fileId: claim.id }, 'the failed transfer could not be written down');
    }
  }

  /** Renews the lease until `end`; its signal aborts when the lease is lost, the file deleted, or `cancel` says so. */
  private keepLease(claim: Claim, cancel: AbortSignal): { signal: AbortSignal; end(): void } {
    const { leaseMs } = this.options;
    const stop = new AbortController();
    let renewedAt = performance.now();
    const renew = async () => {
      try {
        const asked = performance.now();
        const outcome = await this.state.renew(claim, leaseMs);
        if (outcome === 'lost') stop.abort(lost(claim));
        if (outcome === 'deleted') stop.abort(new StorageError('TRANSFER_CANCELLED', 'the file was deleted'));
        renewedAt = asked;
      } catch (error) {
        if (performance.now() - renewedAt > leaseMs * (1 - 1 / RENEWALS_PER_LEASE)) stop.abort(error);
      }
    };
    const timer = setInterval(() => void renew(), leaseMs / RENEWALS_PER_LEASE);
    return { signal: AbortSignal.any([cancel, stop.signal]), end: () => clearInterval(timer) };
  }
}

/** Names one try of one file in the object's metadata. */
function tokenOf({ id, attempts }: Pick<Claim, 'id' | 'attempts'>): string {
  return `${id}.${attempts}`;
}

function lost({ id }: Claim): StorageError {
  return new StorageError('TRANSFER_LOST', `transfer of file ${id} was taken over by another process`);
}
