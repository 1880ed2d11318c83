import { setImmediate as nextTurn } from 'node:timers/promises';
import { DatabaseUnavailableError } from '../../prisma/database-error.js';
import { StorageError } from '../storage.errors.js';
import type { ProgressMeter } from './progress-meter.js';
import type { Claim, TransferStateRepository } from './transfer-state.repository.js';

/** Renewals that fit into one lease: two may fail before it runs out. */
const RENEWALS_PER_LEASE = 3;
/** Progress is written no more often than this, in ms. */
const PROGRESS_EVERY_MS = 1_000;

interface KeptLease {
  readonly state: TransferStateRepository;
  readonly claim: Claim;
  readonly leaseMs: number;
  /** Absent: nothing is transferred, and that the file is deleted or cancelled ends nothing. */
  readonly meter?: ProgressMeter;
}

/**
 * Renews a lease until `end`, and writes the progress with the same statement: once a second while bytes come, else
 * three times a lease. Its signal aborts when the lease is lost, the file deleted, or `cancel` says so.
 */
export class LeaseKeeper {
  readonly signal: AbortSignal;
  private readonly stop = new AbortController();
  private readonly timer: NodeJS.Timeout;
  private renewedAt = performance.now();
  private writtenBytes = 0;
  private isRenewing = false;

  constructor(
    private readonly lease: KeptLease,
    cancel: AbortSignal,
  ) {
    this.signal = AbortSignal.any([cancel, this.stop.signal]);
    this.timer = setInterval(() => void this.tick(), Math.min(PROGRESS_EVERY_MS, this.renewAfterMs));
  }

  end(): void {
    clearInterval(this.timer);
  }

  /** Renews at once. @throws StorageError TRANSFER_LOST when another has the row, or it is gone */
  async confirm(): Promise<void> {
    const asked = performance.now();
    await this.renew();
    this.stop.signal.throwIfAborted();
    this.renewedAt = asked;
  }

  /**
   * Renews at once, whether or not somebody wants the transfer to end: what may be cleaned up is decided by the lease
   * alone. An answer that came late is asked for again: the lease may have run out since.
   *
   * @throws StorageError TRANSFER_LOST when the row is another's, or nobody can say whose it is
   */
  async assertHeld(): Promise<void> {
    const { state, claim, leaseMs } = this.lease;
    for (let asked = Number.NEGATIVE_INFINITY; performance.now() - asked > leaseMs - this.renewAfterMs; ) {
      asked = performance.now();
      const outcome = await state.renew(claim, leaseMs).catch((error) => {
        throw transferLost(claim, error);
      });
      if (outcome === 'lost') throw transferLost(claim);
    }
  }

  private get renewAfterMs(): number {
    return this.lease.leaseMs / RENEWALS_PER_LEASE;
  }

  /** There is no time left for another renewal. */
  private get isRunningOut(): boolean {
    return performance.now() - this.renewedAt > this.lease.leaseMs - this.renewAfterMs;
  }

  private async tick(): Promise<void> {
    const asked = performance.now();
    const { meter } = this.lease;
    const isDue =
      (meter?.bytes ?? 0) !== this.writtenBytes || asked - this.renewedAt >= this.renewAfterMs - PROGRESS_EVERY_MS / 2;
    if (this.isRenewing) return await this.judgeSilence();
    if (!isDue) return;
    this.isRenewing = true;
    try {
      await this.renew();
      this.renewedAt = asked;
    } catch (error) {
      // One renewal may fail; the lease itself is what must not run out.
      if (this.isRunningOut) this.stop.abort(error);
    } finally {
      this.isRenewing = false;
    }
  }

  /** An answer may never come. One that came while the event loop was blocked is heard first. */
  private async judgeSilence(): Promise<void> {
    await nextTurn();
    const isOver = performance.now() - this.renewedAt > this.lease.leaseMs;
    if (this.isRenewing && isOver) this.stop.abort(new DatabaseUnavailableError());
  }

  private async renew(): Promise<void> {
    const { state, claim, leaseMs, meter } = this.lease;
    const progress = meter && { bytes: meter.bytes, totalBytes: meter.totalBytes };
    const outcome = await state.renew(claim, leaseMs, progress);
    this.writtenBytes = progress?.bytes ?? 0;
    if (outcome === 'lost') this.stop.abort(transferLost(claim));
    if (meter === undefined) return;
    if (outcome === 'deleted') this.stop.abort(new StorageError('TRANSFER_CANCELLED', 'the file was deleted'));
    if (outcome === 'cancelled') {
      this.stop.abort(new StorageError('TRANSFER_CANCELLED', 'the transfer was cancelled'));
    }
  }
}

/** What an owner is told whose row another took. */
export function transferLost({ id }: Claim, cause?: unknown): StorageError {
  return new StorageError('TRANSFER_LOST', `transfer of file ${id} was taken over by another process`, { cause });
}
