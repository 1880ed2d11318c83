import type { Readable } from 'node:stream';
import {
  GetObjectCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  ListPartsCommand,
  type Part,
} from '@aws-sdk/client-s3';
import { Injectable } from '@nestjs/common';
import { S3Clients } from '../s3/s3-clients.js';
import { isForbidden, isGone, isRefusal, toStoreError } from '../s3/s3-error.js';
import { StoreRetry } from '../s3/store-retry.js';
import type { ObjectPlace, OpenUpload } from './upload-attempt.js';

/** Metadata of the object that says which upload made it. Kept through multipart by every store that was tried. */
export const TOKEN_METADATA = 'transfer-token';

export interface FoundObject {
  readonly size: number;
  /** Null where the store gives none. */
  readonly etag: string | null;
  readonly token: string | undefined;
}

export interface ReadObject extends FoundObject {
  readonly bytes: Uint8Array | null;
}

/** Looks at what the store really holds. */
@Injectable()
export class ObjectProof {
  constructor(
    private readonly clients: S3Clients,
    private readonly retry: StoreRetry,
  ) {}

  /** One look, for callers that look again by themselves. Undefined: nothing stands at the key. */
  async find({ bucket, key }: ObjectPlace): Promise<FoundObject | undefined> {
    try {
      return await this.head({ bucket, key });
    } catch (error) {
      throw toStoreError(error, 'proof of', { bucket, key });
    }
  }

  /** Outlasts a busy store; `action` begins the message of an error. */
  async findPatiently({ bucket, key }: ObjectPlace, action: string): Promise<FoundObject | undefined> {
    return await this.retry.run(() => this.head({ bucket, key }), { action, bucket, key });
  }

  /** `owner`: the token of one upload, or the start, up to a dot, of the tokens of several. */
  async findOwn(place: ObjectPlace, owner: string): Promise<FoundObject | undefined> {
    const found = await this.findPatiently(place, 'proof of');
    return found !== undefined && isOwn(found, owner) ? found : undefined;
  }

  /**
   * The object as its bytes come back, in one request; undefined where nothing stands at the key, and where it has
   * another size, which nobody reads, its bytes are null.
   *
   * @throws StorageError of the store
   */
  async readWhole({ bucket, key }: ObjectPlace, size: number): Promise<ReadObject | undefined> {
    const get = async () => {
      try {
        const object = await this.clients.control.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
        const { Body, ContentLength } = object;
        const isExpected = ContentLength === size;
        if (!isExpected) (Body as Readable | undefined)?.on('error', () => {}).destroy();
        const bytes = isExpected ? ((await Body?.transformToByteArray()) ?? new Uint8Array()) : null;
        return { ...toFoundObject(object), bytes };
      } catch (error) {
        if (isGone(error)) return undefined;
        throw error;
      }
    };
    try {
      return await this.retry.run(get, { action: 'proof of', bucket, key });
    } catch (error) {
      // HEAD tells whether it is there all the same.
      if (isRefusal(error) && !isForbidden(error)) return undefined;
      throw error;
    }
  }

  /** HEAD alone is no proof: two real stores go on showing an object whose bytes are gone. */
  async isReadable(place: ObjectPlace, size: number): Promise<boolean> {
    if (size === 0) return true;
    for (const position of new Set([0, size - 1])) {
      try {
        const bytes = await this.retry.run(() => this.readByte(place, position), { ...place, action: 'proof of' });
        if (bytes !== 1) return false;
      } catch (error) {
        // 409 BrokenMPU (Swift) and 404 NoSuchKey (Ceph) are how destroyed bytes look under an object that HEAD shows.
        // Keys that may not read say nothing of the bytes.
        if (isRefusal(error) && !isForbidden(error)) return false;
        throw error;
      }
    }
    return true;
  }

  /**
   * None when the store does not know the upload any more.
   *
   * By hand: the SDK's paginator goes on for ever where a store names a next marker on its last page too.
   */
  async listParts({ bucket, key, uploadId }: OpenUpload, signal?: AbortSignal): Promise<Part[]> {
    const parts: Part[] = [];
    const params = { Bucket: bucket, Key: key, UploadId: uploadId };
    const listPage = (marker: string | undefined) =>
      this.retry.run(
        () =>
          this.clients.control
            .send(new ListPartsCommand({ ...params, PartNumberMarker: marker }), signal && { abortSignal: signal })
            .catch((error) => {
              if (isGone(error)) return undefined;
              throw error;
            }),
        { action: 'listing the parts of', bucket, key, ...(signal && { signal }) },
      );
    for (let marker: string | undefined; ; ) {
      const page = await listPage(marker);
      if (page === undefined) return [];
      parts.push(...(page.Parts ?? []));
      if (page.IsTruncated !== true || page.NextPartNumberMarker === marker) return parts;
      marker = page.NextPartNumberMarker;
    }
  }

  private async head({ bucket, key }: ObjectPlace): Promise<FoundObject | undefined> {
    try {
      return toFoundObject(await this.clients.control.send(new HeadObjectCommand({ Bucket: bucket, Key: key })));
    } catch (error) {
      if (isGone(error)) return undefined;
      throw error;
    }
  }

  private async readByte({ bucket, key }: ObjectPlace, position: number): Promise<number> {
    const get = new GetObjectCommand({ Bucket: bucket, Key: key, Range: `bytes=${position}-${position}` });
    const { Body, ContentLength } = await this.clients.control.send(get);
    if (ContentLength === 1) return (await Body?.transformToByteArray())?.length ?? 0;
    // A store that does not know ranges sends the whole object, which nobody reads here.
    (Body as Readable | undefined)?.on('error', () => {}).destroy();
    return ContentLength ?? 0;
  }
}

function toFoundObject(answer: Pick<HeadObjectCommandOutput, 'ContentLength' | 'ETag' | 'Metadata'>): FoundObject {
  return {
    size: answer.ContentLength ?? 0,
    etag: answer.ETag?.replaceAll('"', '') || null,
    token: answer.Metadata?.[TOKEN_METADATA],
  };
}

export function isOwn({ token }: FoundObject, owner: string): boolean {
  return isTokenOf(token, owner);
}

/** `owner`: the token of one upload, or the start, up to a dot, of the tokens of several. */
export function isTokenOf(token: string | undefined, owner: string): boolean {
  return token === owner || token?.startsWith(`${owner}.`) === true;
}

/** Tokens of files: their id, a dot and the number of the try. Other programs' objects, and streams without a row, have none. */
const TRANSFER_TOKEN = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.\d+$/;

export function isTransferToken(token: string | undefined): token is string {
  return token !== undefined && TRANSFER_TOKEN.test(token);
}

/** What the tokens of all tries of the same file begin with: a token is the file's id, a dot and the number of the try. */
export function ownerOf(token: string): string {
  const dot = token.lastIndexOf('.');
  return dot === -1 ? token : token.slice(0, dot);
}
