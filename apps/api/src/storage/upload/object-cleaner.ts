import { setTimeout as sleep } from 'node:timers/promises';
import {
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  ListPartsCommand,
  type MultipartUpload,
} from '@aws-sdk/client-s3';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { S3Clients } from '../s3/s3-clients.js';
import { isGone, isNotImplemented, isTaken } from '../s3/s3-error.js';
import { StoreRetry } from '../s3/store-retry.js';
import { StorageError } from '../storage.errors.js';
import { STORAGE_OPTIONS, type StorageOptions } from '../storage.options.js';
import { isOwn, ObjectProof, ownerOf } from './object-proof.js';
import type { ObjectPlace, OpenUpload } from './upload-attempt.js';
import { listUploadsOf } from './uploads-of-key.js';

/**
 * Parts that were in flight can land after an Abort (S3 API reference): look, and abort again. A store that is away is
 * waited for as well, but not long: its parts are discarded by whoever takes the row next. In retry delays.
 */
const ABORT_WAITS = [0, 0.2, 0.8, 3.2, 12.8];

/** How far the store's clock may be behind ours. */
const CLOCK_TOLERANCE_MS = 60_000;

/** Uploads whose id nobody read. */
interface UnansweredUploads {
  /** Those begun before are left alone. */
  readonly since: Date;
  /** The one whose id was read in the end. */
  readonly keepId?: string;
  /** With it a busy store is outlasted until the signal aborts; without, one look must do. */
  readonly signal?: AbortSignal;
  /** Asked behind the look: what was seen before cannot be an upload of the next owner then. */
  readonly assertOwned?: AssertOwned | undefined;
}

/** Asked directly before each request that removes an object or makes one. @throws when the file is another's by now */
export type AssertOwned = () => Promise<void>;

interface ObjectRemoval {
  /** Ends the tries, for one whose right to remove it may end. */
  readonly signal?: AbortSignal;
  /** Of the object that is to be removed: another that stands there by then is left alone, where the store understands that. */
  readonly etag?: string | null;
  readonly assertOwned?: AssertOwned | undefined;
}

/** Takes out of the bucket what an upload left there. */
@Injectable()
export class ObjectCleaner {
  private readonly logger = new Logger(ObjectCleaner.name);

  constructor(
    private readonly clients: S3Clients,
    private readonly proof: ObjectProof,
    private readonly retry: StoreRetry,
    @Inject(STORAGE_OPTIONS) private readonly options: StorageOptions,
  ) {}

  /** Aborts until the store shows no part of the upload. Says false, and logs, when parts may be left. */
  async discardParts(upload: OpenUpload): Promise<boolean> {
    const params = { Bucket: upload.bucket, Key: upload.key, UploadId: upload.uploadId };
    let lastError: unknown;
    for (const wait of ABORT_WAITS) {
      try {
        await sleep(wait * this.options.store.retryDelayMs);
        await this.clients.control.send(new AbortMultipartUploadCommand(params)).catch(ignoreGone);
        await this.clients.control.send(new ListPartsCommand({ ...params, MaxParts: 1 }));
      } catch (error) {
        if (isGone(error)) return true;
        lastError = error;
      }
    }
    this.warn('discarding the parts of', upload, lastError);
    return false;
  }

  /**
   * Aborts uploads of this key that the store began while its answer, and with it their id, got lost. Says false, and
   * logs, when one may be left.
   */
  async discardUnanswered(
    { bucket, key }: ObjectPlace,
    { since, keepId, signal, assertOwned }: UnansweredUploads,
  ): Promise<boolean> {
    const isLost = ({ UploadId, Initiated }: MultipartUpload) =>
      UploadId !== keepId && (Initiated?.getTime() ?? 0) >= since.getTime() - CLOCK_TOLERANCE_MS;
    const patience = signal && { action: 'looking for lost uploads of', bucket, key, signal };
    try {
      const uploads = await listUploadsOf({ bucket, key }, (list) => {
        const look = () => this.clients.control.send(list);
        return patience ? this.retry.run(look, patience) : look();
      });
      let areGone = true;
      for (const { UploadId } of uploads.filter(isLost)) {
        await assertOwned?.();
        areGone = (await this.discardParts({ bucket, key, uploadId: UploadId })) && areGone;
      }
      return areGone;
    } catch (error) {
      this.warn('looking for lost uploads of', { bucket, key }, error);
      return false;
    }
  }

