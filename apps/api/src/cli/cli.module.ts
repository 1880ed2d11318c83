import { Module } from '@nestjs/common';
import { EnvironmentModule } from '../config/env.module.js';
import { PrismaModule } from '../prisma/prisma.module.js';
import { WebhookSubscriptionsModule } from '../storage/events/webhook-subscriptions.module.js';
import { StorageModule } from '../storage/storage.module.js';
import { DevelopmentWorkspaceRepository } from './development-workspace.repository.js';

/** Storage without HTTP: what a command needs of the product. */
@Module({
  imports: [EnvironmentModule, PrismaModule, StorageModule, WebhookSubscriptionsModule],
  providers: [DevelopmentWorkspaceRepository],
})
export class CliModule {}
