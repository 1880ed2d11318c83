import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { takeAnything } from '../../../test/support/take-anything.js';
import { startTestStorage, type TestStorage } from '../../../test/support/test-storage.js';
import { TransferIntake } from './transfer-intake.js';
import { TransferQueue } from './transfer-queue.js';

let storage: TestStorage;
let intake: TransferIntake;
let workspaceId: string;

beforeAll(async () => {
  storage = await startTestStorage();
  intake = storage.get(TransferIntake);
  workspaceId = await storage.database.createWorkspace();
});

afterAll(() => storage.stop());

const newRequest = () => ({
  sourceUrl: 'http://127.0.0.1:8765/video.mp4?token=canary',
  workspaceId,
  path: `imports/${workspaceId}/${randomUUID()}.bin`,
  type: 'import',
});

async function takeTickets(): Promise<string[]> {
  const queue = storage.get(TransferQueue);
  const tickets = await queue.take(takeAnything(100));
  await queue.complete(tickets.map(({ jobId }) => jobId));
  return tickets.map(({ fileId }) => fileId);
}

async function countRows(path: string): Promise<number> {
  const rows = await storage.database.query('SELECT id FROM core_storage_file WHERE path = $1', [path]);
  return rows.length;
}

describe('a request', () => {
  it('makes a row with a ticket, and the same request no other row', async () => {
    const request = newRequest();
    const { id } = await intake.acceptRemote(request, 0);
    expect(await takeTickets()).toContain(id);
    expect(await intake.acceptRemote(request, 0)).toMatchObject({ id, transferStatus: 'PENDING' });
    expect(await countRows(request.path)).toBe(1);
  });

  it('makes no row when its ticket cannot be made', async () => {
    const request = newRequest();
    await takeTickets(); // From here on the queue's table is there.
    await storage.database.query('ALTER TABLE pgboss.job ADD CONSTRAINT refuses_all CHECK (false) NOT VALID');
    try {
      await expect(intake.acceptRemote(request, 0)).rejects.toThrow(/refuses_all/);
    } finally {
      await storage.database.query('ALTER TABLE pgboss.job DROP CONSTRAINT refuses_all');
    }
    expect(await countRows(request.path)).toBe(0);
  });

  it('keeps its source sealed, so that the row shows no token', async () => {
    const { id } = await intake.acceptRemote({ ...newRequest(), sourceHeaders: { authorization: 'canary' } }, 0);
    const [row] = await storage.database.query<{ text: string; sealed: Buffer }>(
      'SELECT file::text AS text, source_sealed AS sealed FROM core_storage_file AS file WHERE id = $1',
      [id],
    );
    expect(row?.text).not.toContain('canary');
    expect(row?.sealed.length).toBeGreaterThan(0);
    expect(row?.sealed.includes('canary')).toBe(false);
  });

  it('is refused under the idempotency key of another one', async () => {
    const request = { ...newRequest(), idempotencyKey: randomUUID() };
    const other = { ...newRequest(), idempotencyKey: request.idempotencyKey };
    const { id } = await intake.acceptRemote(request, 0);
    expect(await intake.acceptRemote(request, 0)).toMatchObject({ id });
    await expect(intake.acceptRemote(other, 0)).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
    expect(await countRows(other.path)).toBe(0);
  });
});
