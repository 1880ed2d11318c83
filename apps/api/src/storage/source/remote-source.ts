import { setTimeout as sleep } from 'node:timers/promises';
import { StorageError } from '../storage.errors.js';
import type { SourceOptions } from '../storage.options.js';
import type { BandwidthLimit } from './bandwidth-limit.js';
import type { ByteSource } from './byte-source.js';
import { ConnectionScale } from './connection-scale.js';
import { FileOpener } from './file-opener.js';
import { FileWindows, SLICE_BYTES, type Slice } from './file-windows.js';
import { Lane, type OpenBody } from './lane.js';
import { RateWatch } from './rate-watch.js';
import { RetryBudget } from './retry-budget.js';
import type { SourceClient } from './source-client.js';
import { SourceFault } from './source-fault.js';
import { SourceLink } from './source-link.js';
import type { SourceRequest } from './source-request.js';
import type { SourceVersion } from './source-version.js';

const MiB = 1024 * 1024;
/** Less left than this is not worth another connection. */
const MIN_SHARED_BYTES = 16 * MiB;
/** How often the watch looks, in ms: at rates, and at stalls not finer than this. */
const WATCH_INTERVAL_MS = 250;

export interface RemoteSourceParts {
  readonly request: SourceRequest;
  readonly options: SourceOptions;
  readonly createClient: () => SourceClient;
  readonly bandwidth: BandwidthLimit;
  readonly signal: AbortSignal;
}

/**
 * A file behind a URL, read over whatever number of connections it takes: lost ones are taken up from the exact byte,
 * and more are opened while each brings more. All bytes are of one version of the file, or the read fails.
 *
 * A lane (one connection) takes the next slice of the first buffer that has room, and fills it. One lane alone reads
 * on in one body; several ask for a range a slice.
 */
export class RemoteSource implements ByteSource {
  private readonly link: SourceLink;
  private readonly opener: FileOpener;
  private readonly windows: FileWindows;
  private readonly lanes = new Set<Lane>();
  private readonly scale: ConnectionScale;
  private readonly budget: RetryBudget;
  private readonly rateWatch: RateWatch;
  private readonly ended = new AbortController();
  private readonly maxBytes: number;
  private readonly onAbort = () => this.destroy(this.parts.signal.reason);
  private timers: NodeJS.Timeout[] = [];
  private sleepers: (() => void)[] = [];

  private isVerified = true;
  private received = 0;
  private watched = { at: performance.now(), bytes: 0, idleMs: 0 };
  private idle = { lanes: 0, since: performance.now() };

  constructor(private readonly parts: RemoteSourceParts) {
    const { request, options, signal } = parts;
    this.link = new SourceLink(request);
    this.maxBytes = Math.min(options.maxBytes, request.maxBytes ?? Number.POSITIVE_INFINITY);
    const { onBytes, onRestart, resume } = request;
    this.windows = new FileWindows(
      {
        ...(onBytes !== undefined ? { onBytes } : {}),
        ...(onRestart !== undefined ? { onRestart } : {}),
        inspect: async (beginning) => await request.inspect?.(beginning, this.contentEncoding),
        judgeLength: (bytes) => this.opener.judgeLength(bytes),
      },
      (error) => this.destroy(error),
      resume?.fromBytes,
    );
    this.opener = new FileOpener({
      request,
      link: this.link,
      windows: this.windows,
      maxBytes: this.maxBytes,
      maxRestarts: options.maxRetries,
      signal: this.ended.signal,
      isAlone: () => this.isAlone,
      onSkipped: (bytes) => {
        this.received += bytes;
      },
    });
    this.scale = new ConnectionScale(options.maxConnections);
    this.budget = new RetryBudget(options);
    this.rateWatch = new RateWatch(options.minBytesPerSecond, options.minRateWindowMs);
    if (signal.aborted) this.onAbort();
    else signal.addEventListener('abort', this.onAbort, { once: true });
  }

  get length(): number | null {
    return this.windows.length;
  }

  get contentEncoding(): string | null {
    return this.opener.contentEncoding;
  }

  get isLengthVerified(): boolean {
    return this.isVerified;
  }

  get version(): SourceVersion | null {
    return this.opener.version;
  }

  get readsAtOnce(): number {
    if (this.isAlone) return 1;
    return Math.ceil((this.lanes.size * SLICE_BYTES) / this.windows.bufferBytes) + 1;
  }

  /**
   * Waits for the first answer that is the file, or its rest; where the whole of it was read before, for nothing.
   *
   * @throws StorageError SOURCE_*; the signal's reason
   */
  async open(): Promise<void> {
    this.ended.signal.throwIfAborted();
    const { deadlineMs, stallTimeoutMs } = this.parts.options;
    const end = () =>
      this.destroy(new StorageError('SOURCE_TIMEOUT', `source was not read within ${deadlineMs / 1_000} s`));
    const watchMs = Math.max(5, Math.min(WATCH_INTERVAL_MS, stallTimeoutMs / 4));
    this.timers = [setTimeout(end, deadlineMs), setInterval(() => this.watch(), watchMs)];
    try {
      if (this.opener.isAtEnd()) this.markEnd();
      else void this.runLane(await this.openLane());
    } catch (error) {
      this.destroy(error as Error);
      throw this.ended.signal.reason;
    }
  }

