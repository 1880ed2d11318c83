import { randomBytes, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createTestApp, type TestApp } from './support/test-app.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { startTestStore, type TestStore } from './support/test-store.js';
import { mintToken } from './support/test-token.js';

type Answer = Record<string, unknown> & { id: string };

const BODY = randomBytes(100_000);

describe('/workspaces/:workspaceId/files/imports', () => {
  let database: TestDatabase;
  let store: TestStore;
  let api: TestApp;
  let source: Server;
  let sourceUrl: string;
  let asked: IncomingMessage[];
  let answer: (response: ServerResponse) => void;
  let workspaceId: string;
  let token: string;

  beforeAll(async () => {
    [database, store] = await Promise.all([createTestDatabase(), startTestStore()]);
    api = await createTestApp({
      env: {
        DATABASE_URL: database.url,
        ...store.variables,
        SOURCE_ALLOWED_ADDRESSES: '127.0.0.1/32',
        SOURCE_MAX_RETRIES: '0',
        WORKSPACE_FILES_PER_DAY: '1000',
      },
    });
    source = createServer((request, response) => {
      asked.push(request);
      answer(response);
    });
    await new Promise<void>((resolve) => source.listen(0, '127.0.0.1', resolve));
    sourceUrl = `http://127.0.0.1:${(source.address() as AddressInfo).port}/export.bin?token=canary`;
  });
  afterAll(async () => {
    source?.closeAllConnections();
    source?.close();
    await api?.close();
    await store?.stop();
    await database?.drop();
  });
  beforeEach(async () => {
    asked = [];
    answer = (response) => response.end(BODY);
    workspaceId = await database.createWorkspace();
    token = await mintToken({ workspaces: [workspaceId], subject: 'user-1' });
  });

  const newBody = () => ({ sourceUrl, path: `imports/${workspaceId}/${randomUUID()}.bin`, type: 'import' });
  const call = async (
    path: string,
    options: { method?: string; body?: unknown; headers?: Record<string, string> } = {},
  ) => {
    const response = await api.request(`/workspaces/${workspaceId}/files/${path}`, { token, ...options });
    return { status: response.status, body: (await response.json()) as Answer };
  };
  const post = (path: string) => call(path, { method: 'POST' });

  async function untilEnded(id: string): Promise<Answer> {
    for (;;) {
      const { body } = await call(id);
      if (body.transferStatus === 'DONE' || body.transferStatus === 'FAILED') return body;
      await sleep(20);
    }
  }

  it('accepts the file with 202, and brings it to DONE', async () => {
    const { status, body } = await call('imports', { body: newBody() });
    expect(status).toBe(202);
    expect(body).toMatchObject({ transferStatus: 'PENDING', createdBy: 'user-1' });
    expect(body.sourceUrl).not.toContain('canary');
    expect(await untilEnded(body.id)).toMatchObject({ transferStatus: 'DONE', size: '100000', sha256Origin: 'SOURCE' });
    expect((await call(`${body.id}/attempts`)).body).toMatchObject({
      items: [{ number: 1, outcome: 'DONE', error: null, resumedFromBytes: '0' }],
    });
  });

  it('refuses more files than a workspace may have, says until when, and shows what it had', async () => {
    await database.query('INSERT INTO core_storage_quota (workspace_id, files_per_day) VALUES ($1, 1)', [workspaceId]);
    const accepted = await call('imports', { body: newBody() });
    const refused = await api.request(`/workspaces/${workspaceId}/files/imports`, { token, body: newBody() });
    expect(refused.status).toBe(429);
    expect(await refused.json()).toMatchObject({ code: 'QUOTA_EXCEEDED', retryable: true });
    const waitSeconds = Number(refused.headers.get('retry-after'));
    expect(waitSeconds).toBeGreaterThan(0);
    expect(waitSeconds).toBeLessThanOrEqual(86_400);
    expect((await call('usage')).body).toMatchObject({
      files: { used: '1', limit: '1' },
      bytes: { used: expect.stringMatching(/^\d+$/), limit: null },
    });
    await untilEnded(accepted.body.id);
  });

  it('gives the same file for the same key, and refuses the key of another request', async () => {
    const headers = { 'idempotency-key': randomUUID() };
    const body = newBody();
    const answers = await Promise.all(Array.from({ length: 5 }, () => call('imports', { body, headers })));
    expect(new Set(answers.map(({ body: { id } }) => id)).size).toBe(1);
    await untilEnded(answers[0]?.body.id ?? '');
    expect(asked).toHaveLength(1);
    expect(await call('imports', { body: newBody(), headers })).toMatchObject({
      status: 422,
      body: { code: 'IDEMPOTENCY_KEY_REUSED' },
    });
    expect(await call('imports', { body: newBody(), headers: { 'idempotency-key': 'a b' } })).toMatchObject({
      status: 400,
      body: { code: 'INVALID_OPTION' },
    });
  });

  it.each([
    ['a source that is no URL', { sourceUrl: 'file:///etc/passwd' }, 400, 'INVALID_REQUEST'],
    ["another workspace's path", { path: `imports/${randomUUID()}/x` }, 400, 'INVALID_PATH'],
    ['a header that is ours', { sourceHeaders: { range: 'bytes=0-' } }, 400, 'INVALID_OPTION'],
    ['a field that there is not', { bucket: 'x' }, 400, 'INVALID_REQUEST'],
  ])('refuses %s', async (_what, change, status, code) => {
    expect(await call('imports', { body: { ...newBody(), ...change } })).toMatchObject({ status, body: { code } });
  });

  it('fails a file whose source is at a private address, which is judged where it would be dialled', async () => {
    const { body } = await call('imports', { body: { ...newBody(), sourceUrl: 'http://10.0.0.1/x' } });
    expect(await untilEnded(body.id)).toMatchObject({
      transferStatus: 'FAILED',
      transferError: expect.stringMatching(/^SOURCE_ADDRESS_BLOCKED: /),
      attempts: 1,
    });
  });

  it('cancels a file that waits for its next try, and tries it again', async () => {
    answer = (response) => response.writeHead(503, { 'retry-after': '600' }).end();
    const { body } = await call('imports', { body: newBody() });
    while ((await call(body.id)).body.nextAttemptAt === null) await sleep(20);
    expect((await post(`${body.id}/cancel`)).body).toMatchObject({
      transferStatus: 'FAILED',
      transferError: expect.stringMatching(/^TRANSFER_CANCELLED/),
    });
    answer = (response) => response.end(BODY);
    expect(await post(`${body.id}/retry`)).toMatchObject({ status: 202, body: { transferStatus: 'PENDING' } });
    expect(await untilEnded(body.id)).toMatchObject({ transferStatus: 'DONE' });
    const { items } = (await call(`${body.id}/attempts`)).body as unknown as { items: { outcome: string }[] };
    expect(items.map(({ outcome }) => outcome)).toEqual(['DONE', 'CANCELLED', 'RETRYING']);
  });

  it.each(['cancel', 'retry', 'attempts'])("does not know another workspace's file: %s", async (action) => {
    const { body } = await call('imports', { body: newBody() });
    const stranger = await database.createWorkspace();
    const response = await api.request(`/workspaces/${stranger}/files/${body.id}/${action}`, {
      method: action === 'attempts' ? 'GET' : 'POST',
      token: await mintToken({ workspaces: [stranger] }),
    });
    expect(response.status).toBe(404);
    await untilEnded(body.id);
  });
});
