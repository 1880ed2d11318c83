import type { Dispatcher } from 'undici';

/**
 * The body of one answer, poured into buffers that are lent to it. While none is lent the connection is held back.
 *
 * undici may deliver a few chunks more after it was told to wait; they are kept, and an end or an error is told only
 * after them.
 */
export class SourceBody {
  private readonly kept: Buffer[] = [];
  private target: Buffer | null = null;
  private filled = 0;
  private onBytes: ((count: number) => void) | undefined;
  private settle: { resolve: (count: number) => void; reject: (error: Error) => void } | undefined;
  private end: 'open' | 'ended' | Error = 'open';
  /** Of performance.now(), when the wait for the next byte began. */
  private waitingSince = 0;

  constructor(private readonly controller: Dispatcher.DispatchController) {}

  /**
   * Resolves with the bytes poured into `target`: its length, or less where the body has ended as HTTP marks an end.
   * `onBytes` is told of each chunk after it lies in `target`.
   *
   * @throws the error that the connection ended with, or the reason of `destroy`
   */
  fill(target: Buffer, onBytes: (count: number) => void): Promise<number> {
    return new Promise((resolve, reject) => {
      this.target = target;
      this.filled = 0;
      this.onBytes = onBytes;
      this.settle = { resolve, reject };
      this.waitingSince = performance.now();
      while (this.target !== null && this.kept.length > 0) this.pour(this.kept.shift() as Buffer);
      if (this.target === null) return;
      if (this.end === 'open') this.controller.resume();
      else this.finish();
    });
  }

  /** Whether the body ends where it stands, read on by one byte. */
  async hasEnded(): Promise<boolean> {
    return (await this.fill(Buffer.alloc(1), () => {})) === 0;
  }

  /** How long the fill under way has waited for a byte, in ms; 0 while there is none. */
  get waitedMs(): number {
    return this.target === null ? 0 : performance.now() - this.waitingSince;
  }

  /** Ends the connection; a fill under way fails with `reason`, and its buffer is left alone from now on. */
  destroy(reason: Error): void {
    this.kept.length = 0;
    if (this.end === 'open') {
      this.end = reason;
      this.controller.abort(reason);
    }
    this.release()?.reject(reason);
  }

  handleChunk(chunk: Buffer): void {
    if (this.end !== 'open') return;
    if (this.target === null || this.kept.length > 0) this.kept.push(chunk);
    else this.pour(chunk);
    if (this.target === null) this.controller.pause();
  }

  handleEnd(): void {
    if (this.end === 'open') this.end = 'ended';
    this.finish();
  }

  handleError(error: Error): void {
    if (this.end === 'open') this.end = error;
    this.finish();
  }

  /** Pours what fits, keeps the rest. */
  private pour(chunk: Buffer): void {
    const { target } = this;
    if (target === null) return;
    const count = Math.min(chunk.length, target.length - this.filled);
    chunk.copy(target, this.filled, 0, count);
    this.filled += count;
    this.waitingSince = performance.now();
    if (count < chunk.length) this.kept.unshift(chunk.subarray(count));
    this.onBytes?.(count);
    if (this.filled === target.length) this.release()?.resolve(target.length);
  }

  private finish(): void {
    if (this.target === null) return;
    const { filled, end } = this;
    if (end === 'ended') this.release()?.resolve(filled);
    else if (end !== 'open') this.release()?.reject(end);
  }

  private release() {
    const { settle } = this;
    this.target = null;
    this.settle = undefined;
    this.onBytes = undefined;
    return settle;
  }
}
