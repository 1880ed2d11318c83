import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { startTestStorage, type TestStorage } from '../../test/support/test-storage.js';
import type { StorageFile } from './storage-file.repository.js';
import { RunningTransfers } from './transfer/running-transfers.js';
import { TransferWorker } from './transfer/transfer-worker.js';

const BODY = randomBytes(1_000_000);
const SHA256 = createHash('sha256').update(BODY).digest('hex');

let storage: TestStorage;
let workspaceId: string;
let source: Server;
let sourceUrl: string;
let asked: IncomingMessage[];
let answer: (request: IncomingMessage, response: ServerResponse) => void;

beforeAll(async () => {
  storage = await startTestStorage({
    TRANSFER_WORKER: 'all',
    TRANSFER_POLL_MS: '100',
    TRANSFER_RECOVERY_SECONDS: '1',
    TRANSFER_MAX_ATTEMPTS: '3',
    TRANSFER_RETRY_DELAY_SECONDS: '1',
    SOURCE_MAX_RETRIES: '0',
  });
  workspaceId = await storage.database.createWorkspace();
});

afterAll(() => storage.stop());

beforeEach(async () => {
  asked = [];
  answer = sendBody;
  source = createServer((request, response) => {
    asked.push(request);
    answer(request, response);
  });
  await new Promise<void>((resolve) => source.listen(0, '127.0.0.1', resolve));
  sourceUrl = `http://127.0.0.1:${(source.address() as AddressInfo).port}/video.mp4?token=canary`;
});

afterEach(() => {
  source.closeAllConnections();
  source.close();
});

function sendBody(_request: IncomingMessage, response: ServerResponse): void {
  response.end(BODY);
}

const newRequest = () => ({
  sourceUrl,
  workspaceId,
  path: `imports/${workspaceId}/${randomUUID()}.bin`,
  type: 'import',
});

async function untilEnded({ id }: StorageFile): Promise<StorageFile> {
  return await until(id, ({ transferStatus }) => transferStatus === 'DONE' || transferStatus === 'FAILED');
}

async function until(id: string, isThere: (file: StorageFile) => boolean): Promise<StorageFile> {
  for (;;) {
    const file = await storage.files.findById({ workspaceId, id });
    if (file !== null && isThere(file)) return file;
    await sleep(20);
  }
}

async function countParts({ id }: StorageFile): Promise<number> {
  const [row] = await storage.database.query<{ count: number }>(
    'SELECT count(*)::int AS count FROM core_storage_part WHERE file_id = $1',
    [id],
  );
  return row?.count ?? 0;
}

async function eventsOf({ id }: StorageFile) {
  return await storage.database.query<Record<string, unknown>>(
    'SELECT type, workspace_id, payload FROM core_outbox_event WHERE subject_id = $1 ORDER BY created_at',
    [id],
  );
}

describe('enqueue', () => {
  it('gives the PENDING row at once, and a worker brings it to DONE, with one event', async () => {
    const file = await storage.transfers.enqueue({ ...newRequest(), createdBy: 'user-1' });
    expect(file).toMatchObject({ transferStatus: 'PENDING', attempts: 0, createdBy: 'user-1' });
    expect(file.sourceUrl).not.toContain('canary');
    const done = await untilEnded(file);
    expect(done).toMatchObject({
      transferStatus: 'DONE',
      sha256: SHA256,
      sha256Origin: 'SOURCE',
      attempts: 1,
      sourceSealed: null,
    });
    expect(await storage.files.listAttempts(file)).toMatchObject([{ number: 1, outcome: 'DONE', error: null }]);
    expect(await eventsOf(file)).toMatchObject([
      {
        type: 'storage.file.done',
        workspace_id: workspaceId,
        payload: { fileId: file.id, size: '1000000', sha256: SHA256 },
      },
    ]);
  });

  it('makes one row, one object and one download of one request, however often it comes', async () => {
    const request = { ...newRequest(), idempotencyKey: randomUUID() };
    const rows = await Promise.all(Array.from({ length: 20 }, () => storage.transfers.enqueue(request)));
    expect(new Set(rows.map(({ id }) => id)).size).toBe(1);
    await untilEnded(rows[0] as StorageFile);
    expect(asked).toHaveLength(1);
    expect(await storage.transfers.enqueue(request)).toMatchObject({ transferStatus: 'DONE' });
    expect(asked).toHaveLength(1);
  });

  it('refuses the key of another request, and a key that is none', async () => {
    const request = { ...newRequest(), idempotencyKey: randomUUID() };
    const file = await storage.transfers.enqueue(request);
    const other = { ...newRequest(), idempotencyKey: request.idempotencyKey };
    await expect(storage.transfers.enqueue(other)).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
    await expect(storage.transfers.enqueue({ ...request, idempotencyKey: 'a b' })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    });
    await untilEnded(file);
  });

  it('sends the headers and the query that are kept sealed', async () => {
    const file = await storage.transfers.enqueue({
      ...newRequest(),
      sourceHeaders: { authorization: 'Bearer canary' },
    });
    await untilEnded(file);
    expect(asked[0]?.headers.authorization).toBe('Bearer canary');
    expect(asked[0]?.url).toBe('/video.mp4?token=canary');
    const rows = await storage.database.query<{ row: string }>(
      "SELECT file::text AS row FROM core_storage_file AS file UNION ALL SELECT data::text FROM pgboss.job WHERE name = 'storage-transfer'",
    );
    expect(rows.filter(({ row }) => row.includes('canary'))).toEqual([]);
  });
});

