import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Injectable, type Provider } from '@nestjs/common';
import { OnEvent } from '@nestjs/event-emitter';
import type { TestingModule } from '@nestjs/testing';
import { createTestDatabase, type TestDatabase } from '../../../test/support/test-database.js';
import { type OutboxRow, openOutbox, startTestEvents } from '../../../test/support/test-events.js';
import { StorageError } from '../storage.errors.js';
import { type EventDelivery, EventDispatcher } from './event-dispatcher.js';
import { EventRetention } from './event-retention.js';

type Told = { payload: { name?: string }; delivery: EventDelivery };

/** What a test does with an event, and all that was told so far. */
class Ear {
  readonly told: Told[] = [];
  answer: (told: Told) => Promise<void> | void = () => {};

  async hear(payload: Told['payload'], delivery: EventDelivery): Promise<void> {
    const told = { payload, delivery };
    this.told.push(told);
    await this.answer(told);
  }

  /** Names of the payloads. */
  get names(): (string | undefined)[] {
    return this.told.map(({ payload }) => payload.name);
  }

  get provider(): Provider {
    return { provide: Ear, useValue: this };
  }
}

@Injectable()
class TestListener {
  constructor(private readonly ear: Ear) {}

  @OnEvent('storage.file.done', { suppressErrors: false })
  async handleDone(payload: Told['payload'], delivery: EventDelivery): Promise<void> {
    await this.ear.hear(payload, delivery);
  }

  @OnEvent('recording.ready')
  async handleReady(payload: Told['payload'], delivery: EventDelivery): Promise<void> {
    await this.ear.hear(payload, delivery);
  }
}

async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 10_000; Date.now() < end; await sleep(10)) if (await isSo()) return;
  throw new Error('it never came so far');
}

