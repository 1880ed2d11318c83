import { createHash } from 'node:crypto';
import { addAbortSignal, type Readable } from 'node:stream';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { Inject, Injectable } from '@nestjs/common';
import { S3Clients } from '../s3/s3-clients.js';
import { StoreRetry } from '../s3/store-retry.js';
import { StorageError } from '../storage.errors.js';
import { STORAGE_OPTIONS, type StorageOptions } from '../storage.options.js';
import { integrityOf, PartHash } from './part-integrity.js';
import type { StoredPart } from './stored-part.js';
import type { ObjectPlace } from './upload-attempt.js';

/** What one request asks for: its tries and its time limit are its own, and waits for answers are rare. */
const RANGE_BYTES = 64 * 1024 * 1024;
/** A range slower than this is cut off and asked for again, in bytes a second. */
const MIN_BYTES_PER_SECOND = 64 * 1024;

export interface StoredObject extends ObjectPlace {
  /** In bytes. */
  readonly size: number;
  readonly partSizeBytes: number;
  /** Those whose bytes are compared with what was sent; there may be others. */
  readonly parts: readonly StoredPart[];
}

/** Reads finished objects back: what another process sent was hashed by nobody who is still there. */
@Injectable()
export class StoredObjectReader {
  constructor(
    private readonly clients: S3Clients,
    private readonly retry: StoreRetry,
    @Inject(STORAGE_OPTIONS) private readonly options: StorageOptions,
  ) {}

  /**
   * SHA-256 of all bytes of the object, in hex.
   *
   * Memory: what the socket holds. Limits: silence and rate of each range, and its tries.
   * @throws StorageError STORED_BYTES_CHANGED naming the first part whose bytes are not those that were sent; that of
   * the store; the reason of `signal`
   */
  async hash(object: StoredObject, signal: AbortSignal): Promise<string> {
    const { bucket, key, size } = object;
    const reading = new ObjectReading(object);
    while (reading.position < size) {
      const end = Math.min(size, reading.position + RANGE_BYTES);
      // A further try goes on where the one before broke off.
      const read = () => this.readRange(reading, end, signal);
      await this.retry.run(read, { action: 'reading back', bucket, key, signal });
    }
    return reading.finish();
  }

  private async readRange(reading: ObjectReading, end: number, signal: AbortSignal): Promise<void> {
    const { answerTimeoutMs } = this.options.store;
    const { position, object } = reading;
    const late = new AbortController();
    const giveUp = () => late.abort(Object.assign(new Error('the store fell silent'), { name: 'TimeoutError' }));
    const silence = setTimeout(giveUp, answerTimeoutMs);
    const whole = setTimeout(giveUp, answerTimeoutMs + ((end - position) / MIN_BYTES_PER_SECOND) * 1_000);
    try {
      const abortSignal = AbortSignal.any([signal, late.signal]);
      const range = `bytes=${position}-${end - 1}`;
      const get = new GetObjectCommand({ Bucket: object.bucket, Key: object.key, Range: range });
      const { Body, ContentRange, ETag } = await this.clients.parts.send(get, { abortSignal });
      const body = addAbortSignal(abortSignal, Body as Readable);
      reading.assertAnswer(body, {
        isAsked: ContentRange?.startsWith(`${range.replace('=', ' ')}/`) === true,
        etag: ETag,
      });
      for await (const chunk of body) {
        silence.refresh();
        reading.take(chunk as Buffer);
      }
      if (reading.position !== end) throw new Error('the store sent another number of bytes than it said');
    } catch (error) {
      throw late.signal.aborted ? late.signal.reason : error;
    } finally {
      clearTimeout(silence);
      clearTimeout(whole);
    }
  }
}

/** How far an object was read. */
class ObjectReading {
  position = 0;
  private readonly sha256 = createHash('sha256');
  private readonly partsByNumber: ReadonlyMap<number, StoredPart>;
  private hash: PartHash | undefined;
  private etag: string | undefined;

  constructor(readonly object: StoredObject) {
    this.partsByNumber = new Map(object.parts.map((part) => [part.number, part]));
  }

  /** Before a byte of it is taken. */
  assertAnswer(body: Readable, { isAsked, etag }: { isAsked: boolean; etag: string | undefined }): void {
    const { bucket, key } = this.object;
    this.etag ??= etag;
    if (isAsked && etag === this.etag) return;
    body.on('error', () => {}).destroy(); // Nobody reads it.
    if (isAsked) throw new StorageError('STORED_BYTES_CHANGED', `${bucket}/${key} changed while it was read back`);
    throw new StorageError('UPLOAD_FAILED', `the store gave another range of ${bucket}/${key} than was asked for`);
  }

  take(chunk: Buffer): void {
    this.sha256.update(chunk);
    const { partSizeBytes, size } = this.object;
    for (let rest = chunk; rest.length > 0; ) {
      const inPart = this.position % partSizeBytes;
      if (inPart === 0) this.beginPart();
      const bytes = rest.subarray(0, partSizeBytes - inPart);
      this.hash?.update(bytes);
      this.position += bytes.length;
      rest = rest.subarray(bytes.length);
      if (this.position % partSizeBytes === 0 || this.position === size) this.endPart();
    }
  }

  finish(): string {
    return this.sha256.digest('hex');
  }

  private beginPart(): void {
    const part = this.partsByNumber.get(Math.floor(this.position / this.object.partSizeBytes) + 1);
    const integrity = integrityOf(part?.digest);
    this.hash = integrity && new PartHash(integrity);
  }

  private endPart(): void {
    const { bucket, key, partSizeBytes } = this.object;
    const number = Math.ceil(this.position / partSizeBytes);
    const part = this.partsByNumber.get(number);
    if (part === undefined || this.hash?.digest().name === part.digest) return;
    throw new StorageError('STORED_BYTES_CHANGED', `part ${number} of ${bucket}/${key} is not what was sent`);
  }
}
