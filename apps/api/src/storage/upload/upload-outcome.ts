import type { CompletedPart, Part } from '@aws-sdk/client-s3';
import { Injectable } from '@nestjs/common';
import { StoreCapabilities } from '../s3/store-capabilities.js';
import { StorageError } from '../storage.errors.js';
import { ObjectCleaner } from './object-cleaner.js';
import { type ExpectedObject, ObjectCompletion } from './object-completion.js';
import { type FoundObject, isOwn, ObjectProof, ownerOf } from './object-proof.js';
import { hasDigest } from './part-integrity.js';
import type { ObjectPlace, UploadAttempt } from './upload-attempt.js';

/** Reading it takes the store no longer than a byte of it does. */
const SMALL_OBJECT_BYTES = 64 * 1024;
/** What a network has changed on its way back is read again: it must not cost an object that is whole. */
const SMALL_OBJECT_READS = 3;

export interface UploadedObject {
  /** Bytes read from the source, all of them proven to be in the object. */
  size: number;
  /** Null where the store gives none. */
  etag: string | null;
}

/** Ends an upload for good: either the whole object is there, proven, or nothing of the upload is. */
@Injectable()
export class UploadOutcome {
  constructor(
    private readonly proof: ObjectProof,
    private readonly completion: ObjectCompletion,
    private readonly cleaner: ObjectCleaner,
    private readonly capabilities: StoreCapabilities,
  ) {}

  /**
   * For stores that would overwrite without a word. Only a look: an object that comes after it is overwritten.
   *
   * @throws StorageError OBJECT_EXISTS
   */
  async assertKeyIsFree({ place, target }: UploadAttempt): Promise<void> {
    const found = await this.proof.findPatiently(place, 'look at');
    if (found === undefined || isOwn(found, ownerOf(target.token))) return;
    throw new StorageError(
      'OBJECT_EXISTS',
      `another object stands at ${place.bucket}/${place.key}, and was left alone`,
    );
  }

  /** Sends Complete. An error of it settles nothing yet: the attempt keeps it for `settleFailure`. */
  async complete(attempt: UploadAttempt, parts: UploadParts): Promise<void> {
    const { upload, target } = attempt;
    if (upload === undefined) throw new Error('no upload was begun');
    await target.hooks?.beforeObject?.(attempt.bytes);
    attempt.signal.throwIfAborted();
    attempt.completion = { parts };
    try {
      await this.completion.complete(upload, parts, attempt.isCompleteConditional);
    } catch (error) {
      attempt.completion.error = error;
      throw error;
    }
  }

  /**
   * Says whether the object is there with this token and size, and readable at both ends; a small one is read whole, by
   * one request instead of three.
   *
   * @throws StorageError UPLOAD_FAILED after the object, if it is ours, was removed
   */
  async prove(attempt: UploadAttempt): Promise<UploadedObject> {
    const { bytes: size, place } = attempt;
    if (attempt.isFenced) throw attempt.firstError;
    const read = await this.readSmall(attempt);
    const found = read ?? (await this.proof.findOwn(place, attempt.target.token)) ?? (await this.findLate(attempt));
    const isWhole = async () => read?.isAsSent ?? (await this.proof.isReadable(place, size));
    if (found?.size === size && (await isWhole())) return { size, etag: found.etag };
    if (found !== undefined) await this.discardObject(attempt, found);
    throw new StorageError(
      'UPLOAD_FAILED',
      `upload of ${place.bucket}/${place.key} failed: ${size} bytes were sent, and the store shows ${found === undefined ? 'no such object' : `${found.size} bytes, or cannot read them as they were sent`}`,
    );
  }

  /** Returns when the object turned out to be whole after all; throws the first error after the clean-up. */
  async settleFailure(attempt: UploadAttempt): Promise<void> {
    const { firstError } = attempt;
    if (attempt.isFenced) throw firstError;
    if (attempt.completion !== undefined) {
      if (await this.settleComplete(attempt, attempt.completion.error)) return;
    } else if (attempt.isUploadKnown) {
      if (!attempt.keepsParts) await this.discardParts(attempt);
    } else if (attempt.upload !== undefined || attempt.isCreateUnclear) {
      await this.discardUntold(attempt);
    } else if (attempt.put !== 'unsent' && (await this.settlePut(attempt))) {
      return;
    }
    throw firstError;
  }

