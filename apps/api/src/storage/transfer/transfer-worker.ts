import { setTimeout as sleep } from 'node:timers/promises';
import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { STORAGE_OPTIONS, type StorageOptions } from '../storage.options.js';
import type { StorageFile } from '../storage-file.repository.js';
import { RunningTransfers } from './running-transfers.js';
import { type HeldTicket, TransferQueue } from './transfer-queue.js';
import { TransferStateRepository } from './transfer-state.repository.js';

/** How often the queue is told that this process lives, in ms: three times before the recovery believes the opposite. */
const KEEP_EVERY_MS = 4_000;

/** Between an end that frees a slot and the look at the queue, so that those that end next to it share its statements. */
const GATHER_MS = 10;

/**
 * Takes tickets from the queue, as many as there are free slots, and runs their rows; looks for rows whose owner died.
 * Any number of processes may run one.
 */
@Injectable()
export class TransferWorker implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly logger = new Logger(TransferWorker.name);
  /** Tickets of rows that are under way here. */
  private readonly held = new Set<string>();
  /** Tickets of rows that this process is done with; they are ended together. */
  private readonly ended = new Set<string>();
  private timers: NodeJS.Timeout[] = [];
  private loop: Promise<void> = Promise.resolve();
  private isStopping = false;
  private wake: () => void = () => {};

  constructor(
    private readonly queue: TransferQueue,
    private readonly transfers: RunningTransfers,
    private readonly state: TransferStateRepository,
    @Inject(STORAGE_OPTIONS) private readonly options: StorageOptions,
  ) {}

  onApplicationBootstrap(): void {
    const { workerMode, recoveryMs } = this.options;
    if (workerMode !== 'all') return;
    this.timers = [
      setInterval(() => void this.tell('keep', () => this.queue.keep([...this.held])), KEEP_EVERY_MS),
      setInterval(() => void this.tell('recovery', () => this.recover()), recoveryMs),
    ];
    for (const timer of this.timers) timer.unref();
    this.loop = this.run();
  }

  /** Takes no more tickets. The transfers themselves are let go of by RunningTransfers. */
  async onModuleDestroy(): Promise<void> {
    this.isStopping = true;
    for (const timer of this.timers) clearInterval(timer);
    this.wake();
    await this.loop;
  }

  /** Looks at the queue now, because something was put into it. */
  poke(): void {
    this.wake();
  }

  /** Takes what is due and begins to run it; true when there may be more that is due. */
  async takeDue(): Promise<boolean> {
    await this.endTickets();
    const { shares } = this.transfers;
    if (shares.limit <= 0) return false;
    const tickets = await this.queue.take(shares);
    if (tickets.length === 0) return false;
    for (const { jobId } of tickets) this.held.add(jobId);
    const files = await this.filesOf(tickets);
    for (const ticket of tickets) void this.work(ticket, files.get(ticket.fileId));
    return tickets.length === shares.limit;
  }

  /** Tickets whose rows cannot be read are let go of: kept, they would never be given to anybody again. */
  private async filesOf(tickets: readonly HeldTicket[]): Promise<Map<string, StorageFile>> {
    try {
      const files = await this.state.findAll(tickets.map(({ fileId }) => fileId));
      return new Map(files.map((file) => [file.id, file]));
    } catch (error) {
      for (const ticket of tickets) this.letGo(ticket);
      throw error;
    }
  }

  /** Sends tickets for rows whose owner died. */
  async recover(): Promise<void> {
    if ((await this.state.recover()) > 0) this.poke();
  }

  private async run(): Promise<void> {
    while (!this.isStopping) {
      const woken = this.untilWoken();
      const isMore = await this.tell('look at the queue', () => this.takeDue());
      if (isMore) continue;
      await woken;
      await sleep(GATHER_MS);
    }
    await this.tell('end of tickets', () => this.endTickets());
  }

  private untilWoken(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.options.pollMs);
      timer.unref();
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** The row says what came of it; a ticket is ended whatever that was, because each further try has one of its own. */
  private async work(ticket: HeldTicket, file: StorageFile | undefined): Promise<void> {
    const onAside = () => this.letGo(ticket); // So that it does not count against its workspace; its lease tells of it.
    try {
      if (file !== undefined && isWaiting(file)) await this.transfers.run(file, { onAside });
    } catch (error) {
      this.logger.debug({ err: error, fileId: file?.id }, 'the transfer failed');
    }
    this.letGo(ticket);
  }

  private letGo({ jobId }: HeldTicket): void {
    if (!this.held.delete(jobId)) return;
    this.ended.add(jobId);
    this.wake();
  }

  private async endTickets(): Promise<void> {
    const jobIds = [...this.ended];
    this.ended.clear();
    try {
      await this.queue.complete(jobIds);
    } catch (error) {
      for (const jobId of jobIds) this.ended.add(jobId);
      throw error;
    }
  }

  /** The database may be away: it is all done again. */
  private async tell<Result>(action: string, task: () => Promise<Result>): Promise<Result | undefined> {
    try {
      return await task();
    } catch (error) {
      this.logger.warn({ err: error }, `${action} failed; it is done again`);
      return undefined;
    }
  }
}

function isWaiting({ transferStatus, deletedAt }: StorageFile): boolean {
  return deletedAt === null && (transferStatus === 'PENDING' || transferStatus === 'TRANSFERRING');
}
