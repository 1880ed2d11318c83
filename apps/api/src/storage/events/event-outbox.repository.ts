import { Injectable } from '@nestjs/common';
import { PrismaService } from '../../prisma/prisma.service.js';

/** An event that this process tells of until its lease ends. `attempts` counts the takes: an older one is void. */
export interface HeldEvent {
  readonly id: string;
  readonly type: string;
  readonly workspaceId: string;
  readonly payload: Readonly<Record<string, unknown>>;
  readonly attempts: number;
}

/** The events of one type in one workspace. */
export interface EventShare {
  readonly workspaceId: string;
  readonly type: string;
}

export interface TakeEvents {
  /** After which others see them due again. */
  leaseMs: number;
  limit: number;
  /** Of which no more are wanted now. */
  exceptTypes: readonly string[];
  exceptShares: readonly EventShare[];
}

/** Events whose listeners fail for longer are given up. */
const GIVE_UP_AFTER_HOURS = 24;

/** Events of the outbox. They are inserted by whoever does what they tell of, in the same transaction. */
@Injectable()
export class EventOutboxRepository {
  constructor(private readonly prisma: PrismaService) {}

  /**
   * Takes events that are due, those due for longest first. The first take of an event writes down its webhook
   * deliveries in the same statement, one for each subscription; later ones do not, because by then there may be
   * subscriptions that were not there or were off, and deliveries that were removed after their time.
   */
  async take({ leaseMs, limit, exceptTypes, exceptShares }: TakeEvents): Promise<HeldEvent[]> {
    const workspaceIds = exceptShares.map(({ workspaceId }) => workspaceId);
    const types = exceptShares.map(({ type }) => type);
    return await this.prisma.client.$queryRaw<HeldEvent[]>`
      WITH taken AS (
        UPDATE core_outbox_event
        SET attempts = attempts + 1, next_attempt_at = now() + ${leaseMs} * interval '1 millisecond'
        WHERE id = ANY (ARRAY(
          SELECT id FROM core_outbox_event
          WHERE given_up_at IS NULL AND dispatched_at IS NULL AND next_attempt_at <= now()
            AND type <> ALL (${exceptTypes}::text[])
            AND (workspace_id, type) NOT IN (SELECT * FROM unnest(${workspaceIds}::uuid[], ${types}::text[]))
          ORDER BY next_attempt_at LIMIT ${limit}
          FOR UPDATE SKIP LOCKED))
        RETURNING id, type, payload, attempts, workspace_id, created_at
      ), delivery AS (
        INSERT INTO core_webhook_delivery (subscription_id, event_id, event_type, payload, occurred_at)
        SELECT subscription.id, taken.id, taken.type, taken.payload, taken.created_at
        FROM taken CROSS JOIN LATERAL (
          SELECT id FROM core_webhook_subscription
          WHERE taken.attempts = 1 AND workspace_id = taken.workspace_id AND is_active AND taken.type = ANY (event_types)
          OFFSET 0 -- A few look-ups on the index, whatever PostgreSQL thinks of the number of events.
        ) AS subscription
        ON CONFLICT (subscription_id, event_id) DO NOTHING
      )
      SELECT id, type, workspace_id AS "workspaceId", payload, attempts FROM taken`;
  }

  /** Renews the lease of all of them at once, and resolves to the ids of those that are still this taker's. */
  async renew(events: readonly HeldEvent[], leaseMs: number): Promise<Set<string>> {
    const rows = await this.prisma.client.$queryRaw<{ id: string }[]>`
      UPDATE core_outbox_event AS event SET next_attempt_at = now() + ${leaseMs} * interval '1 millisecond'
      FROM unnest(${idsOf(events)}::uuid[], ${attemptsOf(events)}::int[]) AS held (id, attempts)
      WHERE event.id = held.id AND event.attempts = held.attempts AND event.dispatched_at IS NULL
      RETURNING event.id`;
    return new Set(rows.map(({ id }) => id));
  }

  /** Everybody was told. It is so whoever holds the events by now. */
  async markDispatched(ids: readonly string[]): Promise<void> {
    await this.prisma.client.$executeRaw`
      UPDATE core_outbox_event SET dispatched_at = now(), given_up_at = NULL
      WHERE id = ANY (${ids}::uuid[]) AND dispatched_at IS NULL`;
  }

  /** Lets go of them: they are due at once. */
  async release(events: readonly HeldEvent[]): Promise<void> {
    await this.prisma.client.$executeRaw`
      UPDATE core_outbox_event AS event SET next_attempt_at = now()
      FROM unnest(${idsOf(events)}::uuid[], ${attemptsOf(events)}::int[]) AS held (id, attempts)
      WHERE event.id = held.id AND event.attempts = held.attempts AND event.dispatched_at IS NULL`;
  }

  /**
   * Puts a failed event off for about as long as it has been failing, between a second and an hour, with jitter; after
   * a day it is given up, and stays as it is.
   */
  async postpone({ id, attempts }: HeldEvent, lastError: string): Promise<'postponed' | 'given-up' | 'lost'> {
    const rows = await this.prisma.client.$queryRaw<{ isGivenUp: boolean }[]>`
      UPDATE core_outbox_event
      SET last_error = ${lastError},
        failing_since = coalesce(failing_since, now()),
        given_up_at = CASE WHEN failing_since <= now() - ${GIVE_UP_AFTER_HOURS} * interval '1 hour' THEN now() END,
        next_attempt_at = now() + (0.5 + random()) * least(interval '1 hour',
          greatest(interval '1 second', now() - coalesce(failing_since, now())))
      WHERE id = ${id}::uuid AND attempts = ${attempts} AND dispatched_at IS NULL
      RETURNING given_up_at IS NOT NULL AS "isGivenUp"`;
    if (rows[0] === undefined) return 'lost';
    return rows[0].isGivenUp ? 'given-up' : 'postponed';
  }

  /** Removes at most `limit` events that were dispatched `days` ago or earlier, and resolves to how many it removed. */
  async removeDispatched(days: number, limit: number): Promise<number> {
    return await this.prisma.client.$executeRaw`
      DELETE FROM core_outbox_event WHERE id = ANY (ARRAY(
        SELECT id FROM core_outbox_event
        WHERE given_up_at IS NULL AND dispatched_at <= now() - ${days} * interval '1 day'
        ORDER BY dispatched_at LIMIT ${limit}
        FOR UPDATE SKIP LOCKED))`;
  }
}

const idsOf = (events: readonly HeldEvent[]) => events.map(({ id }) => id);
const attemptsOf = (events: readonly HeldEvent[]) => events.map(({ attempts }) => attempts);
