import { setTimeout as sleep } from 'node:timers/promises';
import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import { isTransferLost, parseTransferError, StorageError } from '../storage.errors.js';
import { STORAGE_OPTIONS, type StorageOptions } from '../storage.options.js';
import type { StorageFile } from '../storage-file.repository.js';
import type { Shares } from './fair-take.js';
import { HostPlaceRepository } from './host-place.repository.js';
import type { TransferProgress } from './progress-meter.js';
import { SourceOpener } from './source-opener.js';
import { SourcePace } from './source-pace.js';
import { HandOver, PutOff, TransferRunner, type TransferWork } from './transfer-runner.js';
import { type Place, TransferSlots } from './transfer-slots.js';
import { TransferStateRepository } from './transfer-state.repository.js';
import type { Waiting } from './waiting.js';

/** How often a transfer that another process runs is looked at, in ms. */
const FOLLOW_POLL_MS = 500;
/** Longest wait for transfers at the end of the process, in ms: below the 30 s after which Kubernetes kills. */
const STOP_LIMIT_MS = 25_000;
/** How often the pace of a source is looked at, in ms. */
const PACE_LOOK_MS = 250;
/** Looks in a row at a slow source after which its transfer is put off where there is no room for it. */
const SLOW_LOOKS = 2;
/** Until a transfer that was put off is looked at again, in ms: this, and up to as much again by chance. */
const PUT_OFF_MS = 20_000;
/** Of the part buffers, what slow transfers may always hold, each for as long as its source takes to fill it. */
const SLOW_MEMORY_SHARE = 0.25;

type ProgressListener = (progress: TransferProgress) => void;

/** How a file is run. */
export interface RunOptions {
  /** The transfer is slow and goes on beside the others: it keeps nothing from them any more. */
  onAside?: () => void;
}

/** Bytes of this process, which cannot be had twice. */
export interface OwnBytes {
  readonly work: TransferWork;
  /** Cancels their transfer. */
  readonly signal?: AbortSignal | undefined;
}

interface BeginOptions extends RunOptions {
  onProgress?: ProgressListener | undefined;
  signal?: AbortSignal | undefined;
}

/** A file on its turn. */
interface Turn extends RunOptions {
  readonly file: StorageFile;
  readonly work: TransferWork;
  readonly listeners: ReadonlySet<ProgressListener>;
  readonly signal: AbortSignal;
  readonly cancel: (reason: StorageError) => void;
}

interface RunningTransfer {
  /** Settles when this process is done with the row; rejects with the error that made it FAILED. */
  readonly settled: Promise<void>;
  readonly listeners: Set<ProgressListener>;
  cancel(reason: StorageError): void;
}

/** The transfers that this process runs: at most one for each file. */
@Injectable()
export class RunningTransfers implements OnModuleDestroy {
  private readonly running = new Map<string, RunningTransfer>();
  private readonly slots: TransferSlots;
  private readonly stopping = new AbortController();

  constructor(
    private readonly state: TransferStateRepository,
    private readonly runner: TransferRunner,
    private readonly sources: SourceOpener,
    private readonly places: HostPlaceRepository,
    @Inject(STORAGE_OPTIONS) private readonly options: StorageOptions,
  ) {
    this.slots = new TransferSlots({
      all: options.transferConcurrency,
      perHost: options.transferConcurrencyPerHost,
      perWorkspace: options.transferConcurrencyPerWorkspace,
      aside: slowConcurrencyOf(options),
    });
  }

  /** What could begin now. A ticket is taken only where its transfer need not wait, so that it keeps none from others. */
  get shares(): Shares {
    const { transferConcurrencyPerWorkspace, transferConcurrencyPerHost, transferConcurrencyPerHostOverall } =
      this.options;
    return {
      limit: this.stopping.signal.aborted ? 0 : this.slots.freeCount,
      perWorkspace: transferConcurrencyPerWorkspace,
      workspacePlaces: this.slots.freePlacesOfWorkspaces(),
      perHost: transferConcurrencyPerHost,
      hostPlaces: this.slots.freePlaces(),
      perHostOverall: transferConcurrencyPerHostOverall,
    };
  }

  /** How long others leave a row alone that this process begins by itself, in ms: its ticket is for them, should it end before. */
  get headStartMs(): number {
    return this.options.workerMode === 'none' ? 0 : this.options.leaseMs;
  }

  /** @throws StorageError TRANSFER_CANCELLED while the process stops: no row is to be made any more */
  assertOpen(): void {
    this.stopping.signal.throwIfAborted();
  }

