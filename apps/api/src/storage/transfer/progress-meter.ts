/** Rates are those of the last seconds, not of the whole: a source that has slowed down shows at once. */
const RATE_WINDOW_MS = 5_000;
const SAMPLE_EVERY_MS = 250;

export interface TransferProgress {
  /** Read from the source so far. */
  bytes: number;
  /** Announced by the source; null when it did not say. */
  totalBytes: number | null;
  /** Of the last five seconds; null in the first quarter of a second. */
  bytesPerSecond: number | null;
  /** At that rate; null where the rate or the total is not known. */
  secondsLeft: number | null;
}

/** Counts what was read, and how fast. */
export class ProgressMeter {
  bytes = 0;
  totalBytes: number | null = null;
  private toldBytes = -1;
  private readonly samples: { at: number; bytes: number }[];

  constructor(private readonly now: () => number = performance.now.bind(performance)) {
    this.samples = [{ at: now(), bytes: 0 }];
  }

  /** True when a sample was taken, at most four times a second: a good moment to tell somebody. */
  add(bytes: number): boolean {
    this.bytes += bytes;
    const at = this.now();
    const last = this.samples.at(-1);
    if (last !== undefined && at - last.at < SAMPLE_EVERY_MS) return false;
    this.samples.push({ at, bytes: this.bytes });
    while (this.samples.length > 2 && at - (this.samples[0]?.at ?? at) > RATE_WINDOW_MS) this.samples.shift();
    return true;
  }

  /** What an earlier try has read counts as read, and not for the rate. */
  resumeFrom(bytes: number): void {
    this.bytes = bytes;
    this.samples.splice(0, this.samples.length, { at: this.now(), bytes });
  }

  /** The source begins anew. */
  restart(): void {
    this.resumeFrom(0);
  }

  /** False when these very bytes were told already. */
  isNews(): boolean {
    const isNews = this.bytes !== this.toldBytes;
    this.toldBytes = this.bytes;
    return isNews;
  }

  read(): TransferProgress {
    const { bytes, totalBytes } = this;
    const first = this.samples[0];
    const last = this.samples.at(-1);
    const elapsedMs = (last?.at ?? 0) - (first?.at ?? 0);
    const bytesPerSecond = elapsedMs > 0 ? (((last?.bytes ?? 0) - (first?.bytes ?? 0)) * 1_000) / elapsedMs : null;
    const canEnd = totalBytes !== null && bytesPerSecond !== null && bytesPerSecond > 0;
    return { bytes, totalBytes, bytesPerSecond, secondsLeft: canEnd ? (totalBytes - bytes) / bytesPerSecond : null };
  }
}
