import { Inject, Injectable } from '@nestjs/common';
import { StorageError } from '../storage.errors.js';
import { STORAGE_OPTIONS, type StorageOptions } from '../storage.options.js';

const KiB = 1024;
const SMALLEST_BUFFER_BYTES = 64 * KiB;
/** Sizes between a power of two and the next. More: less waste in a buffer, fewer that fit again. */
const SIZES_PER_DOUBLING = 8;
/** A buffer that nobody wanted for so long goes back to the system. In ms. */
const IDLE_MS = 10_000;

interface Waiter {
  readonly share: PartBufferShare;
  give(buffer: Buffer): void;
}

/**
 * The part buffers of this process: all transfers together never hold more than TRANSFER_MEMORY_BYTES, and buffers are
 * used again, because 10 MiB of garbage a part is what costs a transfer most after its hash.
 *
 * Who holds least is served first, then who came first: each transfer goes on with one buffer at least, so the budget
 * lowers the parts in flight of a transfer, down to one, before it makes anybody wait.
 */
@Injectable()
export class PartBufferPool {
  private readonly budgetBytes: number;
  private heldBytes = 0;
  private freeBytes = 0;
  /** Longest unused first. */
  private free: { buffer: Buffer; since: number }[] = [];
  private waiters: Waiter[] = [];
  private idleTimer: NodeJS.Timeout | undefined;

  constructor(@Inject(STORAGE_OPTIONS) { memoryBytes }: Pick<StorageOptions, 'memoryBytes'>) {
    this.budgetBytes = memoryBytes;
  }

  /** What the buffers in use and those kept for the next user take, in bytes. */
  get bytes(): { held: number; free: number } {
    return { held: this.heldBytes, free: this.freeBytes };
  }

  /**
   * The buffers of one transfer, each of at least `bytes`.
   *
   * @throws StorageError UPLOAD_TOO_LARGE when not one of them fits into the budget
   */
  open(bytes: number): PartBufferShare {
    if (bytes > this.budgetBytes) {
      throw new StorageError(
        'UPLOAD_TOO_LARGE',
        `a part of ${bytes} bytes does not fit into the ${this.budgetBytes} bytes for all parts; raise TRANSFER_MEMORY_BYTES or lower S3_PART_SIZE_BYTES`,
      );
    }
    return new PartBufferShare(this, Math.min(roundUp(bytes), this.budgetBytes));
  }

  /** For PartBufferShare alone. */
  async take(share: PartBufferShare, signal: AbortSignal): Promise<Buffer> {
    signal.throwIfAborted();
    return await new Promise((resolve, reject) => {
      const leave = () => {
        this.waiters = this.waiters.filter((other) => other !== waiter);
        reject(signal.reason);
        this.serve(); // Others may have waited for this one's turn.
      };
      const give = (buffer: Buffer) => {
        signal.removeEventListener('abort', leave);
        resolve(buffer);
      };
      const waiter = { share, give };
      signal.addEventListener('abort', leave, { once: true });
      this.waiters.push(waiter);
      this.serve();
    });
  }

  /** For PartBufferShare alone. */
  giveBack(buffer: Buffer): void {
    this.heldBytes -= buffer.length;
    this.freeBytes += buffer.length;
    this.free.push({ buffer, since: performance.now() });
    this.serve();
    this.idleTimer ??= setTimeout(() => this.dropIdle(), IDLE_MS).unref();
  }

  /** Strictly in turn: whoever overtakes a large buffer's waiter could do so for ever. */
  private serve(): void {
    while (this.waiters.length > 0) {
      const next = this.waiters.reduce((first, other) =>
        other.share.heldBytes < first.share.heldBytes ? other : first,
      );
      const buffer = this.find(next.share.bufferBytes);
      if (buffer === undefined) return;
      this.waiters = this.waiters.filter((waiter) => waiter !== next);
      this.heldBytes += buffer.length;
      next.share.hold(buffer);
      next.give(buffer);
    }
  }

  private find(bytes: number): Buffer | undefined {
    const position = this.free.findLastIndex(({ buffer }) => buffer.length === bytes);
    if (position >= 0) {
      this.freeBytes -= bytes;
      return this.free.splice(position, 1)[0]?.buffer;
    }
    if (this.heldBytes + bytes > this.budgetBytes) return undefined;
    while (this.heldBytes + this.freeBytes + bytes > this.budgetBytes) this.dropOldest();
    return Buffer.allocUnsafeSlow(bytes);
  }

  private dropIdle(): void {
    const now = performance.now();
    while (this.free[0] !== undefined && now - this.free[0].since >= IDLE_MS) this.dropOldest();
    const [oldest] = this.free;
    this.idleTimer = oldest && setTimeout(() => this.dropIdle(), oldest.since + IDLE_MS - now).unref();
  }

  private dropOldest(): void {
    this.freeBytes -= this.free.shift()?.buffer.length ?? 0;
  }
}

/** The buffers that one transfer holds. */
export class PartBufferShare {
  private readonly held = new Set<Buffer>();

  constructor(
    private readonly pool: PartBufferPool,
    readonly bufferBytes: number,
  ) {}

  get heldBytes(): number {
    return this.held.size * this.bufferBytes;
  }

  /** Waits for its turn. @throws the reason of `signal` */
  async acquire(signal: AbortSignal): Promise<Buffer> {
    return await this.pool.take(this, signal);
  }

  /** For the pool alone: it counts what it gives before anybody reads it. */
  hold(buffer: Buffer): void {
    this.held.add(buffer);
  }

  /** Nothing may read or write the buffer any more. */
  release(buffer: Buffer): void {
    if (this.held.delete(buffer)) this.pool.giveBack(buffer);
  }

  close(): void {
    for (const buffer of [...this.held]) this.release(buffer);
  }
}

/** Few sizes, so that a buffer fits the next small file too: at most an eighth larger than asked for. */
function roundUp(bytes: number): number {
  const doubling = 2 ** Math.floor(Math.log2(Math.max(bytes, SMALLEST_BUFFER_BYTES)));
  const step = Math.max(doubling / SIZES_PER_DOUBLING, SMALLEST_BUFFER_BYTES);
  return Math.max(SMALLEST_BUFFER_BYTES, Math.ceil(bytes / step) * step);
}