  /**
   * Runs the row's transfer here, when there is a slot and if the row is to be had, or joins the run under way.
   *
   * @returns when this process is done with the row: it is DONE, waits for another try, or belongs to another
   * @throws the error that made the row FAILED
   */
  run(file: StorageFile, options: RunOptions = {}): Promise<void> {
    return this.running.get(file.id)?.settled ?? this.begin(file, this.workOf(file), options);
  }

  /**
   * Waits for the row's end, wherever it runs, and runs it here where nobody else does.
   *
   * @param own what the row is to be made of, of a caller that made it wait; whoever has the row before them keeps it
   * @throws StorageError that made the row FAILED; TRANSFER_GOES_ON when the wait ends before
   */
  async follow(file: StorageFile, waiting: Waiting, own?: OwnBytes): Promise<StorageFile> {
    const { onProgress } = waiting;
    for (let now: StorageFile | null = file, round = 0; ; round += 1) {
      if (now === null || now.deletedAt !== null) throw new StorageError('FILE_DELETED', `file ${file.id} is deleted`);
      if (now.transferStatus === 'DONE') return now;
      if (now.transferStatus === 'FAILED' && round > 0) throw parseTransferError(now.transferError);
      const { attempts } = now;
      const unused = attempts === file.attempts ? own : undefined;
      if (await (own === undefined ? this.runHere(now, waiting) : this.runOwn(now, waiting, unused))) {
        now = await this.state.find(file.id);
        if (now === null || now.attempts > attempts || now.transferStatus !== 'PENDING') continue;
        // Its host is full, or its path is being cleared.
      }
      this.assertOpen();
      onProgress?.(progressOf(now));
      await waiting.for(this.pause());
      now = await this.state.find(file.id);
    }
  }

  /** Ends the transfer of a file that this process runs, and waits for its end. */
  async cancel(fileId: string, reason: StorageError): Promise<void> {
    const running = this.running.get(fileId);
    running?.cancel(reason);
    await running?.settled.catch(() => {}); // Its own caller is told; here only its end matters.
  }

  /**
   * Lets go of every transfer: it stops reading, waits for its parts in flight, and its row waits for the next process
   * that takes it up. One that a silent store holds is left to its lease.
   */
  async onModuleDestroy(): Promise<void> {
    this.stopping.abort(new HandOver());
    const running = [...this.running.values()];
    for (const transfer of running) transfer.cancel(new HandOver());
    const limit = new AbortController();
    const settled = Promise.allSettled(running.map((transfer) => transfer.settled));
    const limited = sleep(STOP_LIMIT_MS, undefined, { signal: limit.signal }).catch(() => {}); // All ended before.
    await Promise.race([settled, limited]);
    limit.abort();
  }

  /** Ends at once when the process stops: the next look says so. */
  private async pause(): Promise<void> {
    await sleep(FOLLOW_POLL_MS, undefined, { signal: this.stopping.signal }).catch(() => {}); // It stops.
  }

  /** False: it does not run here, nor is it to be had. */
  private async runHere(file: StorageFile, waiting: Waiting): Promise<boolean> {
    const isHere = this.running.has(file.id) || (!this.stopping.signal.aborted && this.isToBeHad(file));
    if (isHere) await this.join(file, waiting);
    return isHere;
  }

  /**
   * After the run that the row has here, because that one is of other bytes.
   *
   * @param own absent once somebody had the row
   */
  private async runOwn(file: StorageFile, { onProgress }: Waiting, own?: OwnBytes): Promise<boolean> {
    for (let other = this.running.get(file.id); other !== undefined; other = this.running.get(file.id)) {
      await other.settled.catch(() => {}); // Its own caller is told.
    }
    if (own === undefined || this.stopping.signal.aborted) return false;
    try {
      await this.begin(file, own.work, { signal: own.signal, onProgress });
    } catch (error) {
      if (!isTransferLost(error)) throw error;
    }
    return true;
  }

  /** Not asked of the database: a claim that comes too early changes nothing. */
  private isToBeHad(file: StorageFile): boolean {
    const isDue = (time: Date | null) => time === null || time.getTime() <= Date.now();
    return this.options.workerMode !== 'none' && isDue(file.leaseUntil) && isDue(file.nextAttemptAt);
  }

  private async join(file: StorageFile, waiting: Waiting): Promise<void> {
    const { onProgress } = waiting;
    const settled = this.run(file);
    const listeners = this.running.get(file.id)?.listeners;
    if (onProgress !== undefined) listeners?.add(onProgress);
    try {
      await waiting.for(settled);
    } catch (error) {
      if (!isTransferLost(error)) throw error;
    } finally {
      if (onProgress !== undefined) listeners?.delete(onProgress);
    }
  }

