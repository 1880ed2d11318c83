import { randomUUID } from 'node:crypto';
import type { Readable } from 'node:stream';
import { DeleteObjectCommand, HeadObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { Inject, Injectable } from '@nestjs/common';
import { assertObjectKey } from './object-key.js';
import { Presigner } from './s3/presigner.js';
import { S3Clients } from './s3/s3-clients.js';
import { isGone, toStoreError } from './s3/s3-error.js';
import { StorageError } from './storage.errors.js';
import { DEFAULT_URL_EXPIRY_SECONDS, STORAGE_OPTIONS, type StorageOptions } from './storage.options.js';
import { assertMimeType } from './upload/content-headers.js';
import { assertObjectOptions, type ObjectOptions } from './upload/object-options.js';
import { StreamUploader } from './upload/stream-uploader.js';

/**
 * The bucket, and nothing else: no database, no source. Paths are checked before any request (INVALID_PATH), and
 * buckets other than S3_BUCKET must stand in S3_ALLOWED_BUCKETS (BUCKET_NOT_ALLOWED).
 */
@Injectable()
export class S3Service {
  constructor(
    private readonly clients: S3Clients,
    private readonly uploader: StreamUploader,
    private readonly presigner: Presigner,
    @Inject(STORAGE_OPTIONS) private readonly options: StorageOptions,
  ) {}

  /**
   * Streams `body` into the bucket as a multipart upload; a failed one leaves nothing behind, and destroys `body`.
   * What stood at `path` is replaced. `object`: how the store keeps it.
   *
   * Memory: S3_PART_SIZE_BYTES * S3_QUEUE_SIZE (10 MiB * 4) in flight, and about twice that in buffers on their way,
   * at any length.
   * Limit:  part size times the store's highest part number: 97.6 GiB at 10,000 (S3 user guide, "multipart upload
   * limits"), 9.7 GiB on OpenStack Swift's 1,000.
   * @returns size in bytes, as read from `body` and proven to be in the bucket
   * @throws StorageError INVALID_MIME_TYPE, INVALID_OPTION; UPLOAD_TOO_LARGE, UPLOAD_FAILED, STORE_*, BUCKET_NOT_FOUND after the clean-up;
   * UPLOAD_OUTCOME_UNKNOWN; an error of `body` as it is
   */
  async uploadStream(options: {
    path: string;
    body: Readable;
    contentType: string;
    bucket?: string;
    object?: ObjectOptions;
  }): Promise<{ path: string; bucket: string; size: number | null }> {
    const { path, body, contentType, object } = options;
    const bucket = this.checkPlace(path, options.bucket);
    assertMimeType(contentType);
    if (object !== undefined) assertObjectOptions(object, contentType);
    const { size } = await this.uploader.upload({ bucket, key: path, body, contentType, token: randomUUID(), object });
    return { path, bucket, size };
  }

  /**
   * A URL that reads the object until it expires. Computed from the keys: the store is not asked, so an object that
   * does not exist is not noticed here.
   *
   * @param expiresIn whole seconds, 1 to 604,800
   * @throws StorageError INVALID_EXPIRY
   */
  async getSignedUrl(path: string, expiresIn = DEFAULT_URL_EXPIRY_SECONDS, bucket?: string): Promise<string> {
    const { url } = await this.presigner.presignGet({ bucket: this.checkPlace(path, bucket), key: path, expiresIn });
    return url;
  }

  /** Deletes the object. One that does not exist is deleted already. */
  async deleteObject(path: string, bucket?: string): Promise<void> {
    const place = { bucket: this.checkPlace(path, bucket), key: path };
    try {
      await this.clients.control.send(new DeleteObjectCommand({ Bucket: place.bucket, Key: path }));
    } catch (error) {
      if (!isGone(error)) throw toStoreError(error, 'delete of', place);
    }
  }

  /**
   * Size in bytes, type and time of the stored object.
   *
   * @throws StorageError OBJECT_NOT_FOUND
   */
  async headObject(
    path: string,
    bucket?: string,
  ): Promise<{ contentLength: number; contentType: string; lastModified: Date }> {
    const place = { bucket: this.checkPlace(path, bucket), key: path };
    try {
      const head = await this.clients.control.send(new HeadObjectCommand({ Bucket: place.bucket, Key: path }));
      return {
        contentLength: head.ContentLength ?? 0,
        contentType: head.ContentType ?? 'application/octet-stream',
        lastModified: head.LastModified ?? new Date(0),
      };
    } catch (error) {
      throw toStoreError(error, 'head of', place);
    }
  }

  /** S3_BUCKET. */
  getDefaultBucket(): string {
    return this.options.store.bucket;
  }

  /**
   * Asks the store for the smallest thing that needs the keys, the region and the bucket to be right. A list, because
   * the answer to a HEAD has no body that says what is wrong.
   *
   * @throws StorageError BUCKET_NOT_FOUND, STORE_ACCESS_DENIED, STORE_UNREACHABLE
   */
  async checkBucket(signal?: AbortSignal): Promise<void> {
    const bucket = this.getDefaultBucket();
    try {
      const list = new ListObjectsV2Command({ Bucket: bucket, MaxKeys: 1 });
      await this.clients.control.send(list, signal !== undefined ? { abortSignal: signal } : {});
    } catch (error) {
      throw toStoreError(error, 'look into', { bucket });
    }
  }

  private checkPlace(path: string, bucket: string | undefined): string {
    assertObjectKey(path);
    return this.checkBucketName(bucket);
  }

  /** An ARN or a URL as bucket name would make the SDK talk to another endpoint: only listed names pass. */
  private checkBucketName(bucket = this.getDefaultBucket()): string {
    if (this.options.store.allowedBuckets.has(bucket)) return bucket;
    throw new StorageError('BUCKET_NOT_ALLOWED', 'bucket is neither S3_BUCKET nor one of S3_ALLOWED_BUCKETS');
  }
}
