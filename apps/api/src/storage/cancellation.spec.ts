import { randomUUID } from 'node:crypto';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { startTestStorage, type TestStorage } from '../../test/support/test-storage.js';
import { RunningTransfers } from './transfer/running-transfers.js';

let storage: TestStorage;
let workspaceId: string;
let source: Server;
let sourceUrl: string;
/** Answers of the source that have begun and wait for their end. */
let answers: ServerResponse[];

beforeAll(async () => {
  storage = await startTestStorage({ TRANSFER_CONCURRENCY: '1', SOURCE_STALL_TIMEOUT_MS: '60000' });
  workspaceId = await storage.database.createWorkspace();
});

afterAll(() => storage.stop());

beforeEach(async () => {
  answers = [];
  source = createServer((_request, response) => {
    response.on('error', () => {}); // Transfers that end early reset the connection.
    response.writeHead(200, { 'content-length': 10 }).write('hello');
    answers.push(response);
    source.emit('half-way');
  });
  await new Promise<void>((resolve) => source.listen(0, '127.0.0.1', resolve));
  sourceUrl = `http://127.0.0.1:${(source.address() as AddressInfo).port}/video.mp4`;
});

afterEach(() => {
  source.closeAllConnections();
  source.close();
});

const newPath = () => `recordings/${workspaceId}/${randomUUID()}.mp4`;

function start(path: string, signal?: AbortSignal, transfers = storage.transfers) {
  const options = { sourceUrl, workspaceId, path, type: 'recording-video' };
  return transfers.createAndTransfer(options, signal !== undefined ? { signal } : {});
}

async function fileAt(path: string) {
  const bucket = storage.bucket;
  for (;;) {
    const file = await storage.files.findByPath({ workspaceId, bucket, path });
    if (file !== null) return file;
  }
}

/** Takes the only slot, until `end` is called. */
async function occupySlot() {
  const halfWay = new Promise((resolve) => source.once('half-way', resolve));
  const transfer = start(newPath());
  await halfWay;
  return async () => {
    for (const answer of answers) answer.end('world');
    expect(await transfer).toMatchObject({ transferStatus: 'DONE' });
  };
}

describe('a transfer that waits for its turn', () => {
  it('is deleted at once, whatever runs before it', async () => {
    const end = await occupySlot();
    const path = newPath();
    const outcome = expect(start(path)).rejects.toMatchObject({ code: 'FILE_DELETED' });
    await storage.transfers.deleteFile(await fileAt(path), true);
    await outcome;
    expect(await storage.files.findByPath({ workspaceId, bucket: storage.bucket, path })).toBeNull();
    await end();
    expect(answers).toHaveLength(1);
  });

  it('is cancelled at once, and its row is FAILED', async () => {
    const end = await occupySlot();
    const path = newPath();
    const outcome = expect(start(path)).rejects.toMatchObject({ code: 'TRANSFER_CANCELLED' });
    expect(await storage.transfers.cancelTransfer(await fileAt(path))).toMatchObject({
      transferStatus: 'FAILED',
      transferError: expect.stringMatching(/^TRANSFER_CANCELLED/),
    });
    await outcome;
    await end();
    expect(answers).toHaveLength(1);
  });
});

describe('a transfer that another process runs', () => {
  async function insertForeign(path: string): Promise<void> {
    await storage.insertAbandoned({ workspaceId, path, sourceUrl, uploadId: 'of-another-process' });
    await storage.database.query(
      "UPDATE core_storage_file SET lease_until = now() + interval '1 hour' WHERE path = $1",
      [path],
    );
  }

  it('is not waited for longer than the caller wants, and goes on', async () => {
    const path = newPath();
    await insertForeign(path);
    const patience = new AbortController();
    const outcome = expect(start(path, patience.signal)).rejects.toMatchObject({ code: 'TRANSFER_GOES_ON' });
    patience.abort();
    await outcome;
    expect(await fileAt(path)).toMatchObject({ transferStatus: 'TRANSFERRING', attempts: 1 });
  });

  it('does not hold up the end of this process', async () => {
    const other = await startTestStorage({}, { ...storage.database, drop: async () => {} });
    const path = newPath();
    await insertForeign(path);
    await storage.database.query('UPDATE core_storage_file SET bucket = $1 WHERE path = $2', [other.bucket, path]);
    const outcome = expect(start(path, undefined, other.transfers)).rejects.toMatchObject({
      code: 'TRANSFER_CANCELLED',
    });
    await other.stop();
    await outcome;
  });
});

describe('the end of the process', () => {
  it('begins no transfer that was asked for just before', async () => {
    const other = await startTestStorage({}, { ...storage.database, drop: async () => {} });
    const path = newPath();
    const outcome = expect(start(path, undefined, other.transfers)).rejects.toMatchObject({
      code: 'TRANSFER_CANCELLED',
    });
    await other.get(RunningTransfers).onModuleDestroy();
    await outcome;
    expect(await fileAt(path)).toMatchObject({ transferStatus: 'PENDING' });
    expect(answers).toHaveLength(0);
    await other.stop();
  });
});
