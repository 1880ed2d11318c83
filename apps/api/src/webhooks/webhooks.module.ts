import { Module } from '@nestjs/common';
import { EventsModule } from '../storage/events/events.module.js';
import { WebhookSubscriptionsModule } from '../storage/events/webhook-subscriptions.module.js';
import { WebhooksController } from './webhooks.controller.js';

/** The routes; what they subscribe to is sent by EventsModule. */
@Module({ imports: [EventsModule, WebhookSubscriptionsModule], controllers: [WebhooksController] })
export class WebhooksModule {}