  read(buffer: Buffer): Promise<number> {
    if (this.ended.signal.aborted) return Promise.reject(this.ended.signal.reason);
    const bytes = this.windows.add(buffer);
    this.wake();
    return bytes;
  }

  destroy(reason: Error): void {
    if (this.ended.signal.aborted) return;
    this.ended.abort(reason);
    this.release();
    for (const lane of this.lanes) lane.close();
    this.lanes.clear();
    this.windows.fail(reason);
  }

  private get isAlone(): boolean {
    return this.lanes.size <= 1;
  }

  private release(): void {
    this.parts.signal.removeEventListener('abort', this.onAbort);
    for (const timer of this.timers) clearTimeout(timer);
    this.wake();
  }

  // Lanes

  private async openLane(): Promise<Lane> {
    const lane = this.addLane();
    while (lane.body === undefined) {
      this.ended.signal.throwIfAborted();
      try {
        await this.opener.openFirst(lane);
      } catch (error) {
        await this.recover(lane, undefined, error);
      }
    }
    return lane;
  }

  private addLane(): Lane {
    const lane = new Lane(this.parts.createClient());
    this.lanes.add(lane);
    return lane;
  }

  private async runLane(lane: Lane): Promise<void> {
    try {
      for (let slice = await this.take(lane); slice !== undefined; slice = await this.take(lane)) {
        if (!(await this.fill(lane, slice))) return;
      }
    } catch (error) {
      this.destroy(error as Error);
    } finally {
      this.lanes.delete(lane);
      lane.close();
    }
  }

  /** The next run of bytes for this lane, once there is a buffer for it; undefined when the lane is to end. */
  private async take(lane: Lane): Promise<Slice | undefined> {
    for (;;) {
      if (this.ended.signal.aborted || this.windows.isWhole) return undefined;
      if (this.lanes.size > this.scale.wanted) {
        this.lanes.delete(lane); // At once, so that the lanes that stay know how many they are.
        return undefined;
      }
      const slice = this.windows.take(this.lanes.size);
      if (slice !== undefined) return slice;
      if (this.windows.length === 0 && lane.body !== undefined) await this.proveEnd(lane, lane.body);
      else await this.untilWoken();
    }
  }

  private async untilWoken(): Promise<void> {
    this.noteIdle(1);
    await new Promise<void>((resolve) => this.sleepers.push(resolve));
    this.noteIdle(-1);
  }

  private noteIdle(change: number): void {
    const now = performance.now();
    const { lanes, since } = this.idle;
    this.watched.idleMs += ((now - since) * lanes) / Math.max(1, this.lanes.size);
    this.idle = { lanes: lanes + change, since: now };
  }

  private wake(): void {
    for (const wake of this.sleepers.splice(0)) wake();
  }

  /** False when the rest of the slice was left to other lanes, and this one is to end. */
  private async fill(lane: Lane, slice: Slice): Promise<boolean> {
    while (slice.position < slice.end) {
      try {
        const body = await this.opener.bodyAt(lane, slice, this.isAlone);
        if (body !== undefined) await this.fillFrom(lane, body, slice);
      } catch (error) {
        if (!(await this.recover(lane, slice, error))) return false;
      }
    }
    return true;
  }

  private async fillFrom(lane: Lane, body: OpenBody, slice: Slice): Promise<void> {
    const { bandwidth } = this.parts;
    const end = Math.min(slice.end, body.end ?? slice.end, slice.position + bandwidth.chunkBytes);
    const wanted = end - slice.position;
    const target = this.windows.targetOf(slice, end);
    const count = await body.stream.fill(target, (bytes) => this.advance(lane, body, slice, bytes));
    await bandwidth.spend(count);
    this.ended.signal.throwIfAborted();
    if (count < wanted) this.handleEarlyEnd(lane, body, slice);
    if (slice.position === this.windows.length) await this.proveEnd(lane, body);
    if (body.position === body.end) await lane.endBody(body);
    if (count < wanted) lane.body = undefined;
  }

  private advance(lane: Lane, body: OpenBody, slice: Slice, bytes: number): void {
    body.position += bytes;
    this.received += bytes;
    lane.hasProgress = true;
    if (this.budget.progress(bytes)) this.link.markGood();
    this.windows.advance(slice, bytes);
    if (this.windows.bytesShown > this.maxBytes) this.destroy(this.opener.tooLarge('more'));
  }

  /** A body ended where HTTP says that it ends, before the slice did. */
  private handleEarlyEnd(lane: Lane, body: OpenBody, slice: Slice): void {
    const { length } = this.windows;
    if (body.end !== null || (length !== null && slice.position !== length)) {
      throw new SourceFault('SOURCE_TRUNCATED', 'source ended its answer before the end of the file', 'retry');
    }
    if (slice.position === 0) {
      const message = 'source ended without a byte and did not announce an empty file';
      throw new SourceFault('SOURCE_EMPTY', message, 'final');
    }
    if (body.framing === 'close') {
      if (lane.client.isBroken) throw new SourceFault('SOURCE_TRUNCATED', 'source broke the connection off', 'retry');
      this.isVerified = false;
    }
    this.windows.endAt(slice);
  }

