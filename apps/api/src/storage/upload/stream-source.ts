import type { Readable } from 'node:stream';
import type { ByteSource } from '../source/byte-source.js';
import { StorageError } from '../storage.errors.js';

export interface StreamSourceOptions {
  /** Where it is known before the end; the stream must then have exactly as many bytes. */
  length?: number | null;
  contentEncoding?: string | null;
  maxBytes?: number;
  /** Sees every byte once and in order, before the read that carries it resolves. Valid during the call alone. */
  onBytes?: (bytes: Buffer) => void;
  /** Sees the beginning of the file before it is handed out; an error refuses it. */
  inspect?: (beginning: Buffer) => Promise<void>;
}

/** A stream of this process as a source of bytes: read one chunk at a time, copied once. */
export class StreamSource implements ByteSource {
  readonly length: number | null;
  readonly contentEncoding: string | null;
  readonly isLengthVerified = true;
  /** No other process has the stream. */
  readonly version = null;
  readonly readsAtOnce = 1;

  private readonly chunks: AsyncIterator<unknown>;
  /** What the last chunk has beyond the buffer it was read for. */
  private rest: Buffer = Buffer.alloc(0);
  private bytes = 0;
  private isInspected = false;
  private isEnded = false;
  private lastRead: Promise<unknown> = Promise.resolve();
  private readonly failed = Promise.withResolvers<never>();
  private error: unknown;

  constructor(
    private readonly stream: Readable,
    private readonly options: StreamSourceOptions = {},
  ) {
    this.length = options.length ?? null;
    this.contentEncoding = options.contentEncoding ?? null;
    this.failed.promise.catch(() => {}); // Nobody may be reading when it fails.
    // Also while nobody reads: an error that nobody listens to would end the process.
    stream.on('error', (error) => this.fail(error));
    this.chunks = stream[Symbol.asyncIterator]();
  }

  read(buffer: Buffer): Promise<number> {
    const reading = this.lastRead.then(() => this.fill(buffer));
    this.lastRead = reading.catch(() => {}); // Its own caller is told; the next read fails by itself.
    // Once a read, not once a chunk: what lost a race against a promise that lives on is kept as long as that.
    return Promise.race([reading, this.failed.promise]);
  }

  destroy(reason: Error): void {
    this.fail(reason);
    // A stream that ended well is told no error.
    this.stream.destroy(this.isEnded ? undefined : reason);
  }

  private async fill(buffer: Buffer): Promise<number> {
    let filled = 0;
    try {
      while (filled < buffer.length && (await this.hasRest())) {
        const bytes = this.rest.subarray(0, buffer.length - filled);
        this.rest = this.rest.subarray(bytes.length);
        this.options.onBytes?.(bytes);
        bytes.copy(buffer, filled);
        filled += bytes.length;
      }
      if (!this.isInspected && filled > 0) await this.options.inspect?.(buffer.subarray(0, filled));
      this.isInspected = true;
    } catch (error) {
      this.fail(error);
      throw this.error;
    }
    return filled;
  }

  /** Waits for the next chunk where none is left over; false at the end, which is then the right one. */
  private async hasRest(): Promise<boolean> {
    if (this.error !== undefined) throw this.error;
    while (this.rest.length === 0 && !this.isEnded) {
      const { value, done } = await this.chunks.next();
      if (this.error !== undefined) throw this.error;
      this.isEnded = done === true;
      if (!this.isEnded) this.rest = toBuffer(value);
      this.count(this.rest.length);
    }
    return this.rest.length > 0;
  }

  private count(bytes: number): void {
    this.bytes += bytes;
    const { length } = this;
    const { maxBytes = Number.POSITIVE_INFINITY } = this.options;
    if (this.bytes > maxBytes) {
      throw new StorageError(
        'SOURCE_TOO_LARGE',
        `stream has more than the ${maxBytes} bytes that are allowed (maxBytes)`,
      );
    }
    if (length !== null && this.bytes > length) {
      throw new StorageError('SOURCE_SIZE_MISMATCH', `stream has more than the ${length} bytes that were expected`);
    }
    if (length !== null && this.isEnded && this.bytes < length) {
      const message = `stream has ${this.bytes} bytes, and ${length} were expected`;
      throw new StorageError('SOURCE_SIZE_MISMATCH', message);
    }
  }

  private fail(error: unknown): void {
    if (this.error !== undefined) return;
    this.error = isEarlyClose(error)
      ? new StorageError('SOURCE_TRUNCATED', 'stream was closed before its end', { cause: error })
      : (error ?? new Error('stream failed without a reason'));
    this.failed.reject(this.error);
  }
}

function isEarlyClose(error: unknown): boolean {
  return (error as { code?: unknown } | undefined)?.code === 'ERR_STREAM_PREMATURE_CLOSE';
}

function toBuffer(chunk: unknown): Buffer {
  if (typeof chunk === 'string') return Buffer.from(chunk);
  if (!ArrayBuffer.isView(chunk)) throw new TypeError('stream must give bytes or text, not objects');
  return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
}
