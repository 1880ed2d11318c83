import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListPartsCommand,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { S3Clients } from '../s3/s3-clients.js';
import { isGone, isRefusal, toStoreError } from '../s3/s3-error.js';
import { StoreCapabilities } from '../s3/store-capabilities.js';
import type { StoreProfile } from '../s3/store-profile.js';
import { StorageError } from '../storage.errors.js';
import { MAX_PART_SIZE_BYTES, STORAGE_OPTIONS, type StorageOptions } from '../storage.options.js';
import { contentHeaders } from './content-headers.js';
import { type UploadHooks, UploadSession } from './upload-session.js';

const MiB = 1024 * 1024;
/** Metadata of the object that says which upload made it. Kept through multipart by every store that was tried. */
const TOKEN_METADATA = 'transfer-token';
/** Waits between looks at an upload whose Complete gave no clean answer, in ms; about half a minute in all. */
const COMPLETE_RETRY_DELAYS_MS = [250, 500, 1_000, 2_000, 4_000, 8_000, 15_000];
/** Parts that were in flight can land after an Abort (S3 API reference): look, and abort again. In ms. */
const ABORT_RETRY_DELAYS_MS = [0, 100, 400, 1_600];

export interface UploadRequest {
  bucket: string;
  key: string;
  /** Read once. Destroyed with the error when the upload fails. */
  body: Readable;
  /** Sees every chunk before it is sent. */
  onChunk?: (chunk: Buffer) => void;
  contentType: string;
  contentEncoding?: string;
  /** Unique to this upload: an object that carries it is ours, whoever else writes to the key. */
  token: string;
  /** Expected length in bytes, when known: it decides the part size and is not trusted for more. */
  expectedBytes?: number;
  hooks?: UploadHooks;
  signal?: AbortSignal;
}

export interface UploadedObject {
  /** Bytes read from the body, all of them proven to be in the object. */
  size: number;
  etag: string | null;
}

/** An upload that another process began, as its row tells. */
export interface LeftUpload {
  bucket: string;
  key: string;
  uploadId: string;
}

/**
 * Streams a body into one object by lib-storage's Upload, and leaves either the whole object or nothing.
 *
 * Memory: parts in flight, and about twice that in buffers on their way. Upload's own clean-up is off
 * (`leavePartsOnError`), because it aborts after a failed Complete, which on Swift and Ceph destroys an object that HEAD
 * still shows.
 */
@Injectable()
export class ObjectUploader {
  private readonly logger = new Logger(ObjectUploader.name);

  constructor(
    private readonly clients: S3Clients,
    private readonly capabilities: StoreCapabilities,
    @Inject(STORAGE_OPTIONS) private readonly options: StorageOptions,
  ) {}

  /**
   * @throws StorageError of the first thing that went wrong, after the clean-up; the body's own error as it is;
   * UPLOAD_OUTCOME_UNKNOWN when the store never said whether it put the object together
   */
  async upload(request: UploadRequest): Promise<UploadedObject> {
    const session = new UploadSession(this.clients, request);
    try {
      await this.send(session, request, await session.orFirstError(this.capabilities.profile()));
    } catch (error) {
      session.fail(error);
      await this.settleFailure(session, request);
    } finally {
      session.end();
    }
    return { size: session.bytes, etag: await this.prove(session, request) };
  }

  private async send(session: UploadSession, request: UploadRequest, store: StoreProfile): Promise<void> {
    const { queueSize, partSizeBytes, endpoint, partIntegrity } = this.options.store;
    const maxParts = store.maxParts.value;
    const partSize = choosePartSize({ partSizeBytes, maxParts, expectedBytes: request.expectedBytes });
    const isMd5Needed = endpoint.startsWith('https:') && store.checksums.value === 'ignored' && store.contentMd5.value;
    const upload = new Upload({
      client: session.asClient({ hasContentMd5: partIntegrity === undefined ? isMd5Needed : partIntegrity === 'md5' }),
      params: {
        Bucket: request.bucket,
        Key: request.key,
        Body: session.countedBody(partSize * maxParts),
        Metadata: { [TOKEN_METADATA]: request.token },
        ...contentHeaders(request.contentType, request.contentEncoding),
      },
      partSize,
      queueSize,
      leavePartsOnError: true,
    });
    await upload.done();
  }

