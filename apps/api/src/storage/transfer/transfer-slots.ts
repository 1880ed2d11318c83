/** For which a host is known to be slow after it was seen to be, in ms. */
const SLOW_HOST_MS = 10 * 60_000;
/** Slow hosts that are known at once: each look at the queue names them. */
const SLOW_HOSTS = 1_000;

/** How many transfers stream at once. */
export interface SlotLimits {
  /** In this process. */
  readonly all: number;
  /** Of those from one host, slow ones too. */
  readonly perHost: number;
  /** Of those of one workspace. */
  readonly perWorkspace: number;
  /** Slow ones, beside all others. */
  readonly aside: number;
}

/** What a transfer holds while it streams. */
export interface Place {
  /** Leaves the place to the next, and goes on beside. False: as many do so as may, and it keeps the place. */
  stepAside(): boolean;
}

/** Whose transfer it is, and from where; `host`: null where the bytes come from this process. */
export interface TransferOrigin {
  readonly workspaceId: string;
  readonly host: string | null;
}

interface Transfer extends TransferOrigin {
  readonly begin: () => void;
  isAside: boolean;
}

/**
 * How many transfers stream at once: in this process, and of those from one host and of one workspace. A transfer that
 * waits holds nothing, so that a full host delays its own files alone, and so does a full workspace. A place that becomes
 * free goes to the workspace that has fewest transfers under way here, and to the first come among equals.
 *
 * Slow transfers take little but time, and part buffers for long. They go on beside the places of the process and of
 * their workspace, as many at once as `aside` says; those of a host that was seen to be slow begin there.
 */
export class TransferSlots {
  private readonly streaming = new Set<Transfer>();
  /** The first come first. */
  private readonly waiting = new Set<Transfer>();
  /** Until when each is known to be slow, the latest last. */
  private readonly slowHosts = new Map<string, number>();

  constructor(
    private readonly limits: SlotLimits,
    private readonly now: () => number = performance.now.bind(performance),
  ) {}

  /** Transfers that could begin now. */
  get freeCount(): number {
    return this.limits.all - this.streaming.size + this.slowCount;
  }

  /** Of each host that is in use, or known to be slow: how many of its transfers could begin now. */
  freePlaces(): Map<string, number> {
    const places = new Map<string, number>();
    const placesAside = this.limits.aside - this.slowCount;
    const counts = countBy(this.streaming, ({ host }) => host);
    for (const host of [...counts.keys(), ...this.slowHosts.keys()]) {
      if (host === null) continue;
      const ofHost = this.limits.perHost - (counts.get(host) ?? 0);
      places.set(host, this.isSlow(host) ? Math.min(ofHost, placesAside) : ofHost);
    }
    return places;
  }

  /** Of each workspace that is in use: how many of its transfers could begin now. */
  freePlacesOfWorkspaces(): Map<string, number> {
    const counts = countBy(this.inPlaces(), ({ workspaceId }) => workspaceId);
    return new Map([...counts].map(([workspaceId, count]) => [workspaceId, this.limits.perWorkspace - count]));
  }

  /** Transfers that stream beside. */
  get slowCount(): number {
    return this.streaming.size - this.inPlaces().length;
  }

  markSlow(host: string): void {
    this.slowHosts.delete(host);
    this.slowHosts.set(host, this.now() + SLOW_HOST_MS);
    const [longestKnown = host] = this.slowHosts.keys();
    if (this.slowHosts.size > SLOW_HOSTS) this.slowHosts.delete(longestKnown);
  }

  markFast(host: string): void {
    if (this.slowHosts.delete(host)) this.beginWaiting();
  }

  /** Runs `task` when there is a place for it. */
  async run<Result>({ workspaceId, host }: TransferOrigin, task: (place: Place) => Promise<Result>): Promise<Result> {
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const transfer = { workspaceId, host, begin, isAside: false };
    this.waiting.add(transfer);
    this.beginNext([transfer]); // What lets others begin tells them itself.
    await begun;
    try {
      return await task({ stepAside: () => this.stepAside(transfer) });
    } finally {
      this.streaming.delete(transfer);
      this.beginWaiting();
    }
  }

  private stepAside(transfer: Transfer): boolean {
    if (transfer.isAside) return true;
    if (transfer.host === null || this.slowCount >= this.limits.aside) return false;
    transfer.isAside = true;
    this.beginWaiting();
    return true;
  }

  private beginWaiting(): void {
    while (this.beginNext(this.waiting));
  }

  /** False: none of the candidates may begin. */
  private beginNext(candidates: Iterable<Transfer>): boolean {
    const next = this.nextOf(candidates);
    if (next === undefined) return false;
    this.waiting.delete(next);
    this.streaming.add(next);
    next.isAside = this.isSlow(next.host);
    next.begin();
    return true;
  }

  private nextOf(candidates: Iterable<Transfer>): Transfer | undefined {
    const mayBegin = this.look();
    const underWay = countBy(this.streaming, ({ workspaceId }) => workspaceId);
    let next: Transfer | undefined;
    let fewest = Number.POSITIVE_INFINITY;
    for (const candidate of candidates) {
      const count = underWay.get(candidate.workspaceId) ?? 0;
      if (count >= fewest || !mayBegin(candidate)) continue;
      next = candidate;
      fewest = count;
    }
    return next;
  }

  /** Says of a transfer whether it may begin, as long as nothing begins or ends. */
  private look(): (transfer: Transfer) => boolean {
    const [hosts, workspaces] = [this.freePlaces(), this.freePlacesOfWorkspaces()];
    const hasPlace = this.freeCount > 0;
    return ({ workspaceId, host }) => {
      if (host !== null && (hosts.get(host) ?? 1) <= 0) return false;
      return this.isSlow(host) || (hasPlace && (workspaces.get(workspaceId) ?? 1) > 0);
    };
  }

  private inPlaces(): Transfer[] {
    return [...this.streaming].filter(({ isAside }) => !isAside);
  }

  private isSlow(host: string | null): boolean {
    if (host === null) return false;
    const until = this.slowHosts.get(host);
    if (until === undefined) return false;
    if (until > this.now()) return true;
    this.slowHosts.delete(host);
    return false;
  }
}

function countBy<Item, Key>(items: Iterable<Item>, keyOf: (item: Item) => Key): Map<Key, number> {
  const counts = new Map<Key, number>();
  for (const item of items) counts.set(keyOf(item), (counts.get(keyOf(item)) ?? 0) + 1);
  return counts;
}
