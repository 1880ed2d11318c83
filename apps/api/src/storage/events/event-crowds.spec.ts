import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from '../../../test/support/test-database.js';
import { openOutbox } from '../../../test/support/test-events.js';
import { TEST_JWT_SECRET } from '../../../test/support/test-token.js';
import { readEnvironment } from '../../config/env.js';
import { PrismaService } from '../../prisma/prisma.service.js';
import { findCrowds } from './event-crowds.js';
import { EventOutboxRepository } from './event-outbox.repository.js';

const LIMITS = { perType: 5, perWorkspace: 2 };
const READY = 'recording.ready';
const DONE = 'storage.file.done';

const hold = (type: string, ...workspaces: string[]) =>
  workspaces.map((workspaceId) => ({ id: randomUUID(), type, workspaceId, payload: {}, attempts: 1 }));

describe('findCrowds', () => {
  it('names the workspace that has its share of a type, and no other workspace or type', () => {
    const held = [...hold(READY, 'a', 'b', 'a'), ...hold(DONE, 'a')];
    expect(findCrowds(held, LIMITS)).toEqual({ exceptTypes: [], exceptShares: [{ workspaceId: 'a', type: READY }] });
  });

  it('names a type of which so many are held that memory would not stay bounded', () => {
    const held = [...hold(READY, 'a', 'b', 'c', 'd', 'e'), ...hold(DONE, 'a', 'b')];
    expect(findCrowds(held, LIMITS)).toEqual({ exceptTypes: [READY], exceptShares: [] });
  });
});

describe('EventOutboxRepository', () => {
  let database: TestDatabase;
  let prisma: PrismaService;

  beforeAll(async () => {
    database = await createTestDatabase();
    prisma = new PrismaService(readEnvironment({ DATABASE_URL: database.url, AUTH_JWT_SECRET: TEST_JWT_SECRET }));
  });
  afterAll(async () => {
    await prisma.onApplicationShutdown();
    await database.drop();
  });

  it('takes what comes after the events of a crowded workspace or type', async () => {
    const outbox = openOutbox(database);
    const [crowded, other] = [randomUUID(), randomUUID()];
    for (let count = 0; count < 3; count += 1) await outbox.insert(READY, {}, crowded);
    await outbox.insert('storage.file.failed', {}, other);
    const ids = [await outbox.insert(DONE, {}, crowded), await outbox.insert(READY, {}, other)];
    const taken = await new EventOutboxRepository(prisma).take({
      leaseMs: 60_000,
      limit: 10,
      exceptTypes: ['storage.file.failed'],
      exceptShares: [{ workspaceId: crowded, type: READY }],
    });
    expect(taken.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
    expect(new Set(taken.map(({ workspaceId }) => workspaceId))).toEqual(new Set([crowded, other]));
  });
});
