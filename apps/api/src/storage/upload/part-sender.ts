import {
  type CompletedPart,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { Inject, Injectable } from '@nestjs/common';
import pLimit from 'p-limit';
import { S3Clients } from '../s3/s3-clients.js';
import { attemptsOf, isTaken, isUnclear, isUploadGone } from '../s3/s3-error.js';
import { StoreRetry } from '../s3/store-retry.js';
import { StorageError } from '../storage.errors.js';
import { STORAGE_OPTIONS, type StorageOptions } from '../storage.options.js';
import { ObjectCleaner } from './object-cleaner.js';
import type { ObjectHeaders } from './object-options.js';
import { TOKEN_METADATA } from './object-proof.js';
import { digestPart, type PartIntegrity, setPayloadHash } from './part-integrity.js';
import type { UploadAttempt } from './upload-attempt.js';

/** A part slower than this is cut off and sent again, in bytes a second. */
const MIN_BYTES_PER_SECOND = 64 * 1024;

/** How the bytes of one object are sent. */
export interface SendingMode {
  readonly integrity: PartIntegrity;
  readonly headers: ObjectHeaders;
  readonly partSizeBytes: number;
  /** A single PUT makes the object only where nothing stands at the key: it has no upload id to fence it. */
  readonly isPutConditional: boolean;
}

/** The calls that bring bytes into the store, each with its hash, its time limit and its further tries. */
@Injectable()
export class PartSender {
  /** One part at a time, a stretch in each turn of the event loop: many at once would hold it up for long. */
  private readonly hashing = pLimit(1);

  constructor(
    private readonly clients: S3Clients,
    private readonly retry: StoreRetry,
    private readonly cleaner: ObjectCleaner,
    @Inject(STORAGE_OPTIONS) private readonly options: StorageOptions,
  ) {}

  /** Begins a multipart upload, whose id the owner of the attempt is told before this resolves. */
  async begin(attempt: UploadAttempt, { integrity, headers, partSizeBytes }: SendingMode): Promise<void> {
    const { bucket: Bucket, key: Key, token, hooks, lostSince } = attempt.target;
    const create = new CreateMultipartUploadCommand({
      Bucket,
      Key,
      Metadata: { [TOKEN_METADATA]: token },
      ...headers,
      ...(integrity === 'crc32' ? { ChecksumAlgorithm: 'CRC32' } : {}),
    });
    await hooks?.beforeCreate?.();
    attempt.createdAt = new Date();
    const ask = async () => {
      try {
        // Not cut off by a cancel: an upload that the store began but whose id nobody read must be looked for.
        const { UploadId, $metadata } = await this.clients.control.send(create);
        attempt.uploadId = UploadId || undefined;
        attempt.isCreateUnclear ||= !UploadId || ($metadata.attempts ?? 1) > 1;
      } catch (error) {
        attempt.isCreateUnclear ||= isUnclear(error) || attemptsOf(error) > 1;
        throw error;
      }
    };
    await this.retry.run(ask, { ...attempt.place, action: 'upload of', signal: attempt.signal });
    const { uploadId } = attempt;
    if (uploadId === undefined) {
      throw new StorageError('UPLOAD_FAILED', `the store began an upload of ${Bucket}/${Key} and gave it no id`);
    }
    await hooks?.onUploadId?.(uploadId, { partSizeBytes, isOnly: !attempt.isCreateUnclear });
    attempt.isUploadKnown = true;
    if (!attempt.isCreateUnclear && lostSince === undefined) return;
    // Only now: the owner has just said that the file is still ours. What is left holds no part, and the upload goes on.
    const { place, createdAt, signal } = attempt;
    const since = lostSince ?? createdAt;
    const { assertOwned } = hooks ?? {};
    const areGone = await this.cleaner.discardUnanswered(place, { since, keepId: uploadId, signal, assertOwned });
    if (areGone) await hooks?.onUnknownDiscarded?.();
  }

  /** Resolves when the store has the part, and the owner of the attempt was told so. */
  async sendPart(
    attempt: UploadAttempt,
    number: number,
    body: Buffer,
    { integrity }: SendingMode,
  ): Promise<CompletedPart> {
    const { input, payloadHash, name: digest } = await this.hashing(() => digestPart(integrity, body));
    const { bucket: Bucket, key: Key } = attempt.place;
    const answer: { part?: CompletedPart & { ETag: string } } = {};
    const send = async () => {
      const part = { Bucket, Key, UploadId: attempt.uploadId, PartNumber: number, Body: body, ...input };
      const command = new UploadPartCommand(part);
      setPayloadHash(command, payloadHash);
      // AWS wants a part named with the checksum that it gave back; Swift, which gives none, refuses the name for it.
      const { ETag, ChecksumCRC32 } = await this.clients.parts.send(command, this.limitsOf(attempt, body));
      if (!ETag)
        throw new StorageError(
          'UPLOAD_FAILED',
          `the store took part ${number} of ${Bucket}/${Key} and gave it no ETag`,
        );
      answer.part = { PartNumber: number, ETag, ...(ChecksumCRC32 !== undefined ? { ChecksumCRC32 } : {}) };
    };
    try {
      await this.retry.run(send, { ...attempt.place, action: 'upload of', signal: attempt.signal });
    } catch (error) {
      // A part that was waited for behind the first error is of use to whoever goes on.
      if (answer.part === undefined || !attempt.keepsParts) throw toPartError(error, attempt);
    }
    const part = answer.part as CompletedPart & { ETag: string };
    await attempt.target.hooks?.onPart?.({ number, sizeBytes: body.length, etag: part.ETag, digest });
    return part;
  }

  /** The object in one request. */
  async put(
    attempt: UploadAttempt,
    body: Buffer,
    { integrity, headers, isPutConditional }: SendingMode,
  ): Promise<void> {
    const { input, payloadHash, name } = await this.hashing(() => digestPart(integrity, body));
    attempt.putDigest = name;
    const { bucket: Bucket, key: Key, token } = attempt.target;
    const send = async () => {
      const command = new PutObjectCommand({
        Bucket,
        Key,
        Body: body,
        Metadata: { [TOKEN_METADATA]: token },
        ...headers,
        ...input,
        ...(isPutConditional ? { IfNoneMatch: '*' } : {}),
      });
      setPayloadHash(command, payloadHash);
      if (attempt.put === 'unsent') attempt.put = 'sent';
      try {
        await this.clients.parts.send(command, this.limitsOf(attempt, body));
      } catch (error) {
        // An answer to the SDK's second try says nothing of its first.
        if (isUnclear(error) || attemptsOf(error) > 1) attempt.put = 'unclear';
        throw error;
      }
    };
    const sendPatiently = () => this.retry.run(send, { ...attempt.place, action: 'upload of', signal: attempt.signal });
    await sendPatiently().catch(async (error) => {
      if (!isTaken(error) || !(await this.cleaner.freeKey(attempt.place, token, attempt.target.hooks?.assertOwned)))
        throw error;
      await sendPatiently();
    });
  }

  /** Beyond the way of the bytes there is time for the connection, the answer and a store that is busy. */
  private limitsOf({ partSignal }: UploadAttempt, body: Buffer): { abortSignal: AbortSignal; requestTimeout: number } {
    const wayMs = (body.length / MIN_BYTES_PER_SECOND) * 1_000;
    return { abortSignal: partSignal, requestTimeout: this.options.store.answerTimeoutMs + wayMs };
  }
}

function toPartError(error: unknown, { place: { bucket, key } }: UploadAttempt): unknown {
  if (!isUploadGone(error)) return error;
  const message = `${bucket}/${key}: the store does not know the upload any more; it expired, or somebody aborted it`;
  return new StorageError('UPLOAD_FAILED', message, { cause: error });
}
