import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { SignJWT, UnsecuredJWT } from 'jose';
import { listOperations, type Operation } from './support/open-api.js';
import { createTestApp, type TestApp } from './support/test-app.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { startTestStore, type TestStore } from './support/test-store.js';
import { mintToken, TEST_JWT_SECRET } from './support/test-token.js';

describe('who may call what', () => {
  let database: TestDatabase;
  let store: TestStore;
  let api: TestApp;
  let operations: Operation[];
  /** Two tenants, each with a recording, a DONE file, and a webhook with a delivery. */
  let own: Tenant;
  let other: Tenant;

  interface Tenant {
    workspaceId: string;
    token: string;
    ids: { recordings: string; files: string; webhooks: string; deliveries: string };
  }

  beforeAll(async () => {
    database = await createTestDatabase();
    store = await startTestStore();
    own = await createTenant();
    other = await createTenant();
    api = await createTestApp({ env: { DATABASE_URL: database.url, ...store.variables } });
    operations = await listOperations(api);
  });
  afterAll(async () => {
    await api?.close();
    await store?.stop();
    await database.drop();
  });

  const newIds = () => ({
    recordings: randomUUID(),
    files: randomUUID(),
    webhooks: randomUUID(),
    deliveries: randomUUID(),
  });

  async function createTenant(): Promise<Tenant> {
    const workspaceId = await database.createWorkspace();
    const ids = newIds();
    await database.query(
      `INSERT INTO core_storage_file (id, workspace_id, type, path, bucket, size, transfer_status)
       VALUES ($1, $2, 'recording-video', $3, $4, 1, 'DONE')`,
      [ids.files, workspaceId, `recordings/${workspaceId}/${ids.recordings}.mp4`, store.variables.S3_BUCKET],
    );
    await database.query(
      `INSERT INTO core_recording (id, workspace_id, external_video_url) VALUES ($1, $2, 'https://example.com/v.mp4')`,
      [ids.recordings, workspaceId],
    );
    await database.query(
      `INSERT INTO core_webhook_subscription (id, workspace_id, url, url_sealed, event_types, secret_sealed)
       VALUES ($1, $2, 'https://example.com/', '', '{}', '')`,
      [ids.webhooks, workspaceId],
    );
    await database.query(
      `INSERT INTO core_webhook_delivery (id, subscription_id, event_id, event_type, payload, occurred_at, status)
       VALUES ($1, $2, gen_random_uuid(), 'recording.ready', '{}', now(), 'DELIVERED')`,
      [ids.deliveries, ids.webhooks],
    );
    return { workspaceId, token: await mintToken({ workspaces: [workspaceId] }), ids };
  }

  /** The operation's path in a workspace, with the id of one of `owner`'s things. */
  function fill({ path }: Operation, { workspaceId }: Tenant, { ids }: Tenant = own): string {
    return path
      .replace('{workspaceId}', workspaceId)
      .replace('{deliveryId}', ids.deliveries)
      .replace('{id}', ids[kindOf(path)]);
  }

  function kindOf(path: string): 'recordings' | 'files' | 'webhooks' {
    if (path.includes('/recordings/')) return 'recordings';
    return path.includes('/webhooks/') ? 'webhooks' : 'files';
  }

  /** One that is refused where rows are made; a whole one where a row is changed, which then is what is judged. */
  function bodyOf({ method, path }: Operation): unknown {
    if (method === 'PATCH') return { isActive: false };
    return method === 'POST' && !path.includes('{id}') ? {} : undefined;
  }

  /** The code of the problem in the answer. */
  async function call(operation: Operation, path: string, token?: string) {
    const answer = await api.request(path, { method: operation.method, token, body: bodyOf(operation) });
    const text = await answer.text();
    return { answer, code: answer.status >= 400 ? (JSON.parse(text) as { code: string }).code : undefined };
  }

  const guarded = () => operations.filter(({ isPublic }) => !isPublic);

  it('documents every route of the server, and no other', () => {
    const routes: string[] = [];
    const names: string[] = [];
    const lines = api.app.getHttpAdapter().getInstance().printRoutes({ commonPrefix: false }).trimEnd().split('\n');
    for (const line of lines) {
      const [, indent = '', name = '', methods = ''] = /^([│├└─ ]*)(\S+) \((.*)\)$/.exec(line) ?? [];
      names.splice(indent.length / 4 - 1, Number.POSITIVE_INFINITY, name);
      const path = names.join('').replace(/:(\w+)/g, '{$1}');
      routes.push(...methods.split(', ').map((method) => `${method} ${path}`));
    }
    const own = routes.filter((route) => !/^HEAD |^OPTIONS \*$| \/(docs|openapi\.json)/.test(route));
    expect(own.toSorted()).toEqual(operations.map(({ method, path }) => `${method} ${path}`).toSorted());
    expect(guarded().length).toBeGreaterThanOrEqual(9);
  });

  it('opens nothing but health to everybody', () => {
    expect(operations.filter(({ isPublic }) => isPublic).map(({ path }) => path)).toEqual([
      '/health/live',
      '/health/ready',
    ]);
    expect(guarded().every(({ path }) => path.startsWith('/workspaces/{workspaceId}/'))).toBe(true);
  });

  it('asks every guarded route for a token', async () => {
    for (const operation of guarded()) {
      const { answer, code } = await call(operation, fill(operation, own));
      expect([operation.path, answer.status, code]).toEqual([operation.path, 401, 'UNAUTHENTICATED']);
      expect(answer.headers.get('www-authenticate')).toBe('Bearer realm="api"');
      const head = await api.request(fill(operation, own), { method: 'HEAD' });
      expect([401, 404]).toContain(head.status);
    }
  });

  it('refuses tokens that are wrong, on every route', async () => {
    const claims = { sub: 'user-1', workspaces: [own.workspaceId] };
    const secret = new TextEncoder().encode(TEST_JWT_SECRET);
    const sign = (payload: Record<string, unknown>) => new SignJWT(payload).setProtectedHeader({ alg: 'HS256' });
    const inAnHour = Math.floor(Date.now() / 1_000) + 3_600;
    const tokens = {
      garbage: 'garbage',
      expired: await mintToken({ workspaces: [own.workspaceId], expiresIn: -1 }),
      'signed with another secret': await mintToken({ workspaces: [own.workspaceId], secret: 'x'.repeat(40) }),
      unsigned: new UnsecuredJWT(claims).setExpirationTime('1h').encode(),
      'signed with another algorithm': await new SignJWT(claims)
        .setProtectedHeader({ alg: 'HS512' })
        .setExpirationTime(inAnHour)
        .sign(new TextEncoder().encode(TEST_JWT_SECRET.repeat(2))),
      'without end': await sign(claims).sign(secret),
      'without subject': await sign({ workspaces: [own.workspaceId] })
        .setExpirationTime(inAnHour)
        .sign(secret),
      'without workspaces': await sign({ sub: 'user-1' }).setExpirationTime(inAnHour).sign(secret),
      'not yet valid': await sign(claims).setExpirationTime(inAnHour).setNotBefore(inAnHour).sign(secret),
    };
    for (const operation of guarded()) {
      for (const [what, token] of Object.entries(tokens)) {
        const { answer, code } = await call(operation, fill(operation, own), token);
        expect([what, operation.path, answer.status, code]).toEqual([what, operation.path, 401, 'UNAUTHENTICATED']);
        expect(answer.headers.get('www-authenticate')).toContain('error="invalid_token"');
      }
    }
  });

  it("answers another workspace's id like one that does not exist", async () => {
    for (const operation of guarded()) {
      for (const workspaceId of [other.workspaceId, randomUUID(), 'no-uuid', '%00', "1' OR '1'='1"]) {
        const path = fill(operation, { ...own, workspaceId });
        const { answer, code } = await call(operation, path, own.token);
        expect([path, answer.status, code]).toEqual([path, 404, 'WORKSPACE_NOT_FOUND']);
      }
    }
  });

  it("answers another workspace's file, recording or webhook like one that does not exist", async () => {
    for (const operation of guarded().filter(({ path }) => path.includes('{id}'))) {
      const nowhere = { ...own, ids: newIds() };
      const foreign = await call(operation, fill(operation, own, other), own.token);
      const unknown = await call(operation, fill(operation, own, nowhere), own.token);
      expect(foreign.answer.status).toBe(404);
      expect(foreign.code).toMatch(/^(FILE|RECORDING|WEBHOOK)_NOT_FOUND$/);
      expect([unknown.answer.status, unknown.code]).toEqual([foreign.answer.status, foreign.code]);
    }
    const rows = await database.query('SELECT deleted_at FROM core_storage_file WHERE id = $1', [other.ids.files]);
    expect(rows).toEqual([{ deleted_at: null }]);
  });

  it('lets the own token in, in either case of its ids, with answers that the document names', async () => {
    for (const operation of guarded()) {
      for (const workspaceId of [own.workspaceId, own.workspaceId.toUpperCase()]) {
        const { answer, code } = await call(operation, fill(operation, { ...own, workspaceId }), own.token);
        expect(operation.statuses).toContain(answer.status);
        // An empty body is refused, and so is what needs what the walk has deleted: by rules behind the doors.
        expect([undefined, 'INVALID_REQUEST', 'FILE_DELETED', 'WEBHOOK_NOT_FOUND']).toContain(code);
      }
    }
  });

  it('shows a token of two workspaces each its own', async () => {
    const token = await mintToken({ workspaces: [own.workspaceId, other.workspaceId] });
    for (const { workspaceId, ids } of [own, other]) {
      const answer = await api.request(`/workspaces/${workspaceId}/recordings`, { token });
      const { items } = (await answer.json()) as { items: { id: string }[] };
      expect(items.map(({ id }) => id)).toEqual([ids.recordings]);
    }
  });
});
