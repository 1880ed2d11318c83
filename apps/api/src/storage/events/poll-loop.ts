interface PollLoopOptions {
  readonly intervalMs: number;
  /** One round. Never two at a time. */
  readonly run: () => Promise<void>;
  readonly onError: (error: unknown) => void;
}

/** By which the wait grows while rounds fail: what they need is away, and each failure is a line in the log. */
const WAIT_AFTER_FAILURE = 10;
const LONGEST_WAIT_AFTER_FAILURE_MS = 10_000;

/** Runs a round at the start, every `intervalMs` after the end of the one before, and as soon as it is poked. */
export class PollLoop {
  private state: 'new' | 'started' | 'stopped' = 'new';
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> | undefined;
  private isPoked = false;
  private hasFailed = false;

  constructor(private readonly options: PollLoopOptions) {}

  start(): void {
    if (this.state === 'new') this.state = 'started';
    this.poke();
  }

  /** A round begins at once; where one runs, after it. */
  poke(): void {
    if (this.state !== 'started') return;
    this.isPoked = true;
    this.running ??= this.runWhilePoked();
  }

  /** Begins no more rounds; resolves when the last one has ended. */
  async stop(): Promise<void> {
    this.state = 'stopped';
    clearTimeout(this.timer);
    await this.running;
  }

  private async runWhilePoked(): Promise<void> {
    clearTimeout(this.timer);
    while (this.isPoked && this.state === 'started') {
      this.isPoked = false;
      await this.runRound();
    }
    this.running = undefined;
    if (this.state !== 'started') return;
    this.timer = setTimeout(() => this.poke(), this.waitMs);
    this.timer.unref();
  }

  private async runRound(): Promise<void> {
    try {
      await this.options.run();
      this.hasFailed = false;
    } catch (error) {
      this.hasFailed = true;
      this.options.onError(error);
    }
  }

  private get waitMs(): number {
    const { intervalMs } = this.options;
    if (!this.hasFailed) return intervalMs;
    return Math.max(intervalMs, Math.min(intervalMs * WAIT_AFTER_FAILURE, LONGEST_WAIT_AFTER_FAILURE_MS));
  }
}
