import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Client } from 'pg';
import { PgBoss } from 'pg-boss';
import { takeAnything } from '../../../test/support/take-anything.js';
import { startTestStorage, type TestStorage } from '../../../test/support/test-storage.js';
import { PrismaService } from '../../prisma/prisma.service.js';
import type { Shares } from './fair-take.js';
import { type HeldTicket, TransferQueue } from './transfer-queue.js';

/** What one process takes with default settings. */
const SHARES = { perWorkspace: 8, perHost: 4 };
const CROWD_TICKETS = 10_000;

let storage: TestStorage;
let queue: TransferQueue;

beforeAll(async () => {
  storage = await startTestStorage();
  queue = storage.get(TransferQueue);
});

afterAll(() => storage.stop());

const forget = (state: string) => storage.database.query('DELETE FROM pgboss.job WHERE state::text ~ $1', [state]);

async function send(workspaceId: string = randomUUID(), host: string | null = null): Promise<string> {
  const fileId = randomUUID();
  const { client } = storage.get(PrismaService);
  await client.$transaction((transaction) => queue.send(transaction, { fileId, workspaceId, host }));
  return fileId;
}

/** Tickets as `send` makes them, in one statement. */
async function sendMany(
  count: number,
  workspaceId: string = randomUUID(),
  host: string | null = null,
): Promise<string> {
  await send(workspaceId, host);
  await storage.database.query(
    `INSERT INTO pgboss.job (name, data, singleton_key, group_id, policy, retry_limit, retry_delay, expire_seconds,
       heartbeat_seconds, deletion_seconds, start_after, keep_until, created_on)
     SELECT name, data || jsonb_build_object('fileId', file_id), file_id, group_id, policy, retry_limit, retry_delay,
       expire_seconds, heartbeat_seconds, deletion_seconds, start_after, keep_until, created_on
     FROM pgboss.job, LATERAL (
       SELECT gen_random_uuid()::text AS file_id FROM generate_series(2, $2) WHERE job.id IS NOT NULL) AS files
     WHERE group_id = $1`,
    [workspaceId, count],
  );
  return workspaceId;
}

async function take(limit: number, limits: Partial<Shares> = SHARES): Promise<HeldTicket[]> {
  return await queue.take(takeAnything(limit, limits));
}

const filesOf = (tickets: readonly HeldTicket[]) => tickets.map(({ fileId }) => fileId);
const complete = (tickets: readonly HeldTicket[]) => queue.complete(tickets.map(({ jobId }) => jobId));

async function countHeld(column: string): Promise<Map<string, number>> {
  const rows = await storage.database.query<{ key: string; held: number }>(
    `SELECT ${column} AS key, count(*)::int AS held FROM pgboss.job WHERE state = 'active' GROUP BY 1`,
  );
  return new Map(rows.map(({ key, held }) => [key, held]));
}

describe('behind 10,000 tickets of another workspace', () => {
  beforeAll(() => sendMany(CROWD_TICKETS));
  afterEach(() => forget('active'));
  afterAll(() => forget('.*'));

  it('the first ticket of a workspace is in the next take, while the others end as fast as they are taken', async () => {
    const before = await take(16);
    expect(before).toHaveLength(8);
    await complete(before);
    const first = await send();
    const next = await take(16);
    expect(filesOf(next)).toContain(first);
    expect(next).toHaveLength(9);
  });

  it('the first ticket of a workspace is the next one taken by a process that has one free slot', async () => {
    await take(4);
    const first = await send();
    expect(filesOf(await take(1))).toEqual([first]);
  });

  it('a workspace that has its number keeps nobody waiting', async () => {
    expect(await take(16)).toHaveLength(8);
    expect(await take(16)).toEqual([]);
    const first = await send();
    expect(filesOf(await take(16))).toEqual([first]);
  });

  it('the tickets of many workspaces are all taken before the next one of the crowd', async () => {
    await take(4);
    const others = new Set<string>();
    for (let count = 0; count < 12; count += 1) others.add(await send());
    const taken = filesOf(await take(12));
    expect(new Set(taken)).toEqual(others);
  });
});

