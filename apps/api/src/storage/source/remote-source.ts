import { setTimeout as sleep } from 'node:timers/promises';
import { StorageError } from '../storage.errors.js';
import type { SourceOptions } from '../storage.options.js';
import type { BandwidthLimit } from './bandwidth-limit.js';
import type { ByteSource } from './byte-source.js';
import { ConnectionScale } from './connection-scale.js';
import { FileWindows, SLICE_BYTES, type Slice } from './file-windows.js';
import { RateWatch } from './rate-watch.js';
import { RetryBudget } from './retry-budget.js';
import {
  compareFacts,
  type FileFacts,
  type Framing,
  ifRangeOf,
  judgeRange,
  readBodyFacts,
  readFileFacts,
} from './source-answer.js';
import type { SourceBody } from './source-body.js';
import type { SourceAnswer, SourceClient, SourceTarget } from './source-client.js';
import { SourceFault } from './source-fault.js';
import type { SourceRequest } from './source-request.js';

const MiB = 1024 * 1024;
/** Less left than this is not worth another connection. */
const MIN_SHARED_BYTES = 16 * MiB;
/** How often the watch looks, in ms: at rates, and at stalls not finer than this. */
const WATCH_INTERVAL_MS = 250;
/** Fresh links in a row that bring nothing before the source is given up. */
const MAX_FRESH_LINKS = 2;

/** A body that is being read, and where in the file it stands. */
interface OpenBody {
  readonly stream: SourceBody;
  position: number;
  /** Byte after its last one; null where only its end will tell. */
  readonly end: number | null;
  readonly framing: Framing;
  /** The answer to a request for the whole file. */
  readonly isWhole: boolean;
}

