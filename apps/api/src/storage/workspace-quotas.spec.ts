import { randomBytes, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { startTestStorage, type TestStorage } from '../../test/support/test-storage.js';
import type { StorageError } from './storage.errors.js';
import type { StorageFile } from './storage-file.repository.js';
import { RunningTransfers } from './transfer/running-transfers.js';

const DAY_MS = 86_400_000;
/** A test that begins now ends in the same day. */
const LONGEST_TEST_MS = 120_000;
const BODY = randomBytes(100_000);

let source: Server;
let asked: IncomingMessage[];
let answer: (response: ServerResponse) => void;
let storage: TestStorage;
let workspaceId: string;

beforeAll(async () => {
  const leftMs = DAY_MS - (Date.now() % DAY_MS);
  if (leftMs < LONGEST_TEST_MS) await sleep(leftMs + 1_000);
  source = createServer((request, response) => {
    asked.push(request);
    answer(response);
  });
  await new Promise<void>((resolve) => source.listen(0, '127.0.0.1', resolve));
}, 2 * LONGEST_TEST_MS);

afterAll(() => {
  source.closeAllConnections();
  source.close();
});

beforeEach(() => {
  asked = [];
  answer = (response) => response.end(BODY);
});

const newRequest = () => ({
  sourceUrl: `http://127.0.0.1:${(source.address() as AddressInfo).port}/export.bin`,
  workspaceId,
  path: `imports/${workspaceId}/${randomUUID()}.bin`,
  type: 'import',
});

async function countRows(): Promise<number> {
  const rows = await storage.database.query('SELECT FROM core_storage_file WHERE workspace_id = $1', [workspaceId]);
  return rows.length;
}

async function countTickets(): Promise<number> {
  const rows = await storage.database.query('SELECT FROM pgboss.job WHERE group_id = $1', [workspaceId]);
  return rows.length;
}

/** Of today, or of the day that was so many days ago. */
async function setUsage(usage: { files?: number; bytes?: number; daysAgo?: number }): Promise<void> {
  await storage.database.query(
    `INSERT INTO core_storage_usage (workspace_id, day, files, bytes)
     VALUES ($1, (now() AT TIME ZONE 'UTC')::date - $2::int, $3, $4)
     ON CONFLICT (workspace_id, day) DO UPDATE SET files = EXCLUDED.files, bytes = EXCLUDED.bytes`,
    [workspaceId, usage.daysAgo ?? 0, usage.files ?? 0, usage.bytes ?? 0],
  );
}

async function setQuota(filesPerDay: number | null, bytesPerDay: number | null): Promise<void> {
  await storage.database.query(
    'INSERT INTO core_storage_quota (workspace_id, files_per_day, bytes_per_day) VALUES ($1, $2, $3)',
    [workspaceId, filesPerDay, bytesPerDay],
  );
}

/** Makes the row and tries it once, here. */
async function tryOnce(): Promise<StorageFile> {
  const file = await storage.transfers.enqueue(newRequest());
  return await tryAgain(file);
}

async function tryAgain(file: StorageFile): Promise<StorageFile> {
  await storage
    .get(RunningTransfers)
    .run(file)
    .catch(() => {}); // The row tells.
  const tried = await storage.files.findById(file);
  if (tried === null) throw new Error('the row is gone');
  return tried;
}

describe('with quotas', () => {
  beforeAll(async () => {
    storage = await startTestStorage({ WORKSPACE_FILES_PER_DAY: '5', WORKSPACE_BYTES_PER_DAY: '250000' });
    workspaceId = await storage.database.createWorkspace();
    await storage.transfers.enqueue(newRequest()); // From here on the queue's tables are there.
  });
  afterAll(() => storage.stop());
  beforeEach(async () => {
    workspaceId = await storage.database.createWorkspace();
  });

  it('a workspace has as many files of one day as it may have, however many are asked for at once', async () => {
    const asked = await Promise.allSettled(Array.from({ length: 8 }, () => storage.transfers.enqueue(newRequest())));
    const refusals = asked.flatMap((each) => (each.status === 'rejected' ? [each.reason as StorageError] : []));
    expect(refusals).toHaveLength(3);
    for (const { code, message, isRetryable, retryAfterMs } of refusals) {
      expect([code, isRetryable]).toEqual(['QUOTA_EXCEEDED', true]);
      expect(message).toMatch(/its 5 files of \d{4}-\d\d-\d\d \(UTC\); more are taken from \S+T00:00:00.000Z on$/);
      expect(retryAfterMs).toBeGreaterThan(0);
      expect(retryAfterMs).toBeLessThanOrEqual(DAY_MS);
    }
    expect(await countRows()).toBe(5);
    expect(await countTickets()).toBe(5);
    expect(await storage.transfers.readUsage(workspaceId)).toMatchObject({ files: 5, filesPerDay: 5, bytes: 0 });
  });

  it('the same request again counts once, and is answered when no file is left', async () => {
    const request = newRequest();
    const { id } = await storage.transfers.enqueue(request);
    expect(await storage.transfers.enqueue(request)).toMatchObject({ id });
    expect(await storage.transfers.readUsage(workspaceId)).toMatchObject({ files: 1 });
    await setUsage({ files: 5 });
    expect(await storage.transfers.enqueue(request)).toMatchObject({ id });
    await expect(storage.transfers.enqueue(newRequest())).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED' });
  });

  it('what another day or another workspace had is nobody else’s', async () => {
    await setUsage({ files: 5, bytes: 250_000, daysAgo: 1 });
    await storage.transfers.enqueue(newRequest());
    await setUsage({ files: 5, bytes: 250_000 });
    workspaceId = await storage.database.createWorkspace();
    await storage.transfers.enqueue(newRequest());
  });

  it('bytes are booked once, with DONE', async () => {
    const file = await tryOnce();
    expect(file).toMatchObject({ transferStatus: 'DONE', size: 100_000n });
    await tryAgain(file);
    expect(await storage.transfers.readUsage(workspaceId)).toMatchObject({ bytes: 100_000, bytesPerDay: 250_000 });
  });

  it('a file that is larger than what is left waits for the next day, which is no failed try', async () => {
    await setUsage({ bytes: 200_000 });
    const file = await tryOnce();
    expect(file).toMatchObject({ transferStatus: 'PENDING', errorCode: 'QUOTA_EXCEEDED', retries: 0, uploadId: null });
    const { endsAt, bytes } = await storage.transfers.readUsage(workspaceId);
    expect(bytes).toBe(200_000);
    expect(file.nextAttemptAt?.getTime()).toBeGreaterThanOrEqual(endsAt.getTime());
    expect(file.nextAttemptAt?.getTime()).toBeLessThan(endsAt.getTime() + 120_000);
    expect(await storage.files.listAttempts(file)).toMatchObject([
      { errorCode: 'QUOTA_EXCEEDED', outcome: 'RETRYING' },
    ]);
    await setUsage({ bytes: 0 });
    const waiting = await storage.transfers.retryTransfer(file);
    expect(await tryAgain(waiting)).toMatchObject({ transferStatus: 'DONE', transferError: null });
  });

  it('no source is asked, and no file is taken, when no byte is left', async () => {
    const accepted = await storage.transfers.enqueue(newRequest());
    await setUsage({ bytes: 250_000 });
    expect(await tryAgain(accepted)).toMatchObject({ transferStatus: 'PENDING', errorCode: 'QUOTA_EXCEEDED' });
    expect(asked).toEqual([]);
    await expect(storage.transfers.enqueue(newRequest())).rejects.toThrow(/its 250000 bytes of/);
  });

  it('a file of unknown length is stopped where it passes what is left', async () => {
    await setUsage({ bytes: 200_000 });
    answer = (response) => {
      response.write(BODY.subarray(0, 1_000));
      response.end(BODY.subarray(1_000));
    };
    expect(await tryOnce()).toMatchObject({ transferStatus: 'PENDING', errorCode: 'QUOTA_EXCEEDED', uploadId: null });
    expect(await storage.transfers.readUsage(workspaceId)).toMatchObject({ bytes: 200_000 });
  });

  it('a file that no day is enough for is FAILED at once', async () => {
    answer = (response) => response.end(Buffer.alloc(250_001));
    const file = await tryOnce();
    expect(file).toMatchObject({ transferStatus: 'FAILED', errorCode: 'QUOTA_EXCEEDED' });
    expect(file.transferError).toMatch(
      /larger than the 250000 bytes of a whole day; the same request would fail again$/,
    );
  });

  it('a workspace can have numbers of its own', async () => {
    await setQuota(6, null);
    for (let count = 0; count < 6; count += 1) await storage.transfers.enqueue(newRequest());
    await expect(storage.transfers.enqueue(newRequest())).rejects.toThrow(/its 6 files/);
    expect(await storage.transfers.readUsage(workspaceId)).toMatchObject({ filesPerDay: 6, bytesPerDay: 250_000 });
    workspaceId = await storage.database.createWorkspace();
    await setQuota(0, null);
    await expect(storage.transfers.enqueue(newRequest())).rejects.toThrow(/its 0 files/);
  });
});

describe('without quotas', () => {
  beforeAll(async () => {
    storage = await startTestStorage();
    workspaceId = await storage.database.createWorkspace();
  });
  afterAll(() => storage.stop());

  it('nobody counts', async () => {
    expect(await tryOnce()).toMatchObject({ transferStatus: 'DONE' });
    expect(await storage.database.query('SELECT FROM core_storage_usage')).toEqual([]);
    expect(await storage.transfers.readUsage(workspaceId)).toMatchObject({
      files: null,
      bytes: null,
      filesPerDay: null,
    });
  });
});
