import { Injectable } from '@nestjs/common';
import type { WebhookDelivery } from '../../generated/prisma/client.js';
import { afterPosition, formatCursor, parseCursor } from '../../prisma/page-cursor.js';
import { PrismaService } from '../../prisma/prisma.service.js';
import { StorageError } from '../storage.errors.js';

export type { WebhookDelivery };

/** A delivery that this process sends until its lease ends. `attempts` counts the takes: an older one is void. */
export interface HeldDelivery {
  readonly id: string;
  readonly attempts: number;
  readonly subscriptionId: string;
  readonly workspaceId: string;
  readonly eventId: string;
  readonly eventType: string;
  readonly payload: unknown;
  readonly occurredAt: Date;
  readonly urlSealed: Uint8Array;
  readonly secretSealed: Uint8Array;
  /** Null: nobody rotated it, or that is long ago. */
  readonly previousSecretSealed: Uint8Array | null;
}

/** How many deliveries of each there may be under way, and by its id, how many this process sends already. */
export interface DeliveryShare {
  limit: number;
  underWay: ReadonlyMap<string, number>;
}

export interface TakeDeliveries {
  leaseMs: number;
  limit: number;
  /** So that a slow receiver delays its own alone, and those of one workspace no other's. */
  perSubscription: DeliveryShare;
  perWorkspace: DeliveryShare;
}

export interface FailedDelivery {
  /** Null: there was no answer. */
  responseStatus: number | null;
  lastError: string;
  /** How long the receiver asks to be left alone. */
  retryAfterMs: number;
}

export interface DeliveryPage {
  deliveries: WebhookDelivery[];
  /** Absent on the last page. */
  nextCursor?: string;
}

/** Deliveries that fail for longer are FAILED. */
const GIVE_UP_AFTER_HOURS = 24;

/** Deliveries of events to subscriptions. EventOutboxRepository inserts them, with the take of their event. */
@Injectable()
export class WebhookDeliveryRepository {
  constructor(private readonly prisma: PrismaService) {}

  /**
   * Takes deliveries that are due; others see them due again after `leaseMs`. First come the workspaces with the fewest
   * under way, and of a workspace the subscriptions with the fewest. Between equals it is drawn: by age, those with the
   * longest backlog would always come first.
   */
  async take({ leaseMs, limit, perSubscription, perWorkspace }: TakeDeliveries): Promise<HeldDelivery[]> {
    return await this.prisma.client.$queryRaw<HeldDelivery[]>`
      WITH RECURSIVE waiting AS (
        -- One look at the index a subscription, instead of one a delivery.
        (SELECT subscription_id FROM core_webhook_delivery WHERE status = 'PENDING' ORDER BY subscription_id LIMIT 1)
        UNION ALL
        SELECT (SELECT subscription_id FROM core_webhook_delivery AS next
          WHERE status = 'PENDING' AND next.subscription_id > waiting.subscription_id
          ORDER BY subscription_id LIMIT 1)
        FROM waiting WHERE waiting.subscription_id IS NOT NULL
      ), due AS (
        SELECT first.id, owner.workspace_id, coalesce(under_way.count, 0)
            + row_number() OVER (PARTITION BY owner.id ORDER BY first.next_attempt_at) AS of_subscription
        FROM waiting
          CROSS JOIN LATERAL (
            SELECT id, workspace_id FROM core_webhook_subscription
            WHERE id = waiting.subscription_id AND is_active OFFSET 0
          ) AS owner
          LEFT JOIN unnest(${idsOf(perSubscription)}::uuid[], ${countsOf(perSubscription)}::int[])
            AS under_way (subscription_id, count) ON under_way.subscription_id = owner.id
          CROSS JOIN LATERAL (
            SELECT id, next_attempt_at FROM core_webhook_delivery
            WHERE status = 'PENDING' AND subscription_id = waiting.subscription_id AND next_attempt_at <= now()
            ORDER BY next_attempt_at LIMIT greatest(0, ${perSubscription.limit} - coalesce(under_way.count, 0))
          ) AS first
      ), within_workspace AS (
        SELECT due.id, coalesce(under_way.count, 0)
            + row_number() OVER (PARTITION BY due.workspace_id ORDER BY of_subscription, random()) AS of_workspace
        FROM due
          LEFT JOIN unnest(${idsOf(perWorkspace)}::uuid[], ${countsOf(perWorkspace)}::int[])
            AS under_way (workspace_id, count) ON under_way.workspace_id = due.workspace_id
      )
      UPDATE core_webhook_delivery AS delivery
      SET attempts = attempts + 1, next_attempt_at = now() + ${leaseMs} * interval '1 millisecond'
      FROM core_webhook_subscription AS subscription
      WHERE subscription.id = delivery.subscription_id
        AND delivery.id = ANY (ARRAY(
          SELECT candidate.id
          FROM unnest(ARRAY(
              SELECT id FROM within_workspace WHERE of_workspace <= ${perWorkspace.limit} ORDER BY of_workspace, random()
            )) WITH ORDINALITY AS chosen (id, place)
            JOIN core_webhook_delivery AS candidate ON candidate.id = chosen.id
          WHERE candidate.status = 'PENDING' AND candidate.next_attempt_at <= now()
          ORDER BY chosen.place LIMIT ${limit}
          FOR UPDATE OF candidate SKIP LOCKED))
      RETURNING delivery.id, attempts, subscription_id AS "subscriptionId", workspace_id AS "workspaceId",
        event_id AS "eventId", event_type AS "eventType", payload, occurred_at AS "occurredAt",
        url_sealed AS "urlSealed", secret_sealed AS "secretSealed",
        CASE WHEN previous_secret_until > now() THEN previous_secret_sealed END AS "previousSecretSealed"`;
  }

