import { StorageError } from '../storage.errors.js';
import type { TransferProgress } from './progress-meter.js';

/** How long a caller waits for a transfer, and what it wants to hear meanwhile. */
export interface WaitOptions {
  /** Called up to four times a second, and at the end. */
  onProgress?: (progress: TransferProgress) => void;
  /** Ends the waiting; the transfer goes on. */
  signal?: AbortSignal;
  /** Longest wait in ms; the transfer goes on after it. */
  waitMs?: number;
}

/** A caller's patience with one transfer. `end` it when nobody waits any more. */
export class Waiting {
  readonly onProgress: ((progress: TransferProgress) => void) | undefined;
  private readonly ended = Promise.withResolvers<never>();
  private readonly timer: NodeJS.Timeout | undefined;
  private readonly signal: AbortSignal | undefined;
  private readonly stop = () => {
    const message = `file ${this.fileId} is still being transferred; read its status later`;
    this.ended.reject(new StorageError('TRANSFER_GOES_ON', message));
  };

  constructor(
    private readonly fileId: string,
    { onProgress, signal, waitMs }: WaitOptions,
  ) {
    this.onProgress = onProgress;
    this.signal = signal;
    this.ended.promise.catch(() => {}); // It may end while nothing is waited for.
    if (signal?.aborted) this.stop();
    signal?.addEventListener('abort', this.stop, { once: true });
    if (waitMs !== undefined) this.timer = setTimeout(this.stop, waitMs);
  }

  /** @throws StorageError TRANSFER_GOES_ON */
  async for<Result>(result: Promise<Result>): Promise<Result> {
    return await Promise.race([this.ended.promise, result]);
  }

  end(): void {
    clearTimeout(this.timer);
    this.signal?.removeEventListener('abort', this.stop);
  }
}
