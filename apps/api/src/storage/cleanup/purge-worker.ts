import { setTimeout as sleep } from 'node:timers/promises';
import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { describeTransferError, StorageError } from '../storage.errors.js';
import { STORAGE_OPTIONS, type StorageOptions } from '../storage.options.js';
import { LeftOverRemoval, type RemovalOutcome } from './left-over-removal.js';
import { type PurgeEntry, PurgeRepository } from './purge.repository.js';
import { RetentionSweep } from './retention-sweep.js';

/** For which one worker has an entry. */
const ENTRY_LEASE_MS = 60_000;
/** After which it sends nothing more: well before another may take the entry. */
const WORK_LIMIT_MS = 30_000;
const FIRST_RETRY_MS = 30_000;
const LONGEST_RETRY_MS = 60 * 60_000;
/** Longest wait for the entry at hand at the end of the process; a longer one is left to its leases. */
const STOP_LIMIT_MS = 10_000;

/**
 * Removes what failed clean-ups and removed rows left in the bucket, entry by entry, until it is gone; it never gives
 * up. Then it removes deleted files whose time is up. Any number of processes may run one: each entry is one worker's at
 * a time, and so is each file.
 */
@Injectable()
export class PurgeWorker implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly logger = new Logger(PurgeWorker.name);
  private readonly stop = new AbortController();
  private timer: NodeJS.Timeout | undefined;
  private round: Promise<void> = Promise.resolve();

  constructor(
    private readonly purges: PurgeRepository,
    private readonly removal: LeftOverRemoval,
    private readonly retention: RetentionSweep,
    @Inject(STORAGE_OPTIONS) private readonly options: StorageOptions,
  ) {}

  /** A command, or a process that leaves the queue to the workers, leaves this to them too. */
  onApplicationBootstrap(): void {
    if (this.options.workerMode === 'all') this.runLater();
  }

  /** Ends the requests under way; what they were to remove stays written down. */
  async onModuleDestroy(): Promise<void> {
    this.stop.abort(new StorageError('TRANSFER_CANCELLED', 'the process is stopping'));
    clearTimeout(this.timer);
    const limit = new AbortController();
    const limited = sleep(STOP_LIMIT_MS, undefined, { signal: limit.signal }).catch(() => {}); // It ended before.
    await Promise.race([this.round, limited]);
    limit.abort();
  }

  /** Works on every entry that is due, one after the other. */
  async runDue(): Promise<void> {
    while (!this.stop.signal.aborted) {
      const entry = await this.purges.take(ENTRY_LEASE_MS);
      if (entry === null) return;
      await this.work(entry);
    }
  }

  private runLater(): void {
    this.timer = setTimeout(() => {
      this.round = this.runRound();
    }, this.options.purgeIntervalMs);
    this.timer.unref();
  }

  private async runRound(): Promise<void> {
    try {
      await this.runDue();
      await this.retention.run(this.stop.signal);
    } catch (error) {
      this.logger.warn({ err: error }, 'a round of the purge worker failed; it is done again');
    }
    if (!this.stop.signal.aborted) this.runLater();
  }

  private async work(entry: PurgeEntry): Promise<void> {
    const signal = AbortSignal.any([this.stop.signal, AbortSignal.timeout(WORK_LIMIT_MS)]);
    try {
      await this.note(entry, await this.removal.run(entry, signal));
    } catch (error) {
      if (this.stop.signal.aborted) return await this.purges.postpone(entry, { delayMs: 0, lastError: null });
      const { id, fileId, attempts } = entry;
      this.logger.warn({ err: error, purgeId: id, fileId, attempts }, 'left-overs are still there; it is done again');
      await this.postponeAfter(entry, error);
    }
  }

  private async note(entry: PurgeEntry, outcome: RemovalOutcome): Promise<void> {
    if (outcome === 'taken') return;
    if (outcome === 'over') return await this.purges.end(entry);
    if ('waitsFor' in outcome) {
      return await this.postponeAfter(entry, new StorageError('FILE_BUSY', `waits for ${outcome.waitsFor}`));
    }
    await this.purges.postpone(entry, { delayMs: outcome.lookAgainInMs, lastError: null });
  }

  private async postponeAfter(entry: PurgeEntry, error: unknown): Promise<void> {
    const lastError = describeTransferError(error);
    await this.purges.postpone(entry, { delayMs: retryDelayMs(entry.attempts), lastError });
  }
}

/** Twice as long after every take, from half a minute to an hour. */
function retryDelayMs(attempts: number): number {
  return Math.min(FIRST_RETRY_MS * 2 ** (attempts - 1), LONGEST_RETRY_MS);
}