  /**
   * Says whether the object is there with this token and size, and readable at both ends. HEAD alone is no proof: two
   * real stores go on showing an object whose bytes are gone.
   *
   * @returns the store's ETag, null where it gives none
   * @throws StorageError UPLOAD_FAILED after the object, if it is ours, was removed
   */
  private async prove(session: UploadSession, request: UploadRequest): Promise<string | null> {
    const { bytes: size, completion, uploadId } = session;
    let found = await this.findOwnObject(request, request.token);
    if (found === undefined && completion !== undefined && uploadId !== undefined) {
      // The SDK takes some errors with status 200 for success: this Complete was none.
      const upload = { bucket: request.bucket, key: request.key, uploadId };
      const isWhole = await this.settleComplete(upload, completion.parts, undefined, request.token, size);
      if (isWhole) found = await this.findOwnObject(request, request.token);
      else await this.discardOwnParts(upload, request);
    }
    if (found?.size === size && (await this.isReadable(request, size))) return found.etag;
    if (found !== undefined) {
      await this.removeObject(request);
      request.hooks?.onDiscarded?.();
    }
    throw new StorageError(
      'UPLOAD_FAILED',
      `upload of ${request.bucket}/${request.key} failed: ${size} bytes were sent, and the store shows ${found === undefined ? 'no such object' : `${found.size} bytes, or cannot read them`}`,
    );
  }

  /** Returns when the object turned out to be whole after all; throws the first error after the clean-up. */
  private async settleFailure(session: UploadSession, request: UploadRequest): Promise<void> {
    const place = { bucket: request.bucket, key: request.key };
    const { firstError, uploadId } = session;
    if (session.isFenced) throw firstError;
    if (session.completion !== undefined && uploadId !== undefined) {
      const { parts, error } = session.completion;
      if (await this.settleComplete({ ...place, uploadId }, parts, error, request.token, session.bytes)) return;
      await this.discardOwnParts({ ...place, uploadId }, request);
    } else if (uploadId !== undefined) {
      await this.discardOwnParts({ ...place, uploadId }, request);
    } else if (session.isPutSent && (await this.settlePut(session, request))) {
      return;
    }
    throw firstError;
  }

  /** One PUT has no upload id: only the token tells whether it arrived in spite of the error. */
  private async settlePut(session: UploadSession, request: UploadRequest): Promise<boolean> {
    try {
      const found = await this.findOwnObject(request, request.token);
      if (found?.size === session.bytes && session.isBodyRead && request.signal?.aborted !== true) return true;
      if (found !== undefined) await this.removeObject(request);
      request.hooks?.onDiscarded?.();
    } catch (error) {
      this.warn('settling the PUT of', request, error); // The first error counts; whether the object is there stays open.
    }
    return false;
  }

  /**
   * Finds out what became of a Complete that gave no clean answer. Nothing is aborted meanwhile: once Complete may
   * have been received, Abort and a second Complete can both destroy an object that HEAD already shows.
   *
   * @returns true when the object is whole, false when the store refused to make it
   * @throws StorageError UPLOAD_OUTCOME_UNKNOWN
   */
  private async settleComplete(
    upload: LeftUpload,
    parts: CompletedPart[],
    firstError: unknown,
    owner: string,
    size: number,
  ): Promise<boolean> {
    // Of the Complete alone: a HEAD that is refused says nothing of it.
    let completeError = firstError;
    let lastError = firstError;
    for (const delay of [0, ...COMPLETE_RETRY_DELAYS_MS]) {
      await sleep(delay);
      try {
        if ((await this.findOwnObject(upload, owner))?.size === size) return true;
        if (isRefusal(completeError)) return false;
        if (delay === 0) continue;
        completeError = undefined;
        await this.complete(upload, parts).catch((error) => {
          completeError = error;
          throw error;
        });
      } catch (error) {
        lastError = error;
      }
    }
    throw new StorageError(
      'UPLOAD_OUTCOME_UNKNOWN',
      `the store did not say whether ${upload.bucket}/${upload.key} was put together; its parts are kept`,
      { cause: lastError },
    );
  }

  /**
   * Takes up an upload whose owner died after it sent Complete, by the store's own list of its parts, or after it sent
   * the one PUT (`uploadId` null).
   *
   * @param owner what the tokens of the file's tries begin with: tries that only looked here do not count
   * @returns the object when it is whole; undefined when the store has neither a whole object nor the parts of one
   * @throws StorageError UPLOAD_OUTCOME_UNKNOWN
   */
  async takeUpComplete(
    { uploadId, ...place }: Omit<LeftUpload, 'uploadId'> & { uploadId: string | null },
    owner: string,
    size: number,
  ): Promise<UploadedObject | undefined> {
    let found = await this.findOwnObject(place, owner);
    if (found?.size !== size && uploadId !== null) {
      const upload = { ...place, uploadId };
      const parts = await this.listParts(upload);
      if (parts.length > 0 && (await this.settleComplete(upload, parts, undefined, owner, size))) {
        found = await this.findOwnObject(place, owner);
      }
    }
    if (found?.size === size && (await this.isReadable(place, size))) return { size, etag: found.etag };
    if (found !== undefined) await this.removeObject(place);
    return undefined;
  }

