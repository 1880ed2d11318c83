import { Module } from '@nestjs/common';
import { EnvironmentModule } from '../../config/env.module.js';
import { PrismaModule } from '../../prisma/prisma.module.js';
import { GuardedPost } from '../source/guarded-post.js';
import { HostLookupModule } from '../source/host-lookup.module.js';
import { storageOptionsProvider } from '../storage.options.js';
import { WebhookDeliveryRepository } from './webhook-delivery.repository.js';
import { WebhookSubscriptionRepository } from './webhook-subscription.repository.js';
import { WebhookSubscriptions } from './webhook-subscriptions.js';

/** Subscriptions and deliveries as rows. Nothing is sent here: that is EventsModule's, which a command does not run. */
@Module({
  imports: [EnvironmentModule, PrismaModule, HostLookupModule],
  providers: [
    storageOptionsProvider,
    GuardedPost,
    WebhookSubscriptionRepository,
    WebhookDeliveryRepository,
    WebhookSubscriptions,
  ],
  exports: [GuardedPost, WebhookDeliveryRepository, WebhookSubscriptions],
})
export class WebhookSubscriptionsModule {}
