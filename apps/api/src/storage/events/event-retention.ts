import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { STORAGE_OPTIONS, type StorageOptions } from '../storage.options.js';
import { EventOutboxRepository } from './event-outbox.repository.js';
import { PollLoop } from './poll-loop.js';
import { WebhookDeliveryRepository } from './webhook-delivery.repository.js';

const INTERVAL_MS = 60 * 60_000;
/** Rows that one statement removes: short locks, short transactions. */
const BATCH_SIZE = 1_000;

/** Removes events that were dispatched, and deliveries that ended, longer ago than they are to be kept. */
@Injectable()
export class EventRetention implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly logger = new Logger(EventRetention.name);
  private isStopping = false;
  private readonly loop = new PollLoop({
    intervalMs: INTERVAL_MS,
    run: () => this.removeOld(),
    onError: (error) => this.logger.warn({ err: error }, 'removing old events failed; it is done again'),
  });

  constructor(
    private readonly outbox: EventOutboxRepository,
    private readonly deliveries: WebhookDeliveryRepository,
    @Inject(STORAGE_OPTIONS) private readonly options: StorageOptions,
  ) {}

  onApplicationBootstrap(): void {
    this.loop.start();
  }

  async onModuleDestroy(): Promise<void> {
    this.isStopping = true;
    await this.loop.stop();
  }

  async removeOld(): Promise<void> {
    const { retentionDays } = this.options.events;
    await this.removeInBatches((limit) => this.outbox.removeDispatched(retentionDays, limit));
    await this.removeInBatches((limit) => this.deliveries.removeFinished(retentionDays, limit));
  }

  private async removeInBatches(remove: (limit: number) => Promise<number>): Promise<void> {
    let removed = BATCH_SIZE;
    while (removed === BATCH_SIZE && !this.isStopping) removed = await remove(BATCH_SIZE);
  }
}
