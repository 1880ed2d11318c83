import { setTimeout as sleep } from 'node:timers/promises';
import { type CompletedPart, CompleteMultipartUploadCommand } from '@aws-sdk/client-s3';
import { Inject, Injectable } from '@nestjs/common';
import { S3Clients } from '../s3/s3-clients.js';
import { isRefusal, isTaken, isUploadGone, toStoreError } from '../s3/s3-error.js';
import { isTransferLost, StorageError } from '../storage.errors.js';
import { STORAGE_OPTIONS, type StorageOptions } from '../storage.options.js';
import { type AssertOwned, ObjectCleaner } from './object-cleaner.js';
import { type FoundObject, isOwn, ObjectProof } from './object-proof.js';
import type { ObjectPlace, OpenUpload } from './upload-attempt.js';

/** Waits between looks at an object that must be there, or whose Complete gave no clean answer; about half a minute in all. In retry delays. */
const SETTLE_WAITS = [0, 0.5, 1, 2, 4, 8, 16, 30];

/** Who made an object, and what it must be. */
export interface ExpectedObject {
  /** The token of one upload, or the start, up to a dot, of the tokens of a file's tries. */
  readonly owner: string;
  readonly size: number;
  readonly isConditional: boolean;
  readonly assertOwned?: AssertOwned | undefined;
}

/** Puts an object together from its parts, and finds out what became of a Complete that gave no clean answer. */
@Injectable()
export class ObjectCompletion {
  constructor(
    private readonly clients: S3Clients,
    private readonly proof: ObjectProof,
    private readonly cleaner: ObjectCleaner,
    @Inject(STORAGE_OPTIONS) private readonly options: StorageOptions,
  ) {}

  /**
   * Sends Complete once, and never cuts it off: one that was received goes on in the store whatever its client does.
   * `isConditional`: only where nothing stands at the key.
   */
  async complete({ bucket, key, uploadId }: OpenUpload, parts: CompletedPart[], isConditional: boolean): Promise<void> {
    const command = new CompleteMultipartUploadCommand({
      Bucket: bucket,
      Key: key,
      UploadId: uploadId,
      MultipartUpload: { Parts: parts },
      ...(isConditional ? { IfNoneMatch: '*' } : {}),
    });
    try {
      await this.clients.completion.send(command);
    } catch (error) {
      throw toStoreError(error, 'upload of', { bucket, key });
    }
  }

  /** Looks again and again for an object that the store said it has: some show it later. */
  async awaitShown(place: ObjectPlace, token: string): Promise<FoundObject | undefined> {
    for (const wait of SETTLE_WAITS) {
      await sleep(wait * this.options.store.retryDelayMs);
      const found = await this.proof.findOwn(place, token);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /**
   * Nothing is aborted meanwhile, and Complete goes out again only where HEAD shows no object of ours: once Complete
   * may have been received, an Abort and a second Complete can both destroy an object that HEAD already shows. Who
   * sleeps between `assertOwned` and a second Complete, for longer than its lease, is kept out by If-None-Match alone.
   *
   * @param firstError of the Complete that was sent; undefined when it seemed to go well, or nobody knows
   * @returns true when the object is there in its whole size, false when the store refused to make it
   * @throws StorageError UPLOAD_OUTCOME_UNKNOWN; that of the refusal, when the store refuses by now, but may have carried
   * out a Complete before: in both cases nothing was ended
   */
  async settle(
    upload: OpenUpload,
    parts: CompletedPart[],
    expected: ExpectedObject,
    firstError?: unknown,
  ): Promise<boolean> {
    // Of the Complete alone: a HEAD that is refused says nothing of it.
    let completeError = firstError;
    let lastError = firstError;
    let isMadePossible = !isRefusal(firstError);
    for (const wait of SETTLE_WAITS) {
      await sleep(wait * this.options.store.retryDelayMs);
      try {
        const found = await this.proof.find(upload);
        if (found?.size === expected.size && isOwn(found, expected.owner)) return true;
        const isWorthAnotherTry =
          isTaken(completeError) && (await this.cleaner.freeKey(upload, expected.owner, expected.assertOwned));
        // The upload may be gone because a Complete before made an object of it, which does not show yet.
        if (isMadePossible && isUploadGone(completeError)) continue;
        // Nor does a refusal say anything of one before that may be under way.
        if (!isMadePossible && isRefusal(completeError) && !isWorthAnotherTry) return false;
        if (wait === 0 && !isWorthAnotherTry) continue;
        await expected.assertOwned?.();
        completeError = undefined;
        await this.complete(upload, parts, expected.isConditional).catch((error) => {
          completeError = error;
          isMadePossible ||= !isRefusal(error);
          throw error;
        });
      } catch (error) {
        if (isTransferLost(error)) throw error;
        lastError = error;
      }
    }
    // What is refused all the time will be refused in an hour as well; whoever removes what is left looks again by then.
    if (isRefusal(completeError) && !isUploadGone(completeError)) throw completeError;
    throw new StorageError(
      'UPLOAD_OUTCOME_UNKNOWN',
      `the store did not say whether ${upload.bucket}/${upload.key} was put together; its parts are kept`,
      { cause: lastError },
    );
  }
}
