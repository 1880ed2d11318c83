import { setTimeout as sleep } from 'node:timers/promises';
import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import { parseTransferError, StorageError } from '../storage.errors.js';
import { STORAGE_OPTIONS, type StorageOptions } from '../storage.options.js';
import type { StorageFile } from '../storage-file.repository.js';
import { type TransferJob, TransferRunner } from './transfer-runner.js';
import { TransferSlots } from './transfer-slots.js';
import { TransferStateRepository } from './transfer-state.repository.js';

/** How often a transfer that another process runs is looked at, in ms. */
const JOIN_POLL_MS = 500;
/** Longest wait for clean-ups at the end of the process, in ms: below the 30 s after which Kubernetes kills. */
const STOP_LIMIT_MS = 20_000;

/** What a transfer needs beyond its row. */
export interface TransferWork extends Omit<TransferJob, 'bucket' | 'key' | 'mimeType'> {
  /** Of the source; null where the bytes come from this process. */
  readonly host: string | null;
  readonly signal?: AbortSignal | undefined;
}

interface RunningTransfer {
  readonly settled: Promise<StorageFile>;
  cancel(reason: StorageError): void;
}

/** The transfers that this process runs or waits for: at most one for each file. */
@Injectable()
export class RunningTransfers implements OnModuleDestroy {
  private readonly running = new Map<string, RunningTransfer>();
  private readonly slots: TransferSlots;
  private isStopping = false;

  constructor(
    private readonly state: TransferStateRepository,
    private readonly runner: TransferRunner,
    @Inject(STORAGE_OPTIONS) private readonly options: StorageOptions,
  ) {
    this.slots = new TransferSlots(options.transferConcurrency, options.transferConcurrencyPerHost);
  }

  /** @throws StorageError TRANSFER_CANCELLED while the process stops: no row is to be made any more */
  assertOpen(): void {
    if (this.isStopping) throw stopping();
  }

  /** Runs the transfer, joins the one under way here, or waits for the one under way in another process. */
  run(file: StorageFile, work: TransferWork): Promise<StorageFile> {
    if (file.transferStatus === 'DONE') return Promise.resolve(file);
    const joined = this.running.get(file.id);
    if (joined !== undefined) return joined.settled;
    if (this.isStopping) return Promise.reject(stopping()); // It stopped while the row was made: nobody would wait.
    const cancel = new AbortController();
    // Rows and clients are told one thing, whatever reason the caller's signal carries.
    const onAbort = () => cancel.abort(new StorageError('TRANSFER_CANCELLED', 'the transfer was cancelled'));
    if (work.signal?.aborted) onAbort();
    work.signal?.addEventListener('abort', onAbort, { once: true });
    const settled = this.inTurn(work.host, () => this.runOrFollow(file, work, cancel.signal), cancel.signal).finally(
      () => {
        work.signal?.removeEventListener('abort', onAbort);
        this.running.delete(file.id);
      },
    );
    this.running.set(file.id, { settled, cancel: (reason) => cancel.abort(reason) });
    return settled;
  }

  /** Ends the transfer of a file that this process runs, and waits for its end. */
  async cancel(fileId: string, reason: StorageError): Promise<void> {
    const running = this.running.get(fileId);
    running?.cancel(reason);
    await running?.settled.catch(() => {}); // Its own caller is told; here only its end matters.
  }

  /**
   * Ends every transfer: each cleans up and its row becomes FAILED, which the same request takes up again. One that a
   * silent store holds is left to its lease.
   */
  async onModuleDestroy(): Promise<void> {
    this.isStopping = true;
    const running = [...this.running.values()];
    for (const transfer of running) transfer.cancel(stopping());
    const limit = new AbortController();
    const settled = Promise.allSettled(running.map((transfer) => transfer.settled));
    const limited = sleep(STOP_LIMIT_MS, undefined, { signal: limit.signal }).catch(() => {}); // All ended before.
    await Promise.race([settled, limited]);
    limit.abort();
  }

  /** Runs `task` when a slot is free; a cancelled one at once, because it reads no source and only ends its row. */
  private inTurn<Result>(host: string | null, task: () => Promise<Result>, signal: AbortSignal): Promise<Result> {
    let begun: Promise<Result> | undefined;
    const begin = () => (begun ??= task());
    return new Promise((resolve, reject) => {
      const beginNow = () => void begin().then(resolve, reject);
      if (signal.aborted) return beginNow();
      signal.addEventListener('abort', beginNow, { once: true });
      this.slots.run(host, begin).then(resolve, reject);
    });
  }

  private async runOrFollow(file: StorageFile, work: TransferWork, signal: AbortSignal): Promise<StorageFile> {
    for (let attempts = file.attempts; ; ) {
      const claim = await this.state.claim(file.id, this.options.leaseMs);
      if (claim !== null) {
        const { path: key, bucket, mimeType } = file;
        await this.runner.run(claim, { ...work, bucket, key, mimeType }, signal);
      }
      const now = await this.state.find(file.id);
      if (now === null || now.deletedAt !== null) throw new StorageError('FILE_DELETED', `file ${file.id} is deleted`);
      if (now.transferStatus === 'DONE') return now;
      if (now.transferStatus === 'FAILED' && now.attempts > attempts) throw parseTransferError(now.transferError);
      attempts = Math.min(attempts, now.attempts);
      signal.throwIfAborted(); // Another process runs it: it goes on there.
      await sleep(JOIN_POLL_MS, undefined, { signal }).catch(() => {}); // A cancel ends the wait; the next round says so.
    }
  }
}

function stopping(): StorageError {
  const message = 'the process is stopping; the same request goes on with this file';
  return new StorageError('TRANSFER_CANCELLED', message, { isRetryable: true });
}
