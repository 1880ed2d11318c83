import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { GetObjectCommand, ListMultipartUploadsCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { Injectable } from '@nestjs/common';
import { S3Clients } from '../s3/s3-clients.js';
import { toStoreError } from '../s3/s3-error.js';
import { StoreRetry } from '../s3/store-retry.js';
import { StorageError } from '../storage.errors.js';
import type { ObjectPlace, OpenUpload } from './upload-attempt.js';

export interface ListedObject {
  readonly key: string;
  readonly sizeBytes: number;
  /** By the store's clock; null where it says none. */
  readonly modifiedAt: Date | null;
}

export interface ListedUpload extends OpenUpload {
  /** By the store's clock; null where it says none. */
  readonly begunAt: Date | null;
}

interface ListOptions {
  bucket: string;
  /** Keys up to this one are left out. */
  after?: string | undefined;
  signal?: AbortSignal | undefined;
}

interface ListUploadsOptions {
  bucket: string;
  /** Those at exactly this key. */
  key?: string | undefined;
  signal?: AbortSignal | undefined;
}

/** Reads all that a bucket holds, one page of the store at a time in memory. */
@Injectable()
export class BucketReader {
  constructor(
    private readonly clients: S3Clients,
    private readonly retry: StoreRetry,
  ) {}

  /**
   * In the order of the keys' UTF-8 bytes.
   *
   * @throws StorageError UPLOAD_FAILED from a store that lists in another order; BUCKET_NOT_FOUND, STORE_*
   */
  async *listObjects({ bucket, after, signal }: ListOptions): AsyncGenerator<ListedObject> {
    let last = after;
    for (let token: string | undefined; ; ) {
      const from = token === undefined ? { StartAfter: after } : { ContinuationToken: token };
      const page = await this.ask('list of the objects of', { bucket, signal }, () =>
        this.clients.control.send(new ListObjectsV2Command({ Bucket: bucket, ...from }), withSignal(signal)),
      );
      for (const { Key = '', Size = 0, LastModified } of page.Contents ?? []) {
        if (last !== undefined && compareKeys(Key, last) <= 0) {
          throw new StorageError('UPLOAD_FAILED', `the store does not list ${bucket} in the order of its keys`);
        }
        last = Key;
        yield { key: Key, sizeBytes: Size, modifiedAt: LastModified ?? null };
      }
      const isStuck = page.NextContinuationToken === undefined || page.NextContinuationToken === token;
      if (page.IsTruncated !== true || isStuck) return;
      token = page.NextContinuationToken;
    }
  }

  /** In the store's order. */
  async *listUploads({ bucket, key, signal }: ListUploadsOptions): AsyncGenerator<ListedUpload> {
    const place = { Bucket: bucket, ...(key !== undefined ? { Prefix: key } : {}) };
    let markers: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } = {};
    for (;;) {
      // By both markers: by the key's alone Swift skips uploads of one key, and Ceph gives the same page for ever.
      const page = await this.ask('list of the uploads of', { bucket, signal }, () =>
        this.clients.control.send(new ListMultipartUploadsCommand({ ...place, ...markers }), withSignal(signal)),
      );
      for (const { Key = '', UploadId = '', Initiated } of page.Uploads ?? []) {
        const isWanted = key === undefined || Key === key;
        if (isWanted) yield { bucket, key: Key, uploadId: UploadId, begunAt: Initiated ?? null };
      }
      const next = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker };
      const isStuck = next.KeyMarker === markers.KeyMarker && next.UploadIdMarker === markers.UploadIdMarker;
      if (page.IsTruncated !== true || isStuck) return;
      markers = next;
    }
  }

  /**
   * Hex, of all bytes as the store gives them now.
   *
   * @throws StorageError OBJECT_NOT_FOUND, STORE_*; also where the bytes break off
   */
  async sha256({ bucket, key }: ObjectPlace, signal?: AbortSignal): Promise<string> {
    return await this.ask('read of', { bucket, key, signal }, async () => {
      const get = new GetObjectCommand({ Bucket: bucket, Key: key });
      const { Body } = await this.clients.control.send(get, withSignal(signal));
      const hash = createHash('sha256');
      for await (const bytes of Body as Readable) hash.update(bytes);
      return hash.digest('hex');
    });
  }

  private async ask<Answer>(
    action: string,
    { bucket, key, signal }: { bucket: string; key?: string; signal?: AbortSignal | undefined },
    call: () => Promise<Answer>,
  ): Promise<Answer> {
    try {
      const place = { action, bucket, ...(key !== undefined ? { key } : {}) };
      return await this.retry.run(call, { ...place, ...(signal !== undefined ? { signal } : {}) });
    } catch (error) {
      signal?.throwIfAborted();
      throw toStoreError(error, action, { bucket, ...(key !== undefined ? { key } : {}) });
    }
  }
}

/** Below 0 when the store lists `a` before `b`: by bytes, where strings compare by UTF-16 units. */
export function compareKeys(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function withSignal(signal: AbortSignal | undefined) {
  return signal !== undefined ? { abortSignal: signal } : {};
}
