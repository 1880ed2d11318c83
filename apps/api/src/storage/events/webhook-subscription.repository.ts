import { Injectable } from '@nestjs/common';
import type { WebhookSubscription } from '../../generated/prisma/client.js';
import { PrismaService } from '../../prisma/prisma.service.js';
import { StorageError } from '../storage.errors.js';

export type { WebhookSubscription };

/** A row by its id, seen only from its workspace. */
export interface WebhookKey {
  workspaceId: string;
  id: string;
}

export interface NewWebhookSubscription extends WebhookKey {
  url: string;
  urlSealed: Uint8Array<ArrayBuffer>;
  eventTypes: readonly string[];
  secretSealed: Uint8Array<ArrayBuffer>;
}

/** Subscriptions of one workspace: every event is written down for each of them. */
export const SUBSCRIPTIONS_PER_WORKSPACE = 20;
/** For which the secret before signs beside the new one. */
const PREVIOUS_SECRET_HOURS = 24;

/** Rows of WebhookSubscription, always within one workspace. */
@Injectable()
export class WebhookSubscriptionRepository {
  constructor(private readonly prisma: PrismaService) {}

  /** @throws StorageError WORKSPACE_NOT_FOUND, WEBHOOK_LIMIT */
  async create({ workspaceId, id, ...row }: NewWebhookSubscription): Promise<WebhookSubscription> {
    return await this.prisma.transaction(async (transaction) => {
      // The lock makes those who come at once count one after the other.
      const workspaces = await transaction.$queryRaw<unknown[]>`
        SELECT FROM core_workspace WHERE id = ${workspaceId}::uuid FOR NO KEY UPDATE`;
      if (workspaces.length === 0) throw new StorageError('WORKSPACE_NOT_FOUND', 'there is no such workspace');
      if ((await transaction.webhookSubscription.count({ where: { workspaceId } })) >= SUBSCRIPTIONS_PER_WORKSPACE) {
        throw new StorageError('WEBHOOK_LIMIT', `a workspace has ${SUBSCRIPTIONS_PER_WORKSPACE} webhooks at most`);
      }
      const data = { ...row, workspaceId, id, eventTypes: [...row.eventTypes] };
      return await transaction.webhookSubscription.create({ data });
    });
  }

  /** All of a workspace, newest first. */
  async list(workspaceId: string): Promise<WebhookSubscription[]> {
    return await this.prisma.client.webhookSubscription.findMany({
      where: { workspaceId },
      orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
    });
  }

  async find({ workspaceId, id }: WebhookKey): Promise<WebhookSubscription | null> {
    return await this.prisma.client.webhookSubscription.findFirst({ where: { workspaceId, id } });
  }

  /**
   * The hours in which it was off are none in which its receiver failed. False: there is no such subscription.
   */
  async setActive({ workspaceId, id }: WebhookKey, isActive: boolean): Promise<boolean> {
    const [outcome] = await this.prisma.client.$queryRaw<{ count: number }[]>`
      WITH changed AS (
        UPDATE core_webhook_subscription SET is_active = ${isActive}, updated_at = now()
        WHERE workspace_id = ${workspaceId}::uuid AND id = ${id}::uuid
        RETURNING id
      ), forgiven AS (
        UPDATE core_webhook_delivery AS delivery SET failing_since = NULL
        FROM changed WHERE ${isActive} AND delivery.subscription_id = changed.id AND delivery.status = 'PENDING'
      )
      SELECT count(*)::int AS count FROM changed`;
    return outcome?.count === 1;
  }

  /** With its deliveries. False: there was none. */
  async delete({ workspaceId, id }: WebhookKey): Promise<boolean> {
    const { count } = await this.prisma.client.webhookSubscription.deleteMany({ where: { workspaceId, id } });
    return count > 0;
  }

  /** The secret of now becomes the previous one, in the same statement. False: there is no such subscription. */
  async rotateSecret(
    { workspaceId, id }: WebhookKey,
    { secretSealed, urlSealed }: { secretSealed: Uint8Array; urlSealed: Uint8Array },
  ): Promise<boolean> {
    const changed = await this.prisma.client.$executeRaw`
      UPDATE core_webhook_subscription
      SET previous_secret_sealed = secret_sealed, secret_sealed = ${secretSealed}, url_sealed = ${urlSealed},
        updated_at = now(), previous_secret_until = now() + ${PREVIOUS_SECRET_HOURS} * interval '1 hour'
      WHERE workspace_id = ${workspaceId}::uuid AND id = ${id}::uuid`;
    return changed > 0;
  }
}