  private begin(file: StorageFile, work: TransferWork, { onAside, onProgress, signal }: BeginOptions): Promise<void> {
    if (this.stopping.signal.aborted) return Promise.reject(this.stopping.signal.reason);
    const controller = new AbortController();
    const cancel = (reason: StorageError) => controller.abort(reason);
    // Rows and clients are told one thing, whatever reason the caller's signal carries.
    const onAbort = () => cancel(new StorageError('TRANSFER_CANCELLED', 'the transfer was cancelled'));
    if (signal?.aborted) onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    const listeners = new Set(onProgress !== undefined ? [onProgress] : []);
    const turn = { file, work, listeners, signal: controller.signal, cancel, ...(onAside ? { onAside } : {}) };
    const settled = this.runInTurn(turn).finally(() => {
      this.running.delete(file.id);
      signal?.removeEventListener('abort', onAbort);
    });
    settled.catch(() => {}); // Whoever waits for it is told; the row tells everybody else.
    this.running.set(file.id, { settled, listeners, cancel });
    return settled;
  }

  /** A cancelled transfer begins at once, because it reads no source and only ends its row. */
  private async runInTurn(turn: Turn): Promise<void> {
    const { file, work, signal } = turn;
    let begun: Promise<void> | undefined;
    const claimAndRun = (place?: Place) => this.claimAndRun(turn, place);
    const begin = (place?: Place) =>
      (begun ??= signal.aborted ? claimAndRun(place) : this.places.within(file, work.host, () => claimAndRun(place)));
    await new Promise<void>((resolve, reject) => {
      const beginNow = () => void begin().then(resolve, reject);
      if (signal.aborted || file.cancelRequestedAt !== null) return beginNow();
      signal.addEventListener('abort', beginNow, { once: true });
      this.slots.run({ workspaceId: file.workspaceId, host: work.host }, begin).then(resolve, reject);
    });
  }

  private async claimAndRun(turn: Turn, place?: Place): Promise<void> {
    const { file, work, listeners, signal } = turn;
    const claim = await this.state.claim(file.id, this.options.leaseMs);
    if (claim === null) return;
    const onProgress = (progress: TransferProgress) => {
      for (const listener of listeners) listener(progress);
    };
    const pace = new SourcePace(this.options.slowBytesPerSecond);
    const watch = place && work.host !== null && this.watchPace(turn, pace, place, work.host);
    try {
      await this.runner.run(claim, { file, work: paced(work, pace), onProgress }, signal);
    } finally {
      clearInterval(watch || undefined);
    }
  }

  /** A slow transfer makes room: it goes on beside the others or, where too many do, later. One that would begin anew stays. */
  private watchPace({ cancel, onAside }: Turn, pace: SourcePace, place: Place, host: string): NodeJS.Timeout {
    let isAside = false;
    let slowLooks = 0;
    return setInterval(() => {
      if (!pace.look()) return;
      if (!pace.isSlow) {
        slowLooks = 0;
        return this.slots.markFast(host);
      }
      slowLooks += 1;
      this.slots.markSlow(host);
      if (isAside) return;
      isAside = place.stepAside();
      if (isAside) onAside?.();
      else if (slowLooks >= SLOW_LOOKS && pace.isResumable) cancel(new PutOff(putOffMs()));
    }, PACE_LOOK_MS);
  }

  /** A row whose source is lost has to be claimed all the same: what it left is to be removed, and it ends FAILED. */
  private workOf(file: StorageFile): TransferWork {
    try {
      return this.sources.workOf(file);
    } catch (error) {
      return { host: null, isRepeatable: false, open: () => Promise.reject(error) };
    }
  }
}

/** Of a transfer that another process runs: it writes once a second how far it is, and no rate. */
function progressOf({ bytesTransferred, totalBytes }: StorageFile): TransferProgress {
  return {
    bytes: Number(bytesTransferred ?? 0),
    totalBytes: totalBytes === null ? null : Number(totalBytes),
    bytesPerSecond: null,
    secondsLeft: null,
  };
}

/** What the part buffers hold beyond one for each slot. */
function slowConcurrencyOf({ memoryBytes, store, transferConcurrency }: StorageOptions): number {
  const parts = memoryBytes / store.partSizeBytes;
  return Math.floor(Math.max(1, parts - transferConcurrency, parts * SLOW_MEMORY_SHARE));
}

/** The same work, its source watched. */
function paced(work: TransferWork, pace: SourcePace): TransferWork {
  return {
    ...work,
    open: async (watchers, signal, resume) => {
      const onBytes = (bytes: Buffer) => {
        pace.count(bytes.length);
        watchers.onBytes(bytes);
      };
      return pace.watch(await pace.during(work.open({ ...watchers, onBytes }, signal, resume)));
    },
  };
}

/** By chance, so that those that were put off together do not all come back together. */
function putOffMs(): number {
  return PUT_OFF_MS * (1 + Math.random());
}
