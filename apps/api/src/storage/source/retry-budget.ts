/** Longest wait between two tries, and the longest that a source may ask for by Retry-After. In ms. */
const MAX_DELAY_MS = 30_000;
const MAX_RETRY_AFTER_MS = 120_000;
/** A try that brought this much counts as progress: a source that breaks off every few bytes would never be given up. */
const PROGRESS_BYTES = 64 * 1024;

/** Tries in a row that brought nothing. The first after progress waits for nothing, unless the source asks for it. */
export class RetryBudget {
  private failures = 0;
  private bytes = 0;
  private isAfterProgress = false;

  constructor(
    private readonly options: { readonly maxRetries: number; readonly retryDelayMs: number },
    private readonly random: () => number = Math.random,
  ) {}

  /** True when enough came to forget the failures before. */
  progress(bytes: number): boolean {
    this.bytes += bytes;
    if (this.bytes < PROGRESS_BYTES) return false;
    this.bytes = 0;
    this.failures = 0;
    this.isAfterProgress = true;
    return true;
  }

  /** Milliseconds to wait before the next try; null when there is none left. */
  next(retryAfterMs: number): number | null {
    this.failures += 1;
    this.bytes = 0;
    const { maxRetries, retryDelayMs } = this.options;
    if (this.failures > maxRetries || retryAfterMs > MAX_RETRY_AFTER_MS) return null;
    const doublings = this.failures - (this.isAfterProgress ? 2 : 1);
    const backoffMs = doublings < 0 ? 0 : Math.min(MAX_DELAY_MS, retryDelayMs * 2 ** doublings);
    // Half of it by chance, so that many transfers of one source do not come back at once.
    return Math.max(retryAfterMs, backoffMs * (0.5 + this.random() / 2));
  }
}