describe('EventDispatcher', () => {
  let database: TestDatabase;
  let outbox: ReturnType<typeof openOutbox>;
  const started: TestingModule[] = [];

  beforeAll(async () => {
    database = await createTestDatabase();
    outbox = openOutbox(database);
  });
  afterEach(async () => {
    await Promise.all(started.splice(0).map((app) => app.close()));
    await database.query('DELETE FROM core_outbox_event');
  });
  afterAll(async () => {
    await database.drop();
  });

  /** One process of the product. It looks for events when it starts; after that only when poked, unless `pollMs` says so. */
  async function start({ leaseMs = 30_000, pollMs = 600_000 } = {}) {
    const ear = new Ear();
    const providers = [ear.provider, TestListener];
    const app = await startTestEvents({ database, providers, leaseMs, variables: { EVENT_POLL_MS: String(pollMs) } });
    started.push(app);
    return { app, ear, dispatcher: app.get(EventDispatcher, { strict: false }) };
  }

  async function untilRow(id: string, isSo: (row: OutboxRow) => boolean): Promise<OutboxRow> {
    await until(async () => isSo(await outbox.read(id)));
    return await outbox.read(id);
  }

  it('tells listeners of an event that was committed before it started, and marks it', async () => {
    const id = await outbox.insert('storage.file.done', { name: 'a' });
    const { ear } = await start();
    await untilRow(id, ({ dispatchedAt }) => dispatchedAt !== null);
    expect(ear.told).toEqual([{ payload: { name: 'a' }, delivery: expect.objectContaining({ eventId: id }) }]);
  });

  it('looks again by itself, and at once when poked', async () => {
    const quick = await start({ pollMs: 20 });
    await outbox.insert('storage.file.done', { name: 'polled' });
    await until(() => quick.ear.names.includes('polled'));
    await quick.app.close();

    const { ear, dispatcher } = await start();
    await outbox.insert('storage.file.done', { name: 'poked' });
    dispatcher.poke();
    await until(() => ear.names.includes('poked'));
  });

  it('dispatches an event nobody listens to', async () => {
    const id = await outbox.insert('storage.file.deleted');
    await start();
    await untilRow(id, ({ dispatchedAt }) => dispatchedAt !== null);
  });

  it('tells each of 200 events once, however many processes look', async () => {
    const processes = await Promise.all([start({ pollMs: 20 }), start({ pollMs: 20 }), start({ pollMs: 20 })]);
    const names = Array.from({ length: 200 }, (_, index) => `event-${index}`);
    await database.query(
      `INSERT INTO core_outbox_event (type, workspace_id, subject_id, payload)
       SELECT 'storage.file.done', gen_random_uuid(), gen_random_uuid(), jsonb_build_object('name', name)
       FROM unnest($1::text[]) AS name`,
      [names],
    );
    await until(async () => {
      const [row] = await database.query<{ count: string }>(
        'SELECT count(*) FROM core_outbox_event WHERE dispatched_at IS NULL',
      );
      return row?.count === '0';
    });
    expect(processes.flatMap(({ ear }) => ear.names).toSorted()).toEqual(names.toSorted());
  });

  it('keeps an event while its listener runs, longer than the lease', async () => {
    const { ear, dispatcher } = await start({ leaseMs: 1_000 });
    const slow = Promise.withResolvers<void>();
    ear.answer = () => slow.promise;
    const slowId = await outbox.insert('recording.ready', { name: 'slow' });
    dispatcher.poke();
    await until(() => ear.names.includes('slow'));

    const rival = await start({ leaseMs: 1_000, pollMs: 20 });
    await sleep(2_500); // More than two leases.
    expect(rival.ear.names).not.toContain('slow');
    expect(await outbox.read(slowId)).toMatchObject({ attempts: 1, dispatchedAt: null });
    slow.resolve();
    await untilRow(slowId, ({ dispatchedAt }) => dispatchedAt !== null);
  });

  it('holds up no other event while a listener waits', async () => {
    const { ear, dispatcher } = await start();
    const slow = Promise.withResolvers<void>();
    ear.answer = ({ payload }) => (payload.name === 'slow' ? slow.promise : undefined);
    await outbox.insert('recording.ready', { name: 'slow' });
    dispatcher.poke();
    await until(() => ear.names.includes('slow'));
    const id = await outbox.insert('recording.ready', { name: 'quick' });
    dispatcher.poke();
    await untilRow(id, ({ dispatchedAt }) => dispatchedAt !== null);
    slow.resolve();
  });

  it('tells again what a process that died had taken, once its lease has ended', async () => {
    const id = await outbox.insert('storage.file.done', { name: 'a' });
    await database.query(
      "UPDATE core_outbox_event SET attempts = 1, next_attempt_at = now() + interval '800 milliseconds'",
    );
    const { ear } = await start({ pollMs: 20 });
    await sleep(100);
    expect(ear.told).toEqual([]);
    expect(await untilRow(id, ({ dispatchedAt }) => dispatchedAt !== null)).toMatchObject({ attempts: 2 });
    expect(ear.told).toHaveLength(1);
  });

  it('lets go of what its listeners still do when it stops: another process takes it at once', async () => {
    const { app, ear, dispatcher } = await start();
    ear.answer = () => new Promise(() => {});
    const id = await outbox.insert('recording.ready', { name: 'a' });
    dispatcher.poke();
    await until(() => ear.names.length === 1);
    const heir = await start({ pollMs: 20 });
    expect(heir.ear.names).toEqual([]);
    await app.close();
    expect(await untilRow(id, ({ dispatchedAt }) => dispatchedAt !== null)).toMatchObject({ attempts: 2 });
    expect(heir.ear.names).toEqual(['a']);
  });

  it('tells an event again after a listener rejected, with a wait and without the text of unknown errors', async () => {
    const { ear, dispatcher } = await start();
    ear.answer = () => {
      throw new Error('https://user:secret@example.com/');
    };
    const id = await outbox.insert('storage.file.done');
    dispatcher.poke();
    const row = await untilRow(id, ({ lastError }) => lastError !== null);
    expect(row).toMatchObject({
      lastError: 'Error: unexpected error, see the log',
      dispatchedAt: null,
      givenUpAt: null,
    });
    expect(row.dueInMs).toBeGreaterThan(0);
    expect(row.dueInMs).toBeLessThanOrEqual(1_500);

    ear.answer = () => {};
    await database.query('UPDATE core_outbox_event SET next_attempt_at = now()');
    dispatcher.poke();
    expect(await untilRow(id, ({ dispatchedAt }) => dispatchedAt !== null)).toMatchObject({ attempts: 2 });
  });

  it('waits longer the longer listeners fail, and gives up after a day, for people to see', async () => {
    const { ear, dispatcher } = await start();
    ear.answer = () => {
      throw new StorageError('STORE_UNREACHABLE', 'the store is away');
    };
    const id = await outbox.insert('storage.file.done');
    const fail = async (failingFor: string) => {
      const { attempts } = await outbox.read(id);
      await database.query(
        'UPDATE core_outbox_event SET next_attempt_at = now(), failing_since = now() - $1::interval',
        [failingFor],
      );
      dispatcher.poke();
      return await untilRow(
        id,
        (row) => row.attempts > attempts && row.dueInMs < 10 * 3_600_000 && row.lastError !== null,
      );
    };
    await fail('0 minutes');
    const later = await fail('10 minutes');
    expect(later.dueInMs / 60_000).toBeGreaterThan(4.9);
    expect(later.dueInMs / 60_000).toBeLessThan(15.1);
    const latest = await fail('23 hours');
    expect(latest.dueInMs / 60_000).toBeGreaterThan(29);
    expect(latest.dueInMs / 60_000).toBeLessThan(90.1);
    expect(latest.givenUpAt).toBeNull();
    await fail('25 hours');
    const givenUp = await untilRow(id, ({ givenUpAt }) => givenUpAt !== null);
    expect(givenUp).toMatchObject({ dispatchedAt: null, lastError: 'STORE_UNREACHABLE: the store is away' });

    await database.query('UPDATE core_outbox_event SET next_attempt_at = now()');
    const toldBefore = ear.told.length;
    await dispatcher.runDue();
    expect(ear.told).toHaveLength(toldBefore);
  });

  it('cannot see a rejection that Nest suppresses, which is its default; such a listener can ask for the event', async () => {
    const { ear, dispatcher } = await start();
    ear.answer = () => {
      throw new Error('nobody hears this but the log');
    };
    const suppressed = await outbox.insert('recording.ready');
    dispatcher.poke();
    expect(await untilRow(suppressed, ({ dispatchedAt }) => dispatchedAt !== null)).toMatchObject({ lastError: null });

    ear.answer = ({ delivery }) =>
      delivery.retryLater(new StorageError('DATABASE_UNAVAILABLE', 'the database is away'));
    const asked = await outbox.insert('recording.ready');
    dispatcher.poke();
    const row = await untilRow(asked, ({ lastError }) => lastError !== null);
    expect(row).toMatchObject({ dispatchedAt: null, lastError: 'DATABASE_UNAVAILABLE: the database is away' });
  });

  it('removes events that were dispatched long ago, and no others', async () => {
    const { app } = await start();
    const kept = [await outbox.insert('storage.file.done'), await outbox.insert('storage.file.done')];
    await database.query("UPDATE core_outbox_event SET dispatched_at = now() - interval '29 days' WHERE id = $1", [
      kept[0],
    ]);
    await database.query(
      "UPDATE core_outbox_event SET given_up_at = now() - interval '1 year', created_at = now() - interval '2 years' WHERE id = $1",
      [kept[1]],
    );
    await database.query(
      `INSERT INTO core_outbox_event (type, workspace_id, subject_id, payload, dispatched_at)
       SELECT 'storage.file.done', gen_random_uuid(), gen_random_uuid(), '{}', now() - interval '31 days'
       FROM generate_series(1, 2500)`,
    );
    await app.get(EventRetention, { strict: false }).removeOld();
    const rows = await database.query<{ id: string }>('SELECT id FROM core_outbox_event');
    expect(rows.map(({ id }) => id).toSorted()).toEqual(kept.toSorted());
  });
});
