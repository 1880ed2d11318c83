import pLimit, { type LimitFunction } from 'p-limit';

/**
 * How many transfers stream at once: in this process, and of those from one host. A transfer that waits for its host
 * holds no place of the process, so that a slow host delays its own files alone; within each queue the first comes first.
 */
export class TransferSlots {
  private readonly all: LimitFunction;
  private readonly hosts = new Map<string, LimitFunction>();

  constructor(
    concurrency: number,
    private readonly concurrencyPerHost: number,
  ) {
    this.all = pLimit(concurrency);
  }

  /** Transfers that could begin now. */
  get freeCount(): number {
    return this.all.concurrency - this.all.activeCount - this.all.pendingCount;
  }

  /** Of each host that is in use: how many of its transfers could begin now, below 1 where some wait. */
  freePlaces(): Map<string, number> {
    const places = [...this.hosts].map(([host, { activeCount, pendingCount }]) => {
      return [host, this.concurrencyPerHost - activeCount - pendingCount] as const;
    });
    return new Map(places);
  }

  /** Runs `task` when there is a place for it. `host`: null where the bytes come from this process. */
  run<Result>(host: string | null, task: () => Promise<Result>): Promise<Result> {
    if (host === null) return this.all(task);
    const limit = this.hosts.get(host) ?? pLimit(this.concurrencyPerHost);
    this.hosts.set(host, limit);
    return limit(() => this.all(task)).finally(() => {
      if (limit.activeCount + limit.pendingCount === 0) this.hosts.delete(host);
    });
  }
}
