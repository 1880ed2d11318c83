import type { ByteSource } from '../source/byte-source.js';

/** A source is judged by so much of the time in which its bytes were waited for, in ms. */
const LOOK_MS = 1_000;

/**
 * How fast a source gives what it is asked for. Only time counts in which its answer or a read is waited for, so that a
 * slow store, or a want of part buffers, never makes a source look slow.
 */
export class SourcePace {
  /** As of the last look. */
  isSlow = false;
  private total = 0;
  private bytes = 0;
  private waitedMs = 0;
  private waits = 0;
  private since = 0;
  private source: ByteSource | undefined;

  constructor(
    private readonly slowBytesPerSecond: number,
    private readonly now: () => number = performance.now.bind(performance),
  ) {}

  /** A source that has not shown that it is not slow is lent one part buffer at a time: it would keep them for long. */
  get isToReadAhead(): boolean {
    return !this.isSlow && this.total >= this.slowBytesPerSecond;
  }

  /** False: whoever goes on with its transfer later has to read it from its beginning. */
  get isResumable(): boolean {
    return this.source === undefined ? this.total === 0 : this.source.version !== null;
  }

  count(bytes: number): void {
    this.bytes += bytes;
    this.total += bytes;
  }

  async during<Result>(waiting: Promise<Result>): Promise<Result> {
    this.change(1);
    try {
      return await waiting;
    } finally {
      this.change(-1);
    }
  }

  /** The same source, its reads watched. */
  watch(source: ByteSource): ByteSource {
    this.source = source;
    return new WatchedSource(source, this);
  }

  /** Judges it by what it gave since the look before. False: too little was waited for to say. */
  look(): boolean {
    this.change(0);
    if (this.waitedMs < LOOK_MS) return false;
    this.isSlow = (this.bytes * 1_000) / this.waitedMs < this.slowBytesPerSecond;
    this.bytes = 0;
    this.waitedMs = 0;
    return true;
  }

  private change(by: number): void {
    const at = this.now();
    if (this.waits > 0) this.waitedMs += at - this.since;
    this.since = at;
    this.waits += by;
  }
}

class WatchedSource implements ByteSource {
  constructor(
    private readonly source: ByteSource,
    private readonly pace: SourcePace,
  ) {}

  get length() {
    return this.source.length;
  }

  get contentEncoding() {
    return this.source.contentEncoding;
  }

  get isLengthVerified() {
    return this.source.isLengthVerified;
  }

  get version() {
    return this.source.version;
  }

  get readsAtOnce() {
    return this.pace.isToReadAhead ? this.source.readsAtOnce : 1;
  }

  read(buffer: Buffer): Promise<number> {
    return this.pace.during(this.source.read(buffer));
  }

  destroy(reason: Error): void {
    this.source.destroy(reason);
  }
}
