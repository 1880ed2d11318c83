/** Notices a source that sends, but too slowly to ever end: the stall limit alone sees each byte as life. */
export class RateWatch {
  private waitedMs = 0;
  private bytes = 0;

  constructor(
    private readonly minBytesPerSecond: number,
    private readonly windowMs: number,
  ) {}

  /** True when the window is over and the rate in it was too low. Only time in which bytes were wanted counts. */
  isTooSlow(bytes: number, waitedMs: number): boolean {
    this.bytes += bytes;
    this.waitedMs += waitedMs;
    if (this.waitedMs < this.windowMs) return false;
    const isTooSlow = this.bytes < (this.minBytesPerSecond * this.waitedMs) / 1_000;
    this.waitedMs = 0;
    this.bytes = 0;
    return isTooSlow;
  }
}
