import { Inject, Injectable } from '@nestjs/common';
import { StoreCapabilities } from '../s3/store-capabilities.js';
import type { StoreProfile } from '../s3/store-profile.js';
import type { ByteSource } from '../source/byte-source.js';
import { STORAGE_OPTIONS, type StorageOptions } from '../storage.options.js';
import { type ObjectOptions, objectHeaders } from './object-options.js';
import { PartBufferPool } from './part-buffer-pool.js';
import { choosePartIntegrity } from './part-integrity.js';
import { type FilledPart, PartLoop } from './part-loop.js';
import { choosePartSize } from './part-plan.js';
import { PartSender, type SendingMode } from './part-sender.js';
import { UploadAttempt, type UploadTarget } from './upload-attempt.js';
import { type UploadedObject, UploadOutcome } from './upload-outcome.js';

export interface WriteRequest extends UploadTarget {
  /** Read once, and destroyed when the upload is over, well or not. */
  readonly source: ByteSource;
  readonly contentType: string;
  readonly object?: ObjectOptions | undefined;
}

/**
 * Writes a source into one object, and leaves either the whole object or nothing.
 *
 * Memory: S3_QUEUE_SIZE parts in flight and the reads that the source asks for, out of the pool of the process.
 */
@Injectable()
export class ObjectUploader {
  constructor(
    private readonly capabilities: StoreCapabilities,
    private readonly pool: PartBufferPool,
    private readonly sender: PartSender,
    private readonly outcome: UploadOutcome,
    @Inject(STORAGE_OPTIONS) private readonly options: StorageOptions,
  ) {}

  /**
   * An object of somebody else at the key is left alone; what an earlier try of the same file left there is replaced.
   *
   * @throws StorageError of the first thing that went wrong, after the clean-up; an error of the source as it is;
   * OBJECT_EXISTS; UPLOAD_OUTCOME_UNKNOWN when the store never said whether it put the object together
   */
  async write(request: WriteRequest): Promise<UploadedObject> {
    const attempt = new UploadAttempt(request, (reason) => request.source.destroy(reason));
    try {
      await this.send(attempt, request);
    } catch (error) {
      attempt.fail(error);
      await this.outcome.settleFailure(attempt);
    } finally {
      attempt.end();
      request.source.destroy(new Error('the upload is over'));
    }
    return await this.outcome.prove(attempt);
  }

  private async send(attempt: UploadAttempt, { source, contentType, object }: WriteRequest): Promise<void> {
    const profile = await attempt.orFirstError(this.capabilities.profile());
    const plan = this.plan(source, profile);
    const mode: SendingMode = {
      integrity: choosePartIntegrity(this.options.store, profile),
      headers: objectHeaders(contentType, source.contentEncoding, object),
      isPutConditional: true,
    };
    attempt.isCompleteConditional = profile.conditionalComplete.value === 'honoured';
    // A file smaller than a part takes no more than itself, and a byte that proves its end.
    const share = this.pool.open(Math.min(plan.partSizeBytes, (source.length ?? plan.partSizeBytes) + 1));
    try {
      const loop = new PartLoop(source, share, plan, attempt);
      const isLong = source.length !== null && source.length > plan.partSizeBytes;
      const first = isLong ? undefined : await loop.readFirst();
      if (first?.isWholeFile && profile.conditionalPut.value === 'honoured') {
        return await this.putWhole(attempt, mode, first);
      }
      // Of one part too: the upload id is what keeps a writer out that lost the file to another.
      await this.sender.begin(attempt, mode);
      const parts = await loop.run(({ number, body }) => this.sender.sendPart(attempt, number, body, mode), first);
      if (!attempt.isCompleteConditional) await this.outcome.assertKeyIsFree(attempt);
      await this.outcome.complete(attempt, parts);
    } finally {
      share.close();
    }
  }

  private async putWhole(attempt: UploadAttempt, mode: SendingMode, { body }: FilledPart) {
    await attempt.target.hooks?.beforeObject?.(attempt.bytes);
    attempt.signal.throwIfAborted();
    await this.sender.put(attempt, body, mode);
  }

  private plan(source: ByteSource, profile: StoreProfile) {
    const { partSizeBytes: configured, queueSize } = this.options.store;
    const maxParts = profile.maxParts.value;
    const partSizeBytes = choosePartSize({ partSizeBytes: configured, maxParts, expectedBytes: source.length });
    return { partSizeBytes, maxParts, queueSize };
  }
}