  /** Aborts until the store shows no part of the upload. Says false, and logs, when parts may be left. */
  async discardParts(upload: LeftUpload): Promise<boolean> {
    const params = { Bucket: upload.bucket, Key: upload.key, UploadId: upload.uploadId };
    let lastError: unknown;
    for (const delay of ABORT_RETRY_DELAYS_MS) {
      try {
        await sleep(delay);
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

  private async discardOwnParts(upload: LeftUpload, { hooks }: UploadRequest): Promise<void> {
    if (await this.discardParts(upload)) hooks?.onDiscarded?.();
  }

  async removeObject({ bucket, key }: { bucket: string; key: string }): Promise<void> {
    try {
      await this.clients.control.send(new DeleteObjectCommand({ Bucket: bucket, Key: key })).catch(ignoreGone);
    } catch (error) {
      throw toStoreError(error, 'delete of', { bucket, key });
    }
  }

  /** Asks again after a delete: an object under a lock or a retention rule is still there. */
  async isObjectGone({ bucket, key }: { bucket: string; key: string }): Promise<boolean> {
    try {
      await this.clients.control.send(new HeadObjectCommand({ Bucket: bucket, Key: key }));
      return false;
    } catch (error) {
      if (isGone(error)) return true;
      throw toStoreError(error, 'proof of the delete of', { bucket, key });
    }
  }

  /** `owner`: the token of one upload, or the start, up to a dot, of the tokens of several. */
  private async findOwnObject({ bucket, key }: { bucket: string; key: string }, owner: string) {
    try {
      const head = await this.clients.control.send(new HeadObjectCommand({ Bucket: bucket, Key: key }));
      const token = head.Metadata?.[TOKEN_METADATA];
      if (token !== owner && token?.startsWith(`${owner}.`) !== true) return undefined;
      return { size: head.ContentLength ?? 0, etag: head.ETag?.replaceAll('"', '') || null };
    } catch (error) {
      if (isGone(error)) return undefined;
      throw toStoreError(error, 'proof of', { bucket, key });
    }
  }

  private async isReadable({ bucket, key }: { bucket: string; key: string }, size: number): Promise<boolean> {
    if (size === 0) return true;
    for (const position of new Set([0, size - 1])) {
      const get = new GetObjectCommand({ Bucket: bucket, Key: key, Range: `bytes=${position}-${position}` });
      try {
        const bytes = await (await this.clients.control.send(get)).Body?.transformToByteArray();
        if (bytes?.length !== 1) return false;
      } catch (error) {
        // 409 BrokenMPU (Swift) and 404 NoSuchKey (Ceph) are how destroyed bytes look under an object that HEAD shows.
        if (isRefusal(error)) return false;
        throw toStoreError(error, 'proof of', { bucket, key });
      }
    }
    return true;
  }

  private async complete({ bucket, key, uploadId }: LeftUpload, parts: CompletedPart[]): Promise<void> {
    const params = { Bucket: bucket, Key: key, UploadId: uploadId, MultipartUpload: { Parts: parts } };
    await this.clients.control.send(new CompleteMultipartUploadCommand(params));
  }

  /** By hand: the SDK's paginator goes on for ever where a store names a next marker on its last page too. */
  private async listParts({ bucket, key, uploadId }: LeftUpload): Promise<CompletedPart[]> {
    const parts: CompletedPart[] = [];
    const params = { Bucket: bucket, Key: key, UploadId: uploadId };
    try {
      for (let marker: string | undefined; ; ) {
        const page = await this.clients.control.send(new ListPartsCommand({ ...params, PartNumberMarker: marker }));
        parts.push(...(page.Parts ?? []).map(({ PartNumber, ETag }) => ({ PartNumber, ETag })));
        if (page.IsTruncated !== true || page.NextPartNumberMarker === marker) return parts;
        marker = page.NextPartNumberMarker;
      }
    } catch (error) {
      if (isGone(error)) return [];
      throw toStoreError(error, 'listing the parts of', { bucket, key });
    }
  }

  private warn(action: string, { bucket, key }: { bucket: string; key: string }, error: unknown): void {
    this.logger.warn({ err: error, bucket, key }, `${action} ${bucket}/${key} failed; it must be done again`);
  }
}

/**
 * Bytes of a part: as configured, or more in whole MiB where a long file would not fit into the store's part numbers.
 *
 * @throws StorageError UPLOAD_TOO_LARGE with the figure, before anything is sent
 */
export function choosePartSize(plan: { partSizeBytes: number; maxParts: number; expectedBytes?: number }): number {
  const { partSizeBytes, maxParts, expectedBytes = 0 } = plan;
  const partSize = Math.max(partSizeBytes, Math.ceil(expectedBytes / maxParts / MiB) * MiB);
  if (partSize <= MAX_PART_SIZE_BYTES) return partSize;
  throw new StorageError(
    'UPLOAD_TOO_LARGE',
    `file has ${expectedBytes} bytes, and this store takes ${maxParts} parts of at most ${MAX_PART_SIZE_BYTES} bytes`,
  );
}

function ignoreGone(error: unknown): void {
  if (!isGone(error)) throw error;
}
