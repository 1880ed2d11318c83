import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createSocketServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ListMultipartUploadsCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type LocalPostgres, startPostgres } from '@s3-transfer/local-stack';
import { applyMigrations } from '@s3-transfer/migrations';
import { openTestDatabase, type TestDatabase } from '../../test/support/test-database.js';
import { startTestStorage, type TestStorage } from '../../test/support/test-storage.js';
import { PurgeWorker } from './cleanup/purge-worker.js';
import { RunningTransfers } from './transfer/running-transfers.js';
import type { WaitOptions } from './transfer/waiting.js';

const MIGRATIONS_DIR = fileURLToPath(new URL('../../../../prisma/migrations', import.meta.url));
const MiB = 1024 * 1024;
const FIRST_PARTS = randomBytes(12 * MiB);
const REST = randomBytes(MiB);

let storage: TestStorage | undefined;
let source: Server;
let sourceUrl: string;
/** Resolves when a transfer has read FIRST_PARTS and waits for the rest. */
let halfWay: Promise<ServerResponse>;

beforeEach(async () => {
  let reachHalfWay: (response: ServerResponse) => void = () => {};
  halfWay = new Promise((resolve) => {
    reachHalfWay = resolve;
  });
  source = createServer((_request, response) => {
    response.on('error', () => {}); // Transfers that fail reset the connection.
    response.writeHead(200, { 'content-length': FIRST_PARTS.length + REST.length });
    response.write(FIRST_PARTS, () => reachHalfWay(response));
  });
  await new Promise<void>((resolve) => source.listen(0, '127.0.0.1', resolve));
  sourceUrl = `http://127.0.0.1:${(source.address() as AddressInfo).port}/video.mp4`;
});

afterEach(async () => {
  source.closeAllConnections();
  source.close();
  await storage?.stop();
  storage = undefined;
});

async function begin(variables: Record<string, string> = {}, database?: TestDatabase) {
  const started = await startTestStorage({ SOURCE_STALL_TIMEOUT_MS: '20000', ...variables }, database);
  storage = started;
  const workspaceId = await started.database.createWorkspace();
  const path = `recordings/${workspaceId}/${randomUUID()}.mp4`;
  const start = (control: WaitOptions = {}) =>
    started.transfers.createAndTransfer({ sourceUrl, workspaceId, path, type: 'recording-video' }, control);
  const readRow = async () =>
    (
      await started.database.query<Record<string, unknown>>('SELECT * FROM core_storage_file WHERE path = $1', [path])
    )[0];
  return { ...started, path, start, readRow };
}

describe('a store that does not work from the start', () => {
  it.each([
    [
      'the bucket is missing',
      { S3_BUCKET: 'no-such-bucket' },
      'BUCKET_NOT_FOUND',
      'bucket no-such-bucket does not exist',
    ],
    [
      'the secret is wrong',
      { S3_SECRET_ACCESS_KEY: 'canary-wrong-secret' },
      'STORE_ACCESS_DENIED',
      '403 SignatureDoesNotMatch',
    ],
    [
      'the access key is unknown',
      { S3_ACCESS_KEY_ID: 'canary-unknown-key' },
      'STORE_ACCESS_DENIED',
      '403 InvalidAccessKeyId',
    ],
    [
      'nothing listens at the endpoint',
      { S3_ENDPOINT: 'http://127.0.0.1:1' },
      'STORE_UNREACHABLE',
      'no answer from the store',
    ],
  ])('%s: the row is FAILED and says so, without a secret', async (_what, variables, code, message) => {
    const { start, readRow, s3 } = await begin(variables);
    await expect(start()).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
    const row = await readRow();
    expect(row).toMatchObject({
      transfer_status: 'FAILED',
      transfer_error: expect.stringContaining(message),
      upload_id: null,
    });
    expect(row?.transfer_error).not.toContain('canary');
    await expect(s3.checkBucket()).rejects.toMatchObject({ code });
    const body = Readable.from([Buffer.from('x')]);
    await expect(s3.uploadStream({ path: 'a/b', body, contentType: 'video/mp4' })).rejects.toMatchObject({ code });
  });
});

