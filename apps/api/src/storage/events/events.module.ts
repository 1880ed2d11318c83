import { Module } from '@nestjs/common';
import { EnvironmentModule } from '../../config/env.module.js';
import { PrismaModule } from '../../prisma/prisma.module.js';
import { storageOptionsProvider } from '../storage.options.js';
import { EventDispatcher } from './event-dispatcher.js';
import { EventOutboxRepository } from './event-outbox.repository.js';
import { EventRetention } from './event-retention.js';
import { WebhookSender } from './webhook-sender.js';
import { WebhookSubscriptionsModule } from './webhook-subscriptions.module.js';

/**
 * Tells of what happened. Apart from StorageModule, because it takes events for the whole product: a process that
 * imports it must have all their listeners, which a command or a worker alone has not. Needs EventEmitterModule.
 */
@Module({
  imports: [EnvironmentModule, PrismaModule, WebhookSubscriptionsModule],
  providers: [storageOptionsProvider, EventOutboxRepository, EventDispatcher, EventRetention, WebhookSender],
  exports: [EventDispatcher],
})
export class EventsModule {}
