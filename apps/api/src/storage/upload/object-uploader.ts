import { Inject, Injectable } from '@nestjs/common';
import { StoreCapabilities } from '../s3/store-capabilities.js';
import type { StoreProfile } from '../s3/store-profile.js';
import type { ByteSource } from '../source/byte-source.js';
import { StorageError } from '../storage.errors.js';
import { STORAGE_OPTIONS, type StorageOptions } from '../storage.options.js';
import { type ObjectOptions, objectHeaders } from './object-options.js';
import { ObjectProof } from './object-proof.js';
import { PartBufferPool } from './part-buffer-pool.js';
import { choosePartIntegrity, integrityOf } from './part-integrity.js';
import { type FilledPart, PartLoop, type PartLoopPlan } from './part-loop.js';
import { choosePartSize } from './part-plan.js';
import { PartSender, type SendingMode } from './part-sender.js';
import { agreeingParts, type ResumedUpload, type StoredPart, toCompletedPart } from './stored-part.js';
import { type OpenUpload, UploadAttempt, type UploadTarget } from './upload-attempt.js';
import { type UploadedObject, UploadOutcome } from './upload-outcome.js';

export interface WriteRequest extends UploadTarget {
  /** Read once, and destroyed when the upload is over, well or not. With `resume` it begins behind the stored parts. */
  readonly source: ByteSource;
  readonly contentType: string;
  readonly object?: ObjectOptions | undefined;
}

/** Longest wait for parts in flight that are kept, in ms: well within the 25 s that a process has to let go of its transfers. */
const KEPT_PART_PATIENCE_MS = 15_000;

/** An upload as its owner wrote it down before it died. */
export interface LeftUpload extends OpenUpload {
  readonly partSizeBytes: number;
  readonly parts: readonly StoredPart[];
}

/**
 * Writes a source into one object, and leaves either the whole object or nothing; or, where its owner wants to go on
 * later, the parts.
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
    private readonly proof: ObjectProof,
    @Inject(STORAGE_OPTIONS) private readonly options: StorageOptions,
  ) {}

  /**
   * An object of somebody else at the key is left alone; what an earlier try of the same file left there is replaced.
   *
   * @throws StorageError of the first thing that went wrong, after the clean-up; an error of the source as it is;
   * OBJECT_EXISTS; SOURCE_NOT_RESUMABLE; UPLOAD_OUTCOME_UNKNOWN when the store never said whether it put the object
   * together
   */
  async write(request: WriteRequest): Promise<UploadedObject> {
    const partPatienceMs = Math.min(this.options.store.answerTimeoutMs, KEPT_PART_PATIENCE_MS);
    const attempt = new UploadAttempt(request, (reason) => request.source.destroy(reason), partPatienceMs);
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

  /**
   * What another process can go on with: the first parts that the store has as they were sent. Null when the store does
   * not know the upload any more, or has none of them.
   *
   * @throws StorageError of the store; the reason of `signal`
   */
  async findResumable(upload: LeftUpload, signal: AbortSignal): Promise<ResumedUpload | null> {
    const { uploadId, partSizeBytes } = upload;
    if (!Number.isSafeInteger(partSizeBytes) || partSizeBytes <= 0 || upload.parts.length === 0) return null;
    const listed = await this.proof.listParts(upload, signal);
    const parts = agreeingParts(upload.parts, listed, partSizeBytes);
    if (parts.length === 0) return null;
    const namesChecksums = listed.some(({ ChecksumCRC32 }) => ChecksumCRC32 !== undefined);
    return { uploadId, partSizeBytes, parts, namesChecksums };
  }

  private async send(attempt: UploadAttempt, request: WriteRequest): Promise<void> {
    const { source, contentType, object, resume } = request;
    const profile = await attempt.orFirstError(this.capabilities.profile());
    const plan = this.plan(request, profile);
    const mode: SendingMode = {
      // Parts of one upload are hashed one way: the store may have been told of it when the upload began.
      integrity: integrityOf(resume?.parts[0]?.digest) ?? choosePartIntegrity(this.options.store, profile),
      headers: objectHeaders(contentType, source.contentEncoding, object),
      partSizeBytes: plan.partSizeBytes,
      isPutConditional: true,
    };
    attempt.isCompleteConditional = profile.conditionalComplete.value === 'honoured';
    // A file smaller than a part takes no more than itself, and a byte that proves its end.
    const share = this.pool.open(Math.min(plan.partSizeBytes, (source.length ?? plan.partSizeBytes) + 1));
    try {
      const loop = new PartLoop(source, share, plan, attempt);
      // Before the owner is told the upload id, and writes down the version: until then the source may begin anew.
      const first = resume === undefined ? await loop.readFirst() : undefined;
      if (first?.isWholeFile && profile.conditionalPut.value === 'honoured') {
        return await this.putWhole(attempt, mode, first);
      }
      // Of one part too: the upload id is what keeps a writer out that lost the file to another.
      if (resume === undefined) await this.sender.begin(attempt, mode);
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

  private plan({ source, resume }: WriteRequest, profile: StoreProfile): PartLoopPlan {
    const { partSizeBytes: configured, queueSize } = this.options.store;
    const maxParts = profile.maxParts.value;
    if (resume !== undefined) {
      assertPartsFit(resume, source);
      const stored = resume.parts.map((part) => toCompletedPart(part, resume.namesChecksums));
      return { partSizeBytes: resume.partSizeBytes, maxParts, queueSize, stored };
    }
    const partSizeBytes = choosePartSize({ partSizeBytes: configured, maxParts, expectedBytes: source.length });
    return { partSizeBytes, maxParts, queueSize };
  }
}

/** A part that is too short would shift every byte behind it. */
function assertPartsFit({ parts, partSizeBytes }: ResumedUpload, { length }: ByteSource): void {
  const areWhole = parts.every(({ number, sizeBytes }, index) => {
    const rest = (length ?? Number.POSITIVE_INFINITY) - index * partSizeBytes;
    return number === index + 1 && sizeBytes === Math.min(partSizeBytes, rest);
  });
  if (areWhole) return;
  throw new StorageError('SOURCE_NOT_RESUMABLE', 'the parts that are stored are not the beginning of this file');
}
