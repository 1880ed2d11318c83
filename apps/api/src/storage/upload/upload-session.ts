import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import {
  type CompletedPart,
  CompleteMultipartUploadCommand,
  type CompleteMultipartUploadCommandOutput,
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandOutput,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import type { S3Clients } from '../s3/s3-clients.js';
import { toStoreError } from '../s3/s3-error.js';
import { StorageError } from '../storage.errors.js';

/** What the owner of an upload wants to know, awaited at its place. An error ends the upload. */
export interface UploadHooks {
  /** The store gave this id; no part has been sent yet. */
  onUploadId?(uploadId: string): Promise<void>;
  /** All bytes are stored as parts, or held for the one PUT: the next request makes the object. */
  beforeObject?(bytes: number): Promise<void>;
  /** The upload failed, and the store shows neither a part of it nor its object. */
  onDiscarded?(): void;
}

interface SessionRequest {
  bucket: string;
  key: string;
  body: Readable;
  onChunk?: (chunk: Buffer) => void;
  hooks?: UploadHooks;
  signal?: AbortSignal;
}

/** `send` of the SDK, as far as lib-storage's Upload uses it. */
type UploadCommand = Parameters<S3Client['send']>[0];

/**
 * One run of lib-storage's Upload, seen from the inside: it stands between Upload and the clients, so that it knows
 * the upload id before the first part, whether Complete was sent, the first error, and when to stop the body. Upload
 * tells none of these.
 */
export class UploadSession {
  bytes = 0;
  isBodyRead = false;
  isPutSent = false;
  uploadId: string | undefined;
  /** Set once Complete may have been received. */
  completion: { parts: CompletedPart[]; error?: unknown } | undefined;
  firstError: unknown;

  private readonly stop = new AbortController();
  private readonly onCancel = () => this.fail(this.request.signal?.reason);

  constructor(
    private readonly clients: S3Clients,
    private readonly request: SessionRequest,
  ) {
    // Also while nobody reads it yet: an error that nobody listens to would end the process.
    request.body.on('error', (error) => this.fail(error));
    if (request.signal?.aborted) this.onCancel();
    request.signal?.addEventListener('abort', this.onCancel, { once: true });
  }

  /** The row belongs to another owner now: this one may not touch the store any more, not even to clean up. */
  get isFenced(): boolean {
    return this.firstError instanceof StorageError && this.firstError.code === 'TRANSFER_LOST';
  }

  /** Remembers the first error, ends the requests in flight, and the body with it: a stalled read would never end. */
  fail(error: unknown): void {
    if (this.firstError !== undefined) return;
    this.firstError = error;
    this.stop.abort(error);
    this.request.body.destroy(new Error('upload ended', { cause: error }));
  }

  /** Waits for what the upload needs to begin, but not beyond its first error: a silent store answers after minutes. */
  async orFirstError<Answer>(answer: Promise<Answer>): Promise<Answer> {
    const { signal } = this.stop;
    signal.throwIfAborted();
    const failed = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    return await Promise.race([answer, failed]);
  }

  end(): void {
    this.request.signal?.removeEventListener('abort', this.onCancel);
  }

  /** The body, counted, and refused past `maxBytes`, where the store's part numbers end. */
  countedBody(maxBytes: number): Readable {
    return Readable.from(this.readBody(maxBytes), { objectMode: false });
  }

  private async *readBody(maxBytes: number): AsyncGenerator<Buffer> {
    try {
      for await (const chunk of this.request.body) {
        const buffer = typeof chunk === 'string' ? Buffer.from(chunk) : (chunk as Buffer);
        this.bytes += buffer.length;
        if (this.bytes > maxBytes) {
          throw new StorageError(
            'UPLOAD_TOO_LARGE',
            `body of unknown length has more than the ${maxBytes} bytes that this store's parts hold; raise S3_PART_SIZE_BYTES`,
          );
        }
        this.request.onChunk?.(buffer);
        yield buffer;
      }
    } catch (error) {
      this.fail(error);
      throw error;
    }
    this.isBodyRead = true;
  }

  /**
   * lib-storage takes an S3Client and uses these two members of it. `hasContentMd5`: parts carry Content-MD5, so that
   * the store notices a changed byte.
   */
  asClient({ hasContentMd5 }: { hasContentMd5: boolean }): S3Client {
    const client: Pick<S3Client, 'config' | 'send'> = {
      config: this.clients.parts.config,
      send: ((command: UploadCommand) => this.send(command, hasContentMd5)) as S3Client['send'],
    };
    return client as S3Client;
  }

  private async send(command: UploadCommand, hasContentMd5: boolean): Promise<unknown> {
    try {
      this.stop.signal.throwIfAborted();
      if (command instanceof CreateMultipartUploadCommand) return await this.create(command);
      if (command instanceof CompleteMultipartUploadCommand) return await this.complete(command);
      if (hasContentMd5 && (command instanceof PutObjectCommand || command instanceof UploadPartCommand)) {
        // lib-storage hands over whole buffers, never a stream.
        command.input.ContentMD5 = createHash('md5')
          .update(command.input.Body as Buffer)
          .digest('base64');
      }
      if (command instanceof PutObjectCommand) {
        await this.request.hooks?.beforeObject?.(this.bytes);
        this.isPutSent = true;
        return await this.ask(this.clients.parts.send(command, { abortSignal: this.stop.signal }));
      }
      if (command instanceof UploadPartCommand) {
        return await this.ask(this.clients.parts.send(command, { abortSignal: this.stop.signal }));
      }
      throw new Error('lib-storage sent a command that is not known here');
    } catch (error) {
      this.fail(error);
      throw error;
    }
  }

  private async create(command: CreateMultipartUploadCommand): Promise<CreateMultipartUploadCommandOutput> {
    // Not cut off by a cancel: an upload that the store began but whose id nobody read could never be cleaned up.
    const created = await this.ask(this.clients.control.send(command));
    if (!created.UploadId) throw new StorageError('UPLOAD_FAILED', 'the store began an upload and gave it no id');
    this.uploadId = created.UploadId;
    await this.request.hooks?.onUploadId?.(created.UploadId);
    return created;
  }

  private async complete(command: CompleteMultipartUploadCommand): Promise<CompleteMultipartUploadCommandOutput> {
    await this.request.hooks?.beforeObject?.(this.bytes);
    this.stop.signal.throwIfAborted();
    this.completion = { parts: command.input.MultipartUpload?.Parts ?? [] };
    try {
      // Never cut off: a Complete that was received goes on in the store whatever its client does.
      return await this.ask(this.clients.control.send(command));
    } catch (error) {
      this.completion.error = error;
      throw error;
    }
  }

  /** Only what the store answers is told as the store's error: hooks and the body have errors of their own. */
  private async ask<Answer>(answer: Promise<Answer>): Promise<Answer> {
    try {
      return await answer;
    } catch (error) {
      throw toStoreError(error, 'upload of', this.request);
    }
  }
}