describe('a try that fails', () => {
  it('is followed by another when that may help, and the row tells of both', async () => {
    answer = (_request, response) => {
      answer = sendBody;
      response.writeHead(503).end();
    };
    const file = await storage.transfers.enqueue(newRequest());
    const waiting = await until(file.id, ({ retries }) => retries === 1);
    expect(waiting).toMatchObject({
      transferStatus: 'PENDING',
      errorCode: 'SOURCE_STATUS',
      nextAttemptAt: expect.any(Date),
    });
    expect(await untilEnded(file)).toMatchObject({ transferStatus: 'DONE', retries: 0, transferError: null });
    expect(await storage.files.listAttempts(file)).toMatchObject([
      { number: 2, outcome: 'DONE' },
      { number: 1, outcome: 'RETRYING', errorCode: 'SOURCE_STATUS' },
    ]);
  });

  it('waits as long as the source asks', async () => {
    answer = (_request, response) => response.writeHead(503, { 'retry-after': '120' }).end();
    const file = await storage.transfers.enqueue(newRequest());
    const { nextAttemptAt } = await until(file.id, ({ retries }) => retries === 1);
    expect((nextAttemptAt?.getTime() ?? 0) - Date.now()).toBeGreaterThan(100_000);
    answer = sendBody;
    expect(await storage.transfers.retryTransfer(file)).toMatchObject({ transferStatus: 'PENDING', retries: 0 });
    expect(await untilEnded(file)).toMatchObject({ transferStatus: 'DONE', attempts: 2 });
  });

  it('is FAILED after the last one, and its caller is told', async () => {
    answer = (_request, response) => response.writeHead(503).end();
    await expect(storage.transfers.createAndTransfer(newRequest())).rejects.toMatchObject({ code: 'SOURCE_STATUS' });
    expect(asked).toHaveLength(3);
  });

  it('is FAILED at once when another cannot help, and may be tried again by hand', async () => {
    answer = (_request, response) => response.writeHead(404).end();
    const file = await untilEnded(await storage.transfers.enqueue(newRequest()));
    expect(file).toMatchObject({ transferStatus: 'FAILED', attempts: 1, errorCode: 'SOURCE_STATUS' });
    expect(await eventsOf(file)).toMatchObject([
      { type: 'storage.file.failed', payload: { errorCode: 'SOURCE_STATUS' } },
    ]);
    answer = sendBody;
    await storage.transfers.retryTransfer(file);
    expect(await untilEnded(file)).toMatchObject({ transferStatus: 'DONE', attempts: 2 });
  });
});

describe('createAndTransfer', () => {
  it('ends its waiting and not the transfer', async () => {
    const held = once(source, 'request');
    answer = () => {};
    const request = newRequest();
    await expect(storage.transfers.createAndTransfer(request, { waitMs: 50 })).rejects.toMatchObject({
      code: 'TRANSFER_GOES_ON',
    });
    const [, response] = (await held) as [IncomingMessage, ServerResponse];
    response.end(BODY);
    expect(await storage.transfers.createAndTransfer(request)).toMatchObject({ transferStatus: 'DONE', attempts: 1 });
  });
});

