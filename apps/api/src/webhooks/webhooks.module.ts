import { Module } from '@nestjs/common';
import { WebhookSubscriptionsModule } from '../storage/events/webhook-subscriptions.module.js';
import { WebhooksController } from './webhooks.controller.js';

@Module({ imports: [WebhookSubscriptionsModule], controllers: [WebhooksController] })
export class WebhooksModule {}
