/** A connection this fast is no bottleneck that more of them would widen. In bytes a second. */
const FAST_BYTES_PER_SECOND = 64 * 1024 * 1024;
/** What more connections must bring to be kept. */
const WORTHWHILE_GAIN = 1.25;
/** Share of the time in which nobody had asked for bytes, above which the source is not the bottleneck. */
const IDLE_SHARE = 0.3;
/** Ticks that new connections get to show what they bring. */
const TRIAL_TICKS = 4;
/** After a trial in vain, a fault, or a connection that was fast. In ms. */
const REST_MS = 30_000;

export interface ScaleTick {
  /** Read from the source since the tick before. */
  readonly bytes: number;
  readonly elapsedMs: number;
  /** Of that, the time in which no buffer was there to read into. */
  readonly idleMs: number;
}

/**
 * How many connections read one file: 1, 2, 4 ... as long as each step brings more. It is a hill climbed step by step,
 * because no header says whether a source limits the connection, the client or nothing.
 */
export class ConnectionScale {
  private current = 1;
  private trial: { rate: number; before: number; ticks: number } | undefined;
  private restMs = 0;

  constructor(private max: number) {}

  /** Connections of use now. */
  get wanted(): number {
    return this.current;
  }

  tick({ bytes, elapsedMs, idleMs }: ScaleTick): void {
    this.restMs = Math.max(0, this.restMs - elapsedMs);
    const rate = (bytes / elapsedMs) * 1_000;
    if (this.trial !== undefined && !this.judge(this.trial, rate)) return;
    const isFast = rate >= FAST_BYTES_PER_SECOND * this.current;
    // One slow moment of a fast connection says nothing of the source: this process may have had no time.
    if (isFast) this.restMs = REST_MS;
    const isBottleneck = idleMs < elapsedMs * IDLE_SHARE && !isFast;
    if (this.restMs > 0 || !isBottleneck || this.current >= this.max) return;
    this.trial = { rate, before: this.current, ticks: 0 };
    this.current = Math.min(this.max, this.current * 2);
  }

  /** A connection failed while others read: go on with those. */
  shrink(connections: number): void {
    this.trial = undefined;
    this.current = Math.max(1, Math.min(this.current, connections));
    this.restMs = REST_MS;
  }

  /** The source gives no ranges, or not as asked. */
  forbid(): void {
    this.max = 1;
    this.shrink(1);
  }

  /** True once the trial is over. */
  private judge(trial: { rate: number; before: number; ticks: number }, rate: number): boolean {
    trial.ticks += 1;
    if (rate < trial.rate * WORTHWHILE_GAIN) {
      if (trial.ticks < TRIAL_TICKS) return false;
      this.current = trial.before;
      this.restMs = REST_MS;
    }
    this.trial = undefined;
    return true;
  }
}