  /**
   * Takes up an upload whose owner died after it sent Complete, by the store's own list of its parts, or after it sent
   * the one PUT (`uploadId` null).
   *
   * @param owner what the tokens of the file's tries begin with: tries that only looked here do not count
   * @param assertOwned asked before each request that removes or makes the object
   * @returns the object when it is whole; undefined when the store has neither a whole object nor the parts of one
   * @throws StorageError UPLOAD_OUTCOME_UNKNOWN
   */
  async takeUpComplete(
    { uploadId, ...place }: ObjectPlace & { uploadId: string | null },
    { owner, size, assertOwned }: Omit<ExpectedObject, 'isConditional'>,
  ): Promise<UploadedObject | undefined> {
    let found = await this.proof.findOwn(place, owner);
    if (found?.size !== size && uploadId !== null) {
      const upload = { ...place, uploadId };
      const parts = (await this.proof.listParts(upload)).map(toListedPart);
      const isConditional = (await this.capabilities.profile()).conditionalComplete.value === 'honoured';
      const isSettled =
        parts.length > 0 && (await this.completion.settle(upload, parts, { owner, size, isConditional, assertOwned }));
      // Once more where there are no parts either: a Complete that was under way has made an object of them since.
      if (isSettled || parts.length === 0) found = await this.proof.findOwn(place, owner);
    }
    if (found?.size === size && (await this.proof.isReadable(place, size))) return { size, etag: found.etag };
    if (found !== undefined) await this.cleaner.removeObject(place, { etag: found.etag, assertOwned });
    return undefined;
  }

  /** True when the object is there after all; false when the store refused to make it, and its parts were discarded. */
  private async settleComplete(attempt: UploadAttempt, error: unknown): Promise<boolean> {
    const { upload, completion, bytes: size, isCompleteConditional: isConditional } = attempt;
    if (upload === undefined || completion === undefined) throw new Error('no Complete was sent');
    const { token: owner, hooks } = attempt.target;
    const expected = { owner, size, isConditional, assertOwned: hooks?.assertOwned };
    if (await this.completion.settle(upload, completion.parts, expected, error)) return true;
    await this.discardParts(attempt);
    return false;
  }

  /** Undefined where it is not small, or not to be read like this: then it is looked at as every other. */
  private async readSmall({ target, place, bytes: size, putDigest }: UploadAttempt) {
    if (putDigest === undefined || size === 0 || size > SMALL_OBJECT_BYTES) return undefined;
    for (let reads = 1; ; reads += 1) {
      const found = await this.proof.readWhole(place, size);
      if (found === undefined || found.bytes === null || !isOwn(found, target.token)) return undefined;
      const isAsSent = hasDigest(Buffer.from(found.bytes), putDigest);
      if (isAsSent || reads === SMALL_OBJECT_READS) return { ...found, isAsSent };
    }
  }

  /** Of an object that does not show although its PUT or its Complete seemed to go well. */
  private async findLate(attempt: UploadAttempt): Promise<FoundObject | undefined> {
    const { place, target } = attempt;
    if (attempt.completion === undefined) return await this.completion.awaitShown(place, target.token);
    // The SDK takes some errors with status 200 for success: this Complete was none.
    const isMade = await this.settleComplete(attempt, undefined);
    return isMade ? await this.proof.findOwn(place, target.token) : undefined;
  }

  /** What fails here is not what the caller is told: the row keeps what the next owner needs to look again. */
  private async discardObject({ target: { hooks }, place, put }: UploadAttempt, { etag }: FoundObject): Promise<void> {
    const isGone = await this.cleaner.discardObject(place, { etag, assertOwned: hooks?.assertOwned });
    if (isGone && put !== 'unclear') hooks?.onDiscarded?.();
  }

  private async discardParts({ upload, target }: UploadAttempt): Promise<void> {
    if (upload === undefined) return;
    try {
      await target.hooks?.beforeDiscard?.();
    } catch (error) {
      return this.cleaner.warn('discarding the parts of', upload, error);
    }
    if (await this.cleaner.discardParts(upload)) target.hooks?.onDiscarded?.();
  }

  /** Of an upload whose id no row has: what cannot be discarded now is only found by a look at the key. */
  private async discardUntold({
    upload,
    isCreateUnclear,
    createdAt: since,
    place,
    target,
  }: UploadAttempt): Promise<void> {
    const { hooks } = target;
    const isGone = upload === undefined || (await this.cleaner.discardParts(upload));
    const areOthersGone =
      !isCreateUnclear || (await this.cleaner.discardUnanswered(place, { since, assertOwned: hooks?.assertOwned }));
    if (!isGone || !areOthersGone) hooks?.onUnanswered?.();
  }

  /** One PUT has no upload id: only the token tells whether it arrived in spite of the error. */
  private async settlePut({ target, place, bytes, put }: UploadAttempt): Promise<boolean> {
    try {
      const found = await this.proof.findOwn(place, target.token);
      if (found?.size === bytes && target.signal?.aborted !== true) return true;
      const assertOwned = target.hooks?.assertOwned;
      if (found !== undefined) await this.cleaner.removeObject(place, { etag: found.etag, assertOwned });
      // A request that got no answer may land yet: the row keeps what the next owner needs to look again.
      if (put !== 'unclear') target.hooks?.onDiscarded?.();
    } catch (error) {
      this.cleaner.warn('settling the PUT of', place, error); // The first error counts; whether the object is there stays open.
    }
    return false;
  }
}

/** A part with a checksum must be named with it (S3 API reference). */
function toListedPart({ PartNumber, ETag, ChecksumCRC32 }: Part): CompletedPart {
  return { PartNumber, ETag, ...(ChecksumCRC32 !== undefined ? { ChecksumCRC32 } : {}) };
}

type UploadParts = NonNullable<UploadAttempt['completion']>['parts'];
