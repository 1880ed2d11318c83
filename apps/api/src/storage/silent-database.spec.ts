// A host of PostgreSQL that vanished: its connections neither answer nor end, and new ones come to the one after it.
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { CuttableRoad } from '../../test/support/cuttable-road.js';
import { takeAnything } from '../../test/support/take-anything.js';
import { createTestDatabase, type TestDatabase } from '../../test/support/test-database.js';
import { startTestStorage, type TestStorage } from '../../test/support/test-storage.js';
import { DatabaseUnavailableError } from '../prisma/database-error.js';
import { PrismaService } from '../prisma/prisma.service.js';
import { TransferQueue } from './transfer/transfer-queue.js';
import { TransferStateRepository } from './transfer/transfer-state.repository.js';

let road: CuttableRoad;
let database: TestDatabase;
let storage: TestStorage;
let state: TransferStateRepository;
let workspaceId: string;

beforeAll(async () => {
  const direct = await createTestDatabase();
  const way = await CuttableRoad.to(direct.url);
  road = way.road;
  database = { ...direct, drop: async () => {} };
  storage = await startTestStorage({ DATABASE_URL: way.url, DATABASE_SILENCE_SECONDS: '3' }, direct);
  state = storage.get(TransferStateRepository);
  workspaceId = await database.createWorkspace();
});
beforeEach(async () => {
  road.set('open'); // Ends the silent connections of the test before.
  await untilServed(() => state.find(randomUUID()));
});
afterAll(async () => {
  await storage?.stop();
  road?.close();
});

/** Each connection is found to be silent by itself. */
async function untilServed<Result>(ask: () => Promise<Result>): Promise<Result> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof DatabaseUnavailableError)) throw error;
    }
  }
}

async function createWaiting(): Promise<string> {
  const id = randomUUID();
  await database.query(
    `INSERT INTO core_storage_file (id, workspace_id, type, path, bucket) VALUES ($1, $2, 'recording-video', $3, $4)`,
    [id, workspaceId, `recordings/${id}.mp4`, storage.bucket],
  );
  return id;
}

describe('while a host of PostgreSQL that was asked has vanished', () => {
  it('a claim ends as one of a database that is away, and those that wait behind it go on', async () => {
    const [asked, next] = [await createWaiting(), await createWaiting()];
    const { sent } = await road.lose(asked, () => state.claim(asked, 60_000));
    const behind = state.claim(next, 60_000).catch(() => null);
    await expect(sent).rejects.toBeInstanceOf(DatabaseUnavailableError);
    expect((await behind) ?? (await untilServed(() => state.claim(next, 60_000)))).toMatchObject({ id: next });
  });

  it('the look at the queue ends, and the next one finds what is there', async () => {
    const queue = storage.get(TransferQueue);
    const take = () => queue.take(takeAnything(10));
    await untilServed(take);
    const { sent } = await road.lose('pgboss.job_common', take);
    await expect(sent).rejects.toBeInstanceOf(DatabaseUnavailableError);
    const id = await createWaiting();
    const ticket = { fileId: id, workspaceId, host: null };
    await untilServed(() => queue.send(storage.get(PrismaService).client, ticket));
    expect(await untilServed(take)).toMatchObject([{ fileId: id }]);
  });

  it('a transaction gives its connection back, and PostgreSQL the rows that it held', async () => {
    const prisma = storage.get(PrismaService);
    const id = await createWaiting();
    const asked = Promise.withResolvers<void>();
    const isHeld = Promise.withResolvers<void>();
    const held = prisma.transaction(async (transaction) => {
      await transaction.storageFile.update({ where: { id }, data: { mimeType: 'video/mp4' } });
      isHeld.resolve();
      await asked.promise;
      return await transaction.storageFile.findUnique({ where: { id } });
    });
    await Promise.race([isHeld.promise, held]);
    const { sent } = await road.lose(id, () => {
      asked.resolve();
      return held;
    });
    await expect(sent).rejects.toBeInstanceOf(DatabaseUnavailableError);
    await database.query("UPDATE core_storage_file SET type = 'import' WHERE id = $1", [id]);
    // More than there are connections: each of them is needed.
    const find = () => prisma.transaction((transaction) => transaction.storageFile.findUnique({ where: { id } }));
    const found = Array.from({ length: 20 }, () => untilServed(find));
    for (const file of await Promise.all(found)) expect(file).toMatchObject({ type: 'import', mimeType: null });
  });
});
