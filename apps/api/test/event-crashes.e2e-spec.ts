import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type ApiProcess, startApiProcess } from './support/api-process.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { startTestStore, type TestStore } from './support/test-store.js';
import { mintToken, TEST_JWT_SECRET } from './support/test-token.js';

describe('events and webhooks of a process that is killed', () => {
  const video = randomBytes(1024 * 1024);
  let database: TestDatabase;
  let store: TestStore;
  let source: Server;
  let receiver: Server;
  /** Of the receiver: which event came, by its type. */
  const arrivals: { id: string; type: string }[] = [];
  /** Nobody is answered before, neither by the source nor by the receiver. */
  let isAnswering = false;
  let downloads = 0;
  const processes: ApiProcess[] = [];

  async function listen(handle: (request: IncomingMessage, response: ServerResponse) => void): Promise<Server> {
    const server = createServer(handle);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return server;
  }
  const urlOf = (server: Server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  beforeAll(async () => {
    source = await listen((_request, response) => {
      downloads += 1;
      if (isAnswering) response.writeHead(200, { 'content-length': video.length }).end(video);
    });
    receiver = await listen(async (request, response) => {
      const body = Buffer.concat(await request.toArray()).toString();
      arrivals.push(JSON.parse(body) as { id: string; type: string });
      if (isAnswering) response.writeHead(204).end();
    });
    database = await createTestDatabase();
    store = await startTestStore();
  });
  afterAll(async () => {
    for (const api of processes) api.signal('SIGKILL');
    await Promise.all(processes.map((api) => api.ended()));
    for (const server of [source, receiver]) {
      server.closeAllConnections();
      server.close();
    }
    await store.stop();
    await database.drop();
  });

  async function startApi(): Promise<{ api: ApiProcess; url: string }> {
    const { PATH = '' } = process.env;
    const api = await startApiProcess({
      env: {
        PATH,
        ...store.variables,
        DATABASE_URL: database.url,
        AUTH_JWT_SECRET: TEST_JWT_SECRET,
        API_PORT: '0',
        SOURCE_ALLOWED_ADDRESSES: '127.0.0.1/32',
        TRANSFER_LEASE_SECONDS: '3',
        EVENT_POLL_MS: '50',
        // A delivery has a lease of 5 s more.
        WEBHOOK_TIMEOUT_MS: '2000',
      },
    });
    processes.push(api);
    return { api, url: await api.listening() };
  }

  async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
    for (const end = Date.now() + 30_000; Date.now() < end; await sleep(50)) if (await isSo()) return;
    throw new Error(`it never came so far: ${JSON.stringify({ arrivals, downloads })}`);
  }

  const count = async (from: string) => {
    const [row] = await database.query<{ count: number }>(`SELECT count(*)::int FROM ${from}`);
    return row?.count;
  };

  it('reach listeners and receivers through the next process: the video is linked, each event arrives', async () => {
    const workspaceId = await database.createWorkspace();
    const token = await mintToken({ workspaces: [workspaceId] });
    const first = await startApi();
    const post = (path: string, body: object) =>
      fetch(`${first.url}/workspaces/${workspaceId}${path}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
    const eventTypes = ['recording.ready', 'storage.file.done'];
    expect((await post('/webhooks', { url: `${urlOf(receiver)}/hook`, eventTypes })).status).toBe(201);
    expect((await post('/recordings', { externalVideoUrl: `${urlOf(source)}/v.mp4` })).status).toBe(201);
    // The listener waits for its transfer and the delivery for its answer.
    await until(() => arrivals.length >= 1 && downloads === 1);
    first.api.signal('SIGKILL');
    await first.api.ended();
    isAnswering = true;

    await startApi();
    await until(async () => (await count('core_webhook_delivery WHERE status = $$DELIVERED$$')) === 2);
    await until(async () => (await count('core_outbox_event WHERE dispatched_at IS NULL')) === 0);
    const rows = await database.query(
      `SELECT transfer_status, file.id = video_file_id AS linked FROM core_recording
       LEFT JOIN core_storage_file AS file ON file.workspace_id = core_recording.workspace_id`,
    );
    expect(rows).toEqual([{ transfer_status: 'DONE', linked: true }]);
    expect(arrivals.filter(({ type }) => type === 'storage.file.done')).toHaveLength(1);
    const ready = arrivals.filter(({ type }) => type === 'recording.ready');
    expect(ready.length).toBeGreaterThanOrEqual(2);
    expect(new Set(ready.map(({ id }) => id)).size).toBe(1);
    expect(await count('core_webhook_delivery')).toBe(2);
  });
});
