import type { CompletedPart } from '@aws-sdk/client-s3';
import pLimit from 'p-limit';
import type { ByteSource } from '../source/byte-source.js';
import { StorageError } from '../storage.errors.js';
import type { PartBufferShare } from './part-buffer-pool.js';
import { tooManyParts } from './part-plan.js';
import type { UploadAttempt } from './upload-attempt.js';

export interface PartLoopPlan {
  readonly partSizeBytes: number;
  readonly maxParts: number;
  /** Parts in flight at once. */
  readonly queueSize: number;
  /** The first parts, where the store has them already: the source goes on behind them. */
  readonly stored?: readonly CompletedPart[];
}

/** Bytes of the source in a buffer of the pool. */
export interface FilledPart {
  readonly number: number;
  readonly body: Buffer;
  /** As the pool gave it; `body` lies in it. */
  readonly buffer: Buffer;
}

type SendPart = (part: FilledPart) => Promise<CompletedPart>;

/**
 * Reads a source into part buffers and hands each on while the next are read.
 *
 * Reads begin in order, so that parts hold the bytes in order; they may end, and parts may be sent, out of order, but
 * never more than `queueSize` numbers ahead of the first one that the store has not taken: what lies behind that one is
 * read again after a crash. Buffers in use: the parts in flight, and the reads that the source has use for.
 */
export class PartLoop {
  private readonly parts: CompletedPart[];
  /** How many of the first parts the store has, without a gap. */
  private taken: number;
  private readonly slots: ReturnType<typeof pLimit>;
  /** Parts that are being read, or wait for those before them to be sent. */
  private pending = 0;
  private isEnded = false;
  private changed = Promise.withResolvers<void>();

  constructor(
    private readonly source: ByteSource,
    private readonly share: PartBufferShare,
    private readonly plan: PartLoopPlan,
    private readonly attempt: UploadAttempt,
  ) {
    this.parts = [...(plan.stored ?? [])];
    this.taken = this.parts.length;
    this.slots = pLimit(plan.queueSize);
    attempt.signal.addEventListener('abort', () => this.tellChange(), { once: true });
  }

  /** The first part alone, to see whether it is the whole file; the source cannot begin anew behind it. */
  async readFirst(): Promise<FilledPart & { isWholeFile: boolean }> {
    const part = await this.read(1, await this.share.acquire(this.attempt.signal));
    const { length } = this.source;
    if (this.isEnded || (length !== null && this.attempt.bytes >= length)) await this.expectEnd();
    return { ...part, isWholeFile: this.isEnded };
  }

  /**
   * Sends what is left of the source, after `first` where that was read already, and gives the parts in order.
   *
   * Ends when no read and no part is under way any more, whatever happened.
   * @throws the first error
   */
  async run(send: SendPart, first?: FilledPart): Promise<CompletedPart[]> {
    const tasks: Promise<void>[] = [];
    try {
      if (first !== undefined) tasks.push(this.carry(Promise.resolve(first), send));
      for (let number = (first?.number ?? this.taken) + 1; await this.isReadUseful(number); number += 1) {
        const buffer = await this.share.acquire(this.attempt.signal);
        tasks.push(this.carry(this.read(number, buffer), send));
      }
    } catch (error) {
      this.attempt.fail(error);
    }
    await Promise.all(tasks);
    this.attempt.signal.throwIfAborted();
    await this.expectEnd();
    return this.parts;
  }

  /** The end is proven: nothing follows, and where the length was told, it is the one that was read. */
  private async expectEnd(): Promise<void> {
    const { source, attempt, plan } = this;
    const surplus = this.isEnded ? 0 : await source.read(Buffer.alloc(1));
    this.isEnded = true;
    if (source.length === null && surplus > 0) throw tooManyParts(plan);
    if (source.length !== null && attempt.bytes + surplus > source.length) {
      throw new StorageError('SOURCE_PROTOCOL', `source sent more than the ${source.length} bytes it announced`);
    }
    if (source.length !== null && attempt.bytes < source.length) {
      const message = `source ended after ${attempt.bytes} of the ${source.length} bytes it announced`;
      throw new StorageError('SOURCE_TRUNCATED', message);
    }
  }

  private async isReadUseful(number: number): Promise<boolean> {
    const { source, attempt, plan } = this;
    const readsAtOnce = () => Math.max(1, source.readsAtOnce);
    const isEnough = () => this.pending >= readsAtOnce() || !this.isNear(number, readsAtOnce() - 1);
    while (isEnough() && !attempt.signal.aborted) await this.changed.promise;
    attempt.signal.throwIfAborted();
    const last = source.length === null ? plan.maxParts : Math.ceil(source.length / plan.partSizeBytes);
    return !this.isEnded && number <= last;
  }

  /** Whether a part is no more than `queueSize` numbers, and so many `more`, ahead of the first that is not taken. */
  private isNear(number: number, more = 0): boolean {
    return number <= this.taken + 1 + this.plan.queueSize + more;
  }

  private async untilNear(number: number): Promise<void> {
    while (!this.isNear(number) && !this.attempt.signal.aborted) await this.changed.promise;
  }

  /** Begins at once to read. A byte more than is expected is asked for where it fits, so that a short read proves the end. */
  private async read(number: number, buffer: Buffer): Promise<FilledPart> {
    const { partSizeBytes } = this.plan;
    const expected = (this.source.length ?? Number.POSITIVE_INFINITY) - (number - 1) * partSizeBytes;
    const wanted = Math.min(buffer.length, partSizeBytes, expected + 1);
    try {
      const bytes = await this.source.read(buffer.subarray(0, wanted));
      this.attempt.bytes += bytes;
      this.isEnded ||= bytes < wanted;
      return { number, body: buffer.subarray(0, bytes), buffer };
    } catch (error) {
      this.share.release(buffer);
      throw error;
    }
  }

  private async carry(filling: Promise<FilledPart>, send: SendPart): Promise<void> {
    this.pending += 1;
    let isPending = true;
    const leave = () => {
      if (isPending) this.pending -= 1;
      isPending = false;
      this.tellChange();
    };
    try {
      const part = await filling;
      try {
        await this.untilNear(part.number);
        await this.slots(async () => {
          leave();
          if (part.body.length > 0 || part.number === 1) await this.send(part, send);
        });
      } finally {
        this.share.release(part.buffer);
      }
    } catch (error) {
      this.attempt.fail(error);
    } finally {
      leave();
    }
  }

  private async send(part: FilledPart, send: SendPart): Promise<void> {
    this.attempt.signal.throwIfAborted();
    this.parts[part.number - 1] = await send(part);
    while (this.parts[this.taken] !== undefined) this.taken += 1;
  }

  private tellChange(): void {
    this.changed.resolve();
    this.changed = Promise.withResolvers();
  }
}