describe('of one workspace', () => {
  afterEach(() => forget('.*'));

  it('a host that has its number keeps no other host waiting, whatever waits for it', async () => {
    const workspaceId = await sendMany(1_000, randomUUID(), 'slow.example');
    const other = await send(workspaceId, 'other.example');
    const first = await take(16);
    expect(first).toHaveLength(5);
    expect(filesOf(first)).toContain(other);
    const another = await send(workspaceId, 'another.example');
    const hostPlaces = new Map([['slow.example', 0]]);
    expect(filesOf(await take(16, { ...SHARES, hostPlaces }))).toEqual([another]);
  });

  it('as many are taken as the process has places for, which its callers may have taken', async () => {
    const workspaceId = await sendMany(100);
    const workspacePlaces = (count: number) => new Map([[workspaceId, count]]);
    expect(await take(16, { ...SHARES, workspacePlaces: workspacePlaces(0) })).toEqual([]);
    expect(await take(16, { ...SHARES, workspacePlaces: workspacePlaces(3) })).toHaveLength(3);
    expect(await take(16, { ...SHARES, workspacePlaces: workspacePlaces(8) })).toHaveLength(5);
  });

  it('hosts take turns', async () => {
    const workspaceId = await sendMany(100, randomUUID(), 'many.example');
    const few = new Set([await send(workspaceId, 'few.example'), await send(workspaceId, 'few.example')]);
    const taken = new Set(filesOf(await take(4, { perWorkspace: 100, perHost: 100 })));
    expect([...few].every((fileId) => taken.has(fileId))).toBe(true);
  });

  it('a ticket that somebody else has locked keeps no other one waiting', async () => {
    const workspaceId = randomUUID();
    const locked = await send(workspaceId);
    const free = await send(workspaceId);
    const connection = new Client({ connectionString: storage.database.url });
    await connection.connect();
    try {
      await connection.query('BEGIN');
      await connection.query('SELECT FROM pgboss.job WHERE singleton_key = $1 FOR UPDATE', [locked]);
      expect(filesOf(await take(1))).toEqual([free]);
    } finally {
      await connection.end();
    }
    expect(filesOf(await take(1))).toEqual([locked]);
  });
});

describe('workers that take at once', () => {
  afterEach(() => forget('.*'));

  it('hold no more tickets of one workspace, nor of one host, than there may be', async () => {
    const crowd = await sendMany(200, randomUUID(), 'one.example');
    for (let count = 0; count < 20; count += 1) await send(randomUUID(), 'one.example');
    const limits = { perWorkspace: 5, perHost: 100, perHostOverall: 12 };
    const takes = await Promise.all(Array.from({ length: 12 }, () => take(3, limits)));
    expect(new Set(filesOf(takes.flat())).size).toBe(12);
    expect((await countHeld('group_id')).get(crowd) ?? 0).toBeLessThanOrEqual(5);
    expect((await countHeld("data ->> 'host'")).get('one.example')).toBe(12);
  });
});

describe('with more workspaces than one take looks at', () => {
  afterEach(() => forget('.*'));

  it('takes as many as there are places for, each time', async () => {
    await send();
    await storage.database.query(
      `INSERT INTO pgboss.job (name, data, singleton_key, group_id, policy)
       SELECT 'storage-transfer', jsonb_build_object('fileId', gen_random_uuid()), gen_random_uuid(), gen_random_uuid(), 'short'
       FROM generate_series(2, 3000)`,
    );
    const seen = new Set<string>();
    for (let round = 0; round < 10; round += 1) {
      const tickets = await take(16);
      expect(tickets).toHaveLength(16);
      for (const { fileId } of tickets) seen.add(fileId);
    }
    expect(seen.size).toBe(160);
  });
});

describe("pg-boss's own fetch", () => {
  it('leaves a ticket as this one does', async () => {
    await send();
    const [ours] = await take(1);
    await send();
    const boss = new PgBoss({
      connectionString: storage.database.url,
      supervise: false,
      schedule: false,
      migrate: false,
    });
    await boss.start();
    const [theirs] = await boss.fetch('storage-transfer', { groupConcurrency: 8 });
    await boss.stop({ graceful: false });
    const rows = await storage.database.query<{ id: string; row: Record<string, unknown> }>(
      'SELECT id, to_jsonb(job) AS row FROM pgboss.job AS job',
    );
    const OWN = ['id', 'data', 'singleton_key', 'group_id', 'start_after', 'created_on', 'keep_until'];
    const shape = (id: string | undefined) => {
      const row = rows.find((job) => job.id === id)?.row ?? {};
      const kept = Object.entries(row).filter(([column]) => !OWN.includes(column));
      return Object.fromEntries(kept.map(([column, value]) => [column, /_on$/.test(column) ? value !== null : value]));
    };
    expect(shape(ours?.jobId)).toEqual(shape(theirs?.id));
    expect(shape(ours?.jobId)).toMatchObject({ state: 'active', started_on: true, heartbeat_on: true, retry_count: 0 });
  });
});