  /**
   * What remains: a process that sleeps between `assertOwned` and its request, for longer than its lease, removes what
   * the next owner put there if the store knows no If-Match, or if it is of the same bytes and so of the same ETag.
   * `storage reconcile` tells of such a row.
   *
   * @throws StorageError OBJECT_EXISTS when another object stands there by now
   */
  async removeObject({ bucket, key }: ObjectPlace, { signal, etag, assertOwned }: ObjectRemoval = {}): Promise<void> {
    const send = async (condition: { IfMatch?: string }) => {
      await assertOwned?.();
      const remove = new DeleteObjectCommand({ Bucket: bucket, Key: key, ...condition });
      await this.clients.control.send(remove, signal === undefined ? {} : { abortSignal: signal }).catch(ignoreGone);
    };
    const isStillThere = async () => (await this.proof.find({ bucket, key }))?.etag === etag;
    const remove = () =>
      send(etag ? { IfMatch: `"${etag}"` } : {}).catch(async (error) => {
        if (!etag) throw error;
        // Swift compares an object made of parts with another ETag than the one that it shows.
        const isOfNoUse = isNotImplemented(error) || (isTaken(error) && (await isStillThere()));
        if (!isOfNoUse) throw error;
        return await send({});
      });
    await this.retry.run(remove, { action: 'delete of', bucket, key, ...(signal === undefined ? {} : { signal }) });
  }

  /** Removes what a try of the file `owner` made; another object is left alone. */
  async removeOwn(place: ObjectPlace, owner: string, removal: Omit<ObjectRemoval, 'etag'>): Promise<void> {
    const found = await this.proof.findOwn(place, owner);
    if (found !== undefined) await this.removeObject(place, { ...removal, etag: found.etag });
  }

  /** The same for a clean-up whose own failure is not what the caller is told: false, and logged, when it may be left. */
  async discardObject(place: ObjectPlace, removal: ObjectRemoval = {}): Promise<boolean> {
    try {
      await this.removeObject(place, removal);
      return true;
    } catch (error) {
      this.warn('removing', place, error);
      return false;
    }
  }

  /**
   * Asks again after a delete. `owner`: of removeOwn.
   *
   * @throws StorageError FILE_BUSY when the object is still there, as one under a lock or a retention rule is
   */
  async assertObjectGone({ bucket, key }: ObjectPlace, owner?: string): Promise<void> {
    const found = await this.proof.findPatiently({ bucket, key }, 'proof of the delete of');
    if (found === undefined || (owner !== undefined && !isOwn(found, owner))) return;
    throw new StorageError('FILE_BUSY', `the store still shows ${bucket}/${key} after its delete; is it locked?`);
  }

  /**
   * After a 412: removes what an earlier try of the same file put there, which can land late. False: the object at the
   * key is somebody else's, this very upload's, or that of a later try: then this one has lost the file and does not know it.
   */
  async freeKey(place: ObjectPlace, token: string, assertOwned?: AssertOwned): Promise<boolean> {
    const found = await this.proof.find(place);
    if (found === undefined) return true;
    if (!isOwn(found, ownerOf(token)) || tryOf(found.token) >= tryOf(token)) return false;
    await this.removeObject(place, { etag: found.etag, assertOwned });
    return true;
  }

  /** For what fails while another error is on its way to the caller. */
  warn(action: string, { bucket, key }: ObjectPlace, error: unknown): void {
    this.logger.warn({ err: error, bucket, key }, `${action} ${bucket}/${key} failed; it must be done again`);
  }
}

function ignoreGone(error: unknown): void {
  if (!isGone(error)) throw error;
}

/** The number of the try that a token names; a token without one comes from whoever has the file after all of them. */
function tryOf(token = ''): number {
  return Number(/\.(\d+)$/.exec(token)?.[1] ?? Number.POSITIVE_INFINITY);
}