describe('cancelTransfer', () => {
  it.each(['while it waits for its next try', 'while it reads'])(
    '%s: the row is FAILED and nothing is left',
    async (when) => {
      answer = (_request, response) => {
        if (when === 'while it reads')
          response.writeHead(200, { 'content-length': 20_000_000 }).write(randomBytes(12_000_000));
        else response.writeHead(503, { 'retry-after': '600' }).end();
      };
      const file = await storage.transfers.enqueue(newRequest());
      await until(file.id, ({ retries, uploadId }) => retries === 1 || uploadId !== null);
      expect(await storage.transfers.cancelTransfer(file)).toMatchObject({
        transferStatus: 'FAILED',
        errorCode: 'TRANSFER_CANCELLED',
      });
      const client = storage.store.createClient();
      const { Uploads = [] } = await client.send(
        new ListMultipartUploadsCommand({ Bucket: storage.bucket, Prefix: file.path }),
      );
      client.destroy();
      expect(Uploads).toEqual([]);
      expect(await storage.transfers.cancelTransfer(file)).toMatchObject({ transferStatus: 'FAILED' });
    },
  );
});

describe('another process', () => {
  const startOther = () =>
    startTestStorage(
      { TRANSFER_WORKER: 'all', TRANSFER_POLL_MS: '100', SOURCE_MAX_CONNECTIONS: '1', S3_BUCKET: storage.bucket },
      { ...storage.database, drop: async () => {} },
      { ...storage.store, stop: async () => {} },
    );

  it('goes on from the last stored part, reads no byte before it again, and reads back what it did not hash', async () => {
    const other = await startOther();
    await storage.get(TransferWorker).onModuleDestroy();
    const whole = randomBytes(32 * 1024 * 1024);
    let isHeld = true;
    answer = ({ headers }, response) => {
      const [, from = 0, last = whole.length - 1] = (/^bytes=(\d+)-(\d+)?/.exec(headers.range ?? '') ?? []).map(Number);
      const end = Number.isNaN(last) ? whole.length : last + 1;
      const common = { etag: '"version-1"', 'accept-ranges': 'bytes', 'content-length': end - from };
      const range = { 'content-range': `bytes ${from}-${end - 1}/${whole.length}` };
      response.writeHead(
        headers.range === undefined ? 200 : 206,
        headers.range === undefined ? common : { ...common, ...range },
      );
      if (isHeld) response.write(whole.subarray(from, Math.min(end, 22_000_000)));
      else response.end(whole.subarray(from, end));
    };
    const file = await other.transfers.enqueue({ ...newRequest(), maxBytes: whole.length });
    while ((await countParts(file)) < 4) await sleep(20);
    isHeld = false;
    await other.get(RunningTransfers).onModuleDestroy();
    expect(await storage.files.findById(file)).toMatchObject({
      transferStatus: 'PENDING',
      uploadId: expect.any(String),
    });
    await other.stop();
    const askedBefore = asked.length;

    const next = await startOther();
    expect(await untilEnded(file)).toMatchObject({
      transferStatus: 'DONE',
      sha256: createHash('sha256').update(whole).digest('hex'),
      sha256Origin: 'STORED',
    });
    const from = Number(/^bytes=(\d+)-/.exec(asked[askedBefore]?.headers.range ?? '')?.[1]);
    expect(from).toBe(4 * 5 * 1024 * 1024);
    expect((await storage.files.listAttempts(file))[0]).toMatchObject({
      outcome: 'DONE',
      resumedFromBytes: BigInt(from),
    });
    expect(await countParts(file)).toBe(0);
    await next.stop();
  });

  it('goes on with what a process that stops lets go of', async () => {
    const other = await startOther();
    await storage.get(TransferWorker).onModuleDestroy();
    let isHeld = true;
    answer = (request, response) => {
      if (isHeld) response.writeHead(200, { 'content-length': BODY.length }).write(BODY.subarray(0, 1_000));
      else sendBody(request, response);
    };
    const file = await other.transfers.enqueue(newRequest());
    await once(source, 'request');
    isHeld = false;
    await other.get(RunningTransfers).onModuleDestroy();
    const handedOver = await storage.files.findById(file);
    expect(handedOver).toMatchObject({ transferStatus: 'PENDING', retries: 0, leaseToken: null });
    await other.stop();

    const next = await startOther();
    expect(await untilEnded(file)).toMatchObject({ transferStatus: 'DONE', attempts: 2, sha256: SHA256 });
    expect(await storage.files.listAttempts(file)).toMatchObject([{ outcome: 'DONE' }, { outcome: 'HANDED_OVER' }]);
    await next.stop();
  });
});