  /** The last byte is there: sees to it that the source does not go on behind it. */
  private async proveEnd(lane: Lane, body: OpenBody): Promise<void> {
    // Read on, because the connection is held back at the last byte. What breaks off behind it does not matter.
    const isOver = !body.isWhole || (await body.stream.hasEnded().catch(() => true));
    const isSurplus = body.isWhole && body.framing === 'length' && (await lane.client.isSurplusSeen());
    if (!isOver || isSurplus) {
      throw new SourceFault('SOURCE_PROTOCOL', `source sent more than the ${this.length} bytes it announced`, 'final');
    }
    if (body.isWhole) lane.body = undefined;
    this.markEnd();
  }

  private markEnd(): void {
    this.windows.markEnd();
    if (this.windows.isWhole) this.release();
    this.wake();
  }

  // Faults

  /**
   * Decides what comes after a fault: true, the lane tries again; false, its slice was left to the other lanes.
   *
   * @throws the fault, when nothing more is to be tried
   */
  private async recover(lane: Lane, slice: Slice | undefined, error: unknown): Promise<boolean> {
    this.ended.signal.throwIfAborted();
    lane.dropBody();
    const { hasProgress } = lane;
    lane.hasProgress = false;
    const fault = error as StorageError;
    const remedy = remedyOf(fault);
    if (remedy === 'ranges') {
      this.opener.leaveRanges(fault);
      this.scale.forbid();
    }
    if (slice !== undefined && this.lanes.size > 1 && remedy !== 'final' && !(hasProgress && remedy === 'retry')) {
      this.lanes.delete(lane);
      this.scale.shrink(this.lanes.size);
      this.windows.leave(slice);
      this.wake();
      return false;
    }
    const isRefused = slice !== undefined && fault.code === 'SOURCE_STATUS';
    if (isRefused && this.link.leaveRedirect()) return true;
    if (remedy === 'final') throw fault;
    if (remedy === 'fresh-url') {
      await this.link.renew(fault as SourceFault);
      return true;
    }
    if (slice !== undefined && slice.position > 0 && !this.opener.isNamed) this.opener.restart(slice, fault);
    await this.waitForNextTry(fault);
    return true;
  }

  private async waitForNextTry(fault: StorageError): Promise<void> {
    const delayMs = this.budget.next(fault instanceof SourceFault ? fault.retryAfterMs : 0);
    if (delayMs === null) throw fault;
    if (delayMs > 0) await sleep(delayMs, undefined, { signal: this.ended.signal });
  }

  // Watch

  private watch(): void {
    const { stallTimeoutMs } = this.parts.options;
    let isWaiting = false;
    for (const { body } of this.lanes) {
      const waitedMs = body?.stream.waitedMs ?? 0;
      isWaiting ||= waitedMs > 0;
      if (waitedMs <= stallTimeoutMs) continue;
      const message = `source sent nothing for ${stallTimeoutMs} ms`;
      body?.stream.destroy(new SourceFault('SOURCE_TIMEOUT', message, 'retry'));
    }
    const elapsedMs = performance.now() - this.watched.at;
    if (elapsedMs < WATCH_INTERVAL_MS) return;
    this.noteIdle(0);
    const { idleMs } = this.watched;
    const bytes = this.received - this.watched.bytes;
    this.watched = { at: performance.now(), bytes: this.received, idleMs: 0 };
    if (this.rateWatch.isTooSlow(bytes, isWaiting ? elapsedMs : 0)) this.destroy(this.tooSlow());
    if (this.ended.signal.aborted || !this.isSharable()) return;
    this.scale.tick({ bytes, elapsedMs, idleMs });
    while (this.lanes.size < this.scale.wanted) void this.runLane(this.addLane());
  }

  private tooSlow(): StorageError {
    const { minBytesPerSecond, minRateWindowMs } = this.parts.options;
    const limit = `${minBytesPerSecond} bytes a second over ${minRateWindowMs / 1_000} s`;
    return new StorageError('SOURCE_TOO_SLOW', `source sent less than ${limit} (SOURCE_MIN_BYTES_PER_SECOND)`);
  }

  /** Several connections need ranges of one provable version, and enough left to share. */
  private isSharable(): boolean {
    return this.opener.takesRanges && (this.windows.untakenBytes ?? 0) >= MIN_SHARED_BYTES;
  }
}

function remedyOf(error: unknown): SourceFault['remedy'] {
  if (error instanceof SourceFault) return error.remedy;
  // Of the look-up, when the name servers are away or busy; a name that does not exist is no address that is allowed.
  return error instanceof StorageError && error.code === 'SOURCE_UNREACHABLE' ? 'retry' : 'final';
}
