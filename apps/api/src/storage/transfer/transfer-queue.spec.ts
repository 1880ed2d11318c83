import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { takeAnything } from '../../../test/support/take-anything.js';
import { startTestStorage, type TestStorage } from '../../../test/support/test-storage.js';
import { PrismaService } from '../../prisma/prisma.service.js';
import { TransferQueue, type TransferTicket } from './transfer-queue.js';

let storage: TestStorage;
let queue: TransferQueue;
let prisma: PrismaService;

beforeAll(async () => {
  storage = await startTestStorage();
  queue = storage.get(TransferQueue);
  prisma = storage.get(PrismaService);
});

afterAll(() => storage.stop());

async function send(ticket: Partial<TransferTicket> = {}): Promise<string> {
  const { fileId = randomUUID(), workspaceId = randomUUID(), host = null, ...rest } = ticket;
  await prisma.client.$transaction((transaction) => queue.send(transaction, { fileId, workspaceId, host, ...rest }));
  return fileId;
}

async function takeAll(): Promise<string[]> {
  const tickets = await queue.take(takeAnything(100));
  await queue.complete(tickets.map(({ jobId }) => jobId));
  return tickets.map(({ fileId }) => fileId);
}

describe('TransferQueue', () => {
  it('gives a ticket out once its transaction is committed, and not when it is rolled back', async () => {
    const fileId = await send();
    const rolledBack = prisma.client.$transaction(async (transaction) => {
      await queue.send(transaction, { fileId: randomUUID(), workspaceId: randomUUID(), host: null });
      throw new Error('rolled back');
    });
    await expect(rolledBack).rejects.toThrow('rolled back');
    expect(await takeAll()).toEqual([fileId]);
    expect(await takeAll()).toEqual([]);
  });

  it('keeps one waiting ticket for a file, and takes another while the first is held', async () => {
    const fileId = await send();
    await send({ fileId });
    const [held] = await queue.take(takeAnything(10));
    expect(held?.fileId).toBe(fileId);
    await send({ fileId });
    await send({ fileId });
    expect(await takeAll()).toEqual([fileId]);
    await queue.complete([held?.jobId ?? '']);
  });

  it('gives no ticket out before its time, until it is sent again for an earlier one', async () => {
    const workspaceId = randomUUID();
    const fileId = await send({ workspaceId, delayMs: 60_000 });
    await send({ fileId, workspaceId });
    expect(await takeAll()).toEqual([]);
    await queue.sendAgain(prisma.client, { fileId, workspaceId, host: null });
    expect(await takeAll()).toEqual([fileId]);
  });

  it('holds one workspace to its number, and lets others by', async () => {
    const crowd = randomUUID();
    for (let count = 0; count < 6; count += 1) await send({ workspaceId: crowd });
    const other = await send();
    const first = await queue.take(takeAnything(100, { perWorkspace: 2 }));
    expect(first).toHaveLength(3);
    expect(first.map(({ fileId }) => fileId)).toContain(other);
    await queue.complete(first.map(({ jobId }) => jobId));
    expect(await takeAll()).toHaveLength(4);
  });
});
