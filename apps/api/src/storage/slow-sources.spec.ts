import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { startTestStorage, type TestStorage } from '../../test/support/test-storage.js';
import type { StorageFile } from './storage-file.repository.js';

const BODY = Buffer.alloc(100_000, 'a file of a slow host');

let storage: TestStorage;
let workspaceId: string;
/** Each waits with the rest of its body until it is told to go on. */
let slowHosts: { server: Server; answers: ServerResponse[] }[];
let goodHost: Server;

beforeAll(async () => {
  storage = await startTestStorage({
    TRANSFER_WORKER: 'all',
    TRANSFER_POLL_MS: '100',
    TRANSFER_CONCURRENCY: '1',
    TRANSFER_SLOW_BYTES_PER_SECOND: '262144',
    // Room for one slow transfer beside it.
    TRANSFER_MEMORY_BYTES: String(10 * 1024 * 1024),
    SOURCE_HEADERS_TIMEOUT_MS: '60000',
    SOURCE_STALL_TIMEOUT_MS: '60000',
    SOURCE_MAX_CONNECTIONS: '1',
  });
  workspaceId = await storage.database.createWorkspace();
  slowHosts = await Promise.all([openSlowHost(), openSlowHost()]);
  goodHost = createServer((_request, response) => response.end(BODY)).listen(0, '127.0.0.1');
  await once(goodHost, 'listening');
});

afterAll(async () => {
  await storage.stop();
  for (const server of [goodHost, ...slowHosts.map(({ server }) => server)]) {
    server.closeAllConnections();
    server.close();
  }
});

async function openSlowHost() {
  const answers: ServerResponse[] = [];
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-length': BODY.length, etag: '"1"' });
    response.write(BODY.subarray(0, 1_000));
    answers.push(response);
    server.emit('answering');
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { server, answers };
}

const newRequest = (server: Server) => ({
  sourceUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/video.mp4`,
  workspaceId,
  path: `imports/${workspaceId}/${randomUUID()}.bin`,
  type: 'import',
});

async function until(id: string, isThere: (file: StorageFile) => boolean): Promise<StorageFile> {
  for (;;) {
    const file = await storage.files.findById({ workspaceId, id });
    if (file !== null && isThere(file)) return file;
    await sleep(20);
  }
}

const goOn = (answers: readonly ServerResponse[]) => answers.at(-1)?.end(BODY.subarray(1_000));

it('a slow source leaves its slot to others, one for which there is no room comes later, and both end well', async () => {
  const [first, second] = slowHosts;
  if (first === undefined || second === undefined) throw new Error('there are two');
  const isAsked = once(first.server, 'answering');
  const slow = await storage.transfers.enqueue(newRequest(first.server));
  await isAsked;
  // The one slot is taken until the source was seen to be slow.
  await storage.transfers.createAndTransfer(newRequest(goodHost));
  const slower = await storage.transfers.enqueue(newRequest(second.server));
  const putOff = await until(slower.id, ({ nextAttemptAt }) => nextAttemptAt !== null);
  expect(putOff).toMatchObject({ transferStatus: 'PENDING', retries: 0, errorCode: null, attempts: 1 });
  await storage.transfers.createAndTransfer(newRequest(goodHost));
  expect((await until(slow.id, () => true)).transferStatus).toBe('TRANSFERRING');

  goOn(first.answers);
  expect(await until(slow.id, ({ transferStatus }) => transferStatus === 'DONE')).toMatchObject({ attempts: 1 });
  const isAskedAgain = once(second.server, 'answering');
  await storage.transfers.retryTransfer(slower);
  await isAskedAgain;
  goOn(second.answers);
  expect(await until(slower.id, ({ transferStatus }) => transferStatus === 'DONE')).toMatchObject({ attempts: 2 });
  const attempts = await storage.files.listAttempts({ workspaceId, id: slower.id });
  expect(attempts.map(({ outcome }) => outcome)).toEqual(['DONE', 'HANDED_OVER']);
});
