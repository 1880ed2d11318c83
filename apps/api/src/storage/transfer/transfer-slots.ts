import pLimit, { type LimitFunction } from 'p-limit';

/** For which a host is known to be slow after it was seen to be, in ms. */
const SLOW_HOST_MS = 10 * 60_000;
/** Slow hosts that are known at once: each look at the queue names them. */
const SLOW_HOSTS = 1_000;

/** What a transfer holds while it streams. */
export interface Place {
  /** Leaves the place to the next, and goes on beside. False: as many do so as may, and it keeps the place. */
  stepAside(): boolean;
}

/** Of a transfer that is in nobody's way. */
const ASIDE: Place = { stepAside: () => true };
const FIXED: Place = { stepAside: () => false };

/**
 * How many transfers stream at once: in this process, and of those from one host. A transfer that waits for its host
 * holds no place of the process, so that a full host delays its own files alone; within each queue the first comes first.
 *
 * Slow transfers take little but time, and part buffers for long. They go on beside the places, as many at once as
 * `slowConcurrency` says; those of a host that was seen to be slow begin there.
 */
export class TransferSlots {
  private readonly all: LimitFunction;
  private readonly slow: LimitFunction;
  private readonly hosts = new Map<string, LimitFunction>();
  /** Until when each is known to be slow, the latest last. */
  private readonly slowHosts = new Map<string, number>();

  constructor(
    concurrency: number,
    private readonly concurrencyPerHost: number,
    slowConcurrency = concurrency,
    private readonly now: () => number = performance.now.bind(performance),
  ) {
    this.all = pLimit(concurrency);
    this.slow = pLimit(slowConcurrency);
  }

  /** Transfers that could begin now. */
  get freeCount(): number {
    return this.all.concurrency - this.all.activeCount - this.all.pendingCount;
  }

  /** Of each host that is in use, or known to be slow: how many of its transfers could begin now, below 1 where some wait. */
  freePlaces(): Map<string, number> {
    const places = new Map<string, number>();
    for (const host of [...this.hosts.keys(), ...this.slowHosts.keys()]) {
      const { activeCount, pendingCount } = this.hosts.get(host) ?? { activeCount: 0, pendingCount: 0 };
      const ofHost = this.concurrencyPerHost - activeCount - pendingCount;
      places.set(host, this.isSlow(host) ? Math.min(ofHost, this.slow.concurrency - this.slowCount) : ofHost);
    }
    return places;
  }

  /** Transfers that stream beside, or wait to. */
  get slowCount(): number {
    return this.slow.activeCount + this.slow.pendingCount;
  }

  markSlow(host: string): void {
    this.slowHosts.delete(host);
    this.slowHosts.set(host, this.now() + SLOW_HOST_MS);
    const [longestKnown = host] = this.slowHosts.keys();
    if (this.slowHosts.size > SLOW_HOSTS) this.slowHosts.delete(longestKnown);
  }

  markFast(host: string): void {
    this.slowHosts.delete(host);
  }

  /** Runs `task` when there is a place for it. `host`: null where the bytes come from this process. */
  run<Result>(host: string | null, task: (place: Place) => Promise<Result>): Promise<Result> {
    if (host === null) return this.all(() => task(FIXED));
    const limit = this.hosts.get(host) ?? pLimit(this.concurrencyPerHost);
    this.hosts.set(host, limit);
    return limit(() => this.enter(host, task)).finally(() => {
      if (limit.activeCount + limit.pendingCount === 0) this.hosts.delete(host);
    });
  }

  private enter<Result>(host: string, task: (place: Place) => Promise<Result>): Promise<Result> {
    return this.isSlow(host) ? this.slow(() => task(ASIDE)) : this.runInPlace(task);
  }

  /** The place is free again when the task has ended, or stepped aside. */
  private async runInPlace<Result>(task: (place: Place) => Promise<Result>): Promise<Result> {
    const left = Promise.withResolvers<void>();
    const stepAside = () => {
      if (!this.hasRoomAside()) return false;
      void this.slow(() => ended.promise);
      left.resolve();
      return true;
    };
    const ended = Promise.withResolvers<void>();
    let running: Promise<Result> | undefined;
    await this.all(async () => {
      running = task({ stepAside }).finally(() => ended.resolve());
      await Promise.race([running.catch(() => {}), left.promise]);
    });
    return (await running) as Result;
  }

  private hasRoomAside(): boolean {
    return this.slowCount < this.slow.concurrency;
  }

  private isSlow(host: string): boolean {
    const until = this.slowHosts.get(host);
    if (until === undefined) return false;
    if (until > this.now()) return true;
    this.slowHosts.delete(host);
    return false;
  }
}