/** One connection, and the body it reads. */
interface Lane {
  readonly client: SourceClient;
  body: OpenBody | undefined;
  /** It has brought bytes since it failed last. */
  hasProgress: boolean;
}

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

  private target: SourceTarget;
  /** Where redirects led: slices ask there, until it has had its time. */
  private resolved: SourceTarget | undefined;
  private facts: FileFacts | undefined;
  private freshLinks = 0;
  private isWithoutRanges = false;
  private isVerified = true;
  private received = 0;
  private watched = { at: performance.now(), bytes: 0, idleMs: 0 };
  private idle = { lanes: 0, since: performance.now() };

  constructor(private readonly parts: RemoteSourceParts) {
    const { request, options, signal } = parts;
    this.target = { url: request.url, headers: request.headers ?? {} };
    this.maxBytes = Math.min(options.maxBytes, request.maxBytes ?? Number.POSITIVE_INFINITY);
    const { onBytes, onRestart } = request;
    this.windows = new FileWindows(
      {
        ...(onBytes !== undefined ? { onBytes } : {}),
        ...(onRestart !== undefined ? { onRestart } : {}),
        inspect: async (beginning) => await request.inspect?.(beginning, this.contentEncoding),
        judgeLength: (bytes) => this.judgeLength(bytes),
      },
      (error) => this.destroy(error),
    );
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
    return this.facts?.contentEncoding ?? null;
  }

  get isLengthVerified(): boolean {
    return this.isVerified;
  }

  get readsAtOnce(): number {
    if (this.lanes.size <= 1) return 1;
    return Math.ceil((this.lanes.size * SLICE_BYTES) / this.windows.bufferBytes) + 1;
  }

  /**
   * Waits for the first answer that is the file.
   *
   * @throws StorageError SOURCE_*; the signal's reason
   */
  async open(): Promise<void> {
    const { deadlineMs, stallTimeoutMs } = this.parts.options;
    const end = () =>
      this.destroy(new StorageError('SOURCE_TIMEOUT', `source was not read within ${deadlineMs / 1_000} s`));
    const watchMs = Math.max(5, Math.min(WATCH_INTERVAL_MS, stallTimeoutMs / 4));
    this.timers = [setTimeout(end, deadlineMs), setInterval(() => this.watch(), watchMs)];
    const lane = this.addLane();
    try {
      while (lane.body === undefined) {
        this.ended.signal.throwIfAborted();
        try {
          await this.openWhole(lane, 0);
        } catch (error) {
          await this.recover(lane, undefined, error);
        }
      }
    } catch (error) {
      this.destroy(error as Error);
      throw this.ended.signal.reason;
    }
    void this.runLane(lane);
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
    for (const lane of this.lanes) closeLane(lane);
    this.lanes.clear();
    this.windows.fail(reason);
  }

  private release(): void {
    this.parts.signal.removeEventListener('abort', this.onAbort);
    for (const timer of this.timers) clearTimeout(timer);
    this.wake();
  }

  // Lanes

  private addLane(): Lane {
    const lane: Lane = { client: this.parts.createClient(), body: undefined, hasProgress: false };
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
      closeLane(lane);
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
        const body = await this.bodyAt(lane, slice);
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
    if (count < wanted) this.handleEarlyEnd(body, slice);
    if (slice.position === this.windows.length) await this.proveEnd(lane, body);
    if (body.position === body.end) await endAnswer(body);
    if (count < wanted || body.position === body.end) lane.body = undefined;
  }

  private advance(lane: Lane, body: OpenBody, slice: Slice, bytes: number): void {
    body.position += bytes;
    this.received += bytes;
    lane.hasProgress = true;
    if (this.budget.progress(bytes)) this.freshLinks = 0;
    this.windows.advance(slice, bytes);
    if (this.windows.bytesShown > this.maxBytes) this.destroy(this.tooLarge('more'));
  }

  /** A body ended where HTTP says that it ends, before the slice did. */
  private handleEarlyEnd(body: OpenBody, slice: Slice): void {
    const { length } = this.windows;
    if (body.end !== null || (length !== null && slice.position !== length)) {
      throw new SourceFault('SOURCE_TRUNCATED', 'source ended its answer before the end of the file', 'retry');
    }
    if (slice.position === 0) {
      const message = 'source ended without a byte and did not announce an empty file';
      throw new SourceFault('SOURCE_EMPTY', message, 'final');
    }
    if (body.framing === 'close') this.isVerified = false;
    this.windows.endAt(slice);
  }

  /** The last byte is there: sees to it that the source does not go on behind it. */
  private async proveEnd(lane: Lane, body: OpenBody): Promise<void> {
    lane.body = undefined;
    const surplus = new SourceFault(
      'SOURCE_PROTOCOL',
      `source sent more than the ${this.length} bytes it announced`,
      'final',
    );
    // Read on, because the connection is held back at the last byte.
    if (body.isWhole && !(await body.stream.hasEnded())) throw surplus;
    if (body.isWhole && body.framing === 'length' && (await lane.client.isSurplusSeen())) throw surplus;
    this.windows.markEnd();
    if (this.windows.isWhole) this.release();
    this.wake();
  }

  // Answers

  /** Undefined when there is nothing behind the slice's position after all. */
  private async bodyAt(lane: Lane, slice: Slice): Promise<OpenBody | undefined> {
    const { body } = lane;
    if (body?.position === slice.position && (body.end === null || body.end > slice.position)) return body;
    dropBody(lane);
    if (slice.position === 0 && this.lanes.size === 1) return await this.openWhole(lane, 0, slice);
    if (this.isWithoutRanges) return await this.openWhole(lane, slice.position, slice);
    return await this.openRange(lane, slice);
  }

  /** Asks for the whole file, and reads past what is here already. */
  private async openWhole(lane: Lane, start: number, slice?: Slice): Promise<OpenBody> {
    const answer = await this.ask(lane, null, this.target);
    try {
      return await this.takeWhole(lane, answer, start, slice);
    } catch (error) {
      answer.body.destroy(new Error('answer not taken'));
      throw error;
    }
  }

  private async openRange(lane: Lane, slice: Slice): Promise<OpenBody | undefined> {
    const { position: start } = slice;
    // Alone, a lane reads on to the end of the file, unless others have read what follows already.
    const end = this.lanes.size === 1 && this.windows.isFrontMost(slice) ? null : slice.end;
    const from = this.lanes.size > 1 ? (this.resolved ?? this.target) : this.target;
    const answer = await this.ask(lane, `bytes=${start}-${end === null ? '' : end - 1}`, from);
    try {
      if (answer.status === 200) {
        if (this.lanes.size > 1) throw new SourceFault('SOURCE_PROTOCOL', 'source ignored a range', 'ranges');
        return await this.takeWhole(lane, answer, start, slice);
      }
      return this.takeRange(lane, answer, { start, end }, slice);
    } catch (error) {
      answer.body.destroy(new Error('answer not taken'));
      throw error;
    }
  }

  private async ask(lane: Lane, range: string | null, target: SourceTarget): Promise<SourceAnswer> {
    const ifRange = this.facts === undefined ? null : ifRangeOf(this.facts.validator);
    const answer = await lane.client.ask(target, { range, ifRange }, this.ended.signal);
    this.resolved = answer.target === this.target ? undefined : answer.target;
    return answer;
  }

  private async takeWhole(lane: Lane, answer: SourceAnswer, start: number, slice?: Slice): Promise<OpenBody> {
    if (answer.status !== 200) {
      // A part of the file was not asked for.
      throw new SourceFault('SOURCE_STATUS', `source answered ${answer.status}`, 'final');
    }
    const { framing, length } = readBodyFacts(answer.headers);
    const facts = readFileFacts(answer.headers, length);
    const isSame = this.facts !== undefined && compareFacts(this.facts, facts) === 'same';
    if (!isSame) {
      if (this.facts !== undefined) this.restart(slice);
      this.judgeFile(facts, framing);
      this.facts = facts;
      this.windows.length = length;
    }
    const body: OpenBody = { stream: answer.body, position: 0, end: length, framing, isWhole: true };
    lane.body = body;
    if (isSame && start > 0) await this.skip(body, start);
    return body;
  }

  private async skip(body: OpenBody, bytes: number): Promise<void> {
    const scratch = Buffer.allocUnsafe(Math.min(bytes, MiB));
    while (body.position < bytes) {
      const part = scratch.subarray(0, Math.min(scratch.length, bytes - body.position));
      const count = await body.stream.fill(part, (read) => {
        this.received += read;
      });
      body.position += count;
      if (count < part.length) {
        throw new SourceFault('SOURCE_TRUNCATED', 'source ended before the byte that was reached already', 'retry');
      }
    }
  }

  private takeRange(
    lane: Lane,
    answer: SourceAnswer,
    asked: { start: number; end: number | null },
    slice: Slice,
  ): OpenBody | undefined {
    const known = this.facts as FileFacts;
    const verdict = judgeRange(known, answer, asked);
    if (verdict === 'changed') {
      this.restart(slice);
      throw new SourceFault('SOURCE_CHANGED', 'source changed while it was read', 'retry');
    }
    if (verdict === 'at-end') {
      // Every byte was here already, and only the mark of the end was lost.
      answer.body.destroy(new Error('nothing follows'));
      this.windows.endAt(slice);
      this.windows.markEnd();
      return undefined;
    }
    this.windows.length ??= verdict.total;
    lane.body = { stream: answer.body, position: asked.start, end: verdict.end + 1, framing: 'length', isWhole: false };
    return lane.body;
  }

  /** What the first answer says decides before a byte is read. */
  private judgeFile({ length }: FileFacts, framing: Framing): void {
    if (framing === 'close' && this.parts.request.allowUnprovenLength !== true) {
      const message =
        'source gave neither Content-Length nor chunks, so the end of its file cannot be told from a broken connection';
      throw new SourceFault('SOURCE_LENGTH_UNPROVEN', message, 'final');
    }
    if (length === null) return;
    if (length > this.maxBytes) throw this.tooLarge(length);
    this.judgeLength(length);
  }

  private judgeLength(bytes: number): void {
    const { expectedBytes } = this.parts.request;
    if (expectedBytes === undefined || bytes === expectedBytes) return;
    const message = `source has ${bytes} bytes, and ${expectedBytes} were expected`;
    throw new SourceFault('SOURCE_SIZE_MISMATCH', message, 'final');
  }

  private tooLarge(bytes: number | 'more'): SourceFault {
    const message =
      bytes === 'more'
        ? `source has more than the ${this.maxBytes} bytes that are allowed (SOURCE_MAX_BYTES, maxBytes)`
        : `source has ${bytes} bytes, and ${this.maxBytes} are allowed (SOURCE_MAX_BYTES, maxBytes)`;
    return new SourceFault('SOURCE_TOO_LARGE', message, 'final');
  }

  // Faults

  /**
   * Decides what comes after a fault: true, the lane tries again; false, its slice was left to the other lanes.
   *
   * @throws the fault, when nothing more is to be tried
   */
  private async recover(lane: Lane, slice: Slice | undefined, error: unknown): Promise<boolean> {
    this.ended.signal.throwIfAborted();
    dropBody(lane);
    const { hasProgress } = lane;
    lane.hasProgress = false;
    const fault = error as StorageError;
    const remedy = remedyOf(fault);
    if (remedy === 'ranges') {
      this.isWithoutRanges = true;
      this.scale.forbid();
    }
    if (slice !== undefined && this.lanes.size > 1 && remedy !== 'final' && !(hasProgress && remedy === 'retry')) {
      this.lanes.delete(lane);
      this.scale.shrink(this.lanes.size);
      this.windows.leave(slice);
      this.wake();
      return false;
    }
    if (this.resolved !== undefined && fault.code === 'SOURCE_STATUS' && slice !== undefined) {
      this.resolved = undefined; // The redirect's target has had its time: back to the link itself.
      return true;
    }
    if (remedy === 'final') throw fault;
    if (remedy === 'fresh-url') return await this.renewTarget(fault);
    const isNamed = this.facts !== undefined && ifRangeOf(this.facts.validator) !== null;
    if (slice !== undefined && slice.position > 0 && !isNamed) this.restart(slice, fault);
    await this.waitForNextTry(fault);
    return true;
  }

  private async waitForNextTry(fault: StorageError): Promise<void> {
    const delayMs = this.budget.next(fault instanceof SourceFault ? fault.retryAfterMs : 0);
    if (delayMs === null) throw fault;
    if (delayMs > 0) await sleep(delayMs, undefined, { signal: this.ended.signal });
  }

  /** Asks the caller for a fresh link in place of one that has expired. */
  private async renewTarget(fault: StorageError): Promise<true> {
    const { refresh } = this.parts.request;
    if (refresh === undefined || this.freshLinks >= MAX_FRESH_LINKS) throw fault;
    this.freshLinks += 1;
    try {
      const { url, headers = {} } = await refresh();
      this.target = { url, headers };
      return true;
    } catch (cause) {
      const message = `${fault.message}, and no fresh link was to be had`;
      throw new SourceFault(fault.code, message, 'final', { cause, isRetryable: true });
    }
  }

  /**
   * Begins anew, as long as nothing of the file was handed out.
   *
   * @throws SourceFault SOURCE_CHANGED, or `fault`, when something was
   */
  private restart(slice: Slice | undefined, fault?: StorageError): void {
    const isRestarted = slice !== undefined && this.lanes.size === 1 && this.windows.restart(slice);
    if (isRestarted) {
      this.facts = undefined;
      return;
    }
    if (fault === undefined) throw new SourceFault('SOURCE_CHANGED', 'source changed while it was read', 'final');
    const message = `${fault.message}, and it names no version of the file by which the rest could be asked for`;
    throw new SourceFault(fault.code, message, 'final', { cause: fault, isRetryable: fault.isRetryable });
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
    const { facts } = this;
    if (facts === undefined || !facts.takesRanges || ifRangeOf(facts.validator) === null) return false;
    return (this.windows.untakenBytes ?? 0) >= MIN_SHARED_BYTES;
  }
}

function remedyOf(error: unknown): SourceFault['remedy'] {
  if (error instanceof SourceFault) return error.remedy;
  // The resolver's own error: a name that does not exist stays unknown, a resolver that is busy does not.
  const isUnresolved = error instanceof StorageError && error.code === 'SOURCE_UNREACHABLE';
  return isUnresolved && (error.cause as { code?: unknown } | undefined)?.code !== 'ENOTFOUND' ? 'retry' : 'final';
}

/** Ends the lane's connection when a body is under way on it. */
function dropBody(lane: Lane): void {
  lane.body?.stream.destroy(new Error('no longer read'));
  lane.body = undefined;
}

/** Reads on to the end of an answer whose bytes are all here, so that its connection is free for the next. */
async function endAnswer({ stream }: OpenBody): Promise<void> {
  // What breaks off behind the last byte costs the connection, and nothing else.
  const hasEnded = await stream.hasEnded().catch(() => false);
  if (!hasEnded) stream.destroy(new Error('more than was asked for'));
}

function closeLane(lane: Lane): void {
  dropBody(lane);
  lane.client.close();
}