describe('a store that takes connections and never answers', () => {
  const sockets = new Set<Socket>();
  const silent = createSocketServer((socket) => sockets.add(socket));

  beforeAll(() => new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve)));
  afterAll(() => {
    silent.close(); // First, so that the next try of the SDK is refused.
    for (const socket of sockets) socket.destroy();
  });

  it.each([
    ['a caller who gives up', (patience: AbortController) => patience.abort(), 'TRANSFER_GOES_ON'],
    ['the end of the process', () => storage?.get(RunningTransfers).onModuleDestroy(), 'TRANSFER_CANCELLED'],
  ])('does not hold up %s', async (_what, act, code) => {
    const silentPort = (silent.address() as AddressInfo).port;
    source.removeAllListeners('request');
    source.on('request', (_request, response) => response.writeHead(200, { 'content-length': 10 }).write('hello'));
    const { start } = await begin({ S3_ENDPOINT: `http://127.0.0.1:${silentPort}` });
    const asked = once(silent, 'connection');
    const patience = new AbortController();
    const outcome = expect(start({ signal: patience.signal })).rejects.toMatchObject({ code });
    await asked;
    act(patience);
    await outcome;
  });
});

describe('a store that goes away in the middle', () => {
  it('fails the row, and writes down the parts it could not discard for the purge worker', async () => {
    const { start, readRow, store, bucket, path, get } = await begin();
    const transfer = start();
    const outcome = expect(transfer).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' });
    const response = await halfWay;
    await untilUploading(readRow);
    await store.kill();
    response.end(REST);
    await outcome;
    expect(await readRow()).toMatchObject({
      transfer_status: 'FAILED',
      upload_id: null,
      lease_token: null,
    });

    await store.restart();
    const again = start();
    source.once('request', (_request, answer: ServerResponse) => answer.end(REST));
    expect(await again).toMatchObject({
      transferStatus: 'DONE',
      size: BigInt(FIRST_PARTS.length + REST.length),
      attempts: 2,
    });
    await get(PurgeWorker).runDue();
    const client = store.createClient();
    const uploads = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
    const objects = await client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: path }));
    client.destroy();
    expect([uploads.Uploads ?? [], objects.KeyCount]).toEqual([[], 1]);
  });
});

describe('a database that goes away in the middle', () => {
  let folder: string;
  let postgres: LocalPostgres;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'outage-'));
    await chmod(folder, 0o711); // Started as root, PostgreSQL runs as a user who must pass through here.
    postgres = await startPostgres({ dataDir: join(folder, 'postgres') });
  });

  afterAll(async () => {
    await postgres.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it('ends with DATABASE_UNAVAILABLE, and the same request takes the row up again', async () => {
    const database = openTestDatabase(await postgres.createDatabase('outage'));
    await applyMigrations({ databaseUrl: database.url, migrationsDir: MIGRATIONS_DIR });
    const { start, readRow } = await begin({}, database);
    const transfer = start();
    const outcome = expect(transfer).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
    const response = await halfWay;
    await untilUploading(readRow);
    await postgres.kill();
    response.end(REST);
    await outcome;
    await expect(start()).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });

    await postgres.restart();
    expect(await readRow()).toMatchObject({ transfer_status: 'TRANSFERRING', upload_id: expect.any(String) });
    source.once('request', (_request, answer: ServerResponse) => answer.end(REST));
    expect(await start()).toMatchObject({ transferStatus: 'DONE', attempts: 2 });
  });
});

async function untilUploading(readRow: () => Promise<Record<string, unknown> | undefined>): Promise<void> {
  while ((await readRow())?.upload_id == null) await sleep(10);
}