  /** It arrived, whoever holds it by now. */
  async markDelivered({ id }: HeldDelivery, responseStatus: number): Promise<void> {
    await this.prisma.client.$executeRaw`
      UPDATE core_webhook_delivery
      SET status = 'DELIVERED', finished_at = now(), response_status = ${responseStatus}, last_error = NULL
      WHERE id = ${id}::uuid AND status = 'PENDING'`;
  }

  /**
   * Puts a failed delivery off for about as long as it has been failing, between 5 seconds and an hour, with jitter, or
   * for as long as the receiver asks; after a day it is FAILED.
   */
  async postpone({ id, attempts }: HeldDelivery, failure: FailedDelivery): Promise<'PENDING' | 'FAILED' | 'lost'> {
    const { responseStatus, lastError, retryAfterMs } = failure;
    const rows = await this.prisma.client.$queryRaw<{ status: 'PENDING' | 'FAILED' }[]>`
      UPDATE core_webhook_delivery AS delivery
      SET response_status = ${responseStatus}, last_error = ${lastError},
        failing_since = coalesce(failing_since, now()),
        status = CASE WHEN is_over THEN 'FAILED' ELSE 'PENDING' END::"WebhookDeliveryStatus",
        finished_at = CASE WHEN is_over THEN now() END,
        next_attempt_at = now() + greatest(
          least(interval '24 hours', ${retryAfterMs} * interval '1 millisecond'),
          (0.5 + random()) * least(interval '1 hour',
            greatest(interval '5 seconds', now() - coalesce(failing_since, now()))))
      FROM (
        SELECT coalesce(failing_since <= now() - ${GIVE_UP_AFTER_HOURS} * interval '1 hour', false) AS is_over
        FROM core_webhook_delivery WHERE id = ${id}::uuid
      ) AS verdict
      WHERE id = ${id}::uuid AND attempts = ${attempts} AND status = 'PENDING'
      RETURNING status`;
    return rows[0]?.status ?? 'lost';
  }

  /** Lets go of it: it is due at once. */
  async release({ id, attempts }: HeldDelivery): Promise<void> {
    await this.prisma.client.$executeRaw`
      UPDATE core_webhook_delivery SET next_attempt_at = now()
      WHERE id = ${id}::uuid AND attempts = ${attempts} AND status = 'PENDING'`;
  }

  /**
   * One page of a subscription's deliveries, newest first.
   *
   * @throws StorageError INVALID_CURSOR
   */
  async list(
    subscriptionId: string,
    { cursor, limit }: { cursor?: string | undefined; limit: number },
  ): Promise<DeliveryPage> {
    const after = cursor === undefined ? undefined : parseCursor(cursor);
    if (cursor !== undefined && after === undefined) {
      throw new StorageError('INVALID_CURSOR', 'cursor is not one that a list gave; start without it');
    }
    const deliveries = await this.prisma.client.webhookDelivery.findMany({
      where: { subscriptionId, ...(after !== undefined ? afterPosition(after) : {}) },
      orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
      take: limit + 1,
    });
    const last = deliveries.length > limit ? deliveries[limit - 1] : undefined;
    return { deliveries: deliveries.slice(0, limit), ...(last ? { nextCursor: formatCursor(last) } : {}) };
  }

  async find({ subscriptionId, id }: { subscriptionId: string; id: string }): Promise<WebhookDelivery | null> {
    return await this.prisma.client.webhookDelivery.findFirst({ where: { subscriptionId, id } });
  }

  /** Makes these deliveries due at once, as if they had never failed; resolves to how many there are. */
  async replay(deliveries: { id: string } | { eventId: string }): Promise<number> {
    const { count } = await this.prisma.client.webhookDelivery.updateMany({
      where: deliveries,
      data: { status: 'PENDING', nextAttemptAt: new Date(0), failingSince: null, finishedAt: null },
    });
    return count;
  }

  /** Removes at most `limit` deliveries that ended `days` ago or earlier, and resolves to how many it removed. */
  async removeFinished(days: number, limit: number): Promise<number> {
    return await this.prisma.client.$executeRaw`
      DELETE FROM core_webhook_delivery WHERE id = ANY (ARRAY(
        SELECT id FROM core_webhook_delivery WHERE finished_at <= now() - ${days} * interval '1 day'
        ORDER BY finished_at LIMIT ${limit}
        FOR UPDATE SKIP LOCKED))`;
  }
}

const idsOf = ({ underWay }: DeliveryShare) => [...underWay.keys()];
const countsOf = ({ underWay }: DeliveryShare) => [...underWay.values()];
