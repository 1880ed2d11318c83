import { createHmac, randomUUID } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type CliHome, makeCliHome, runCli } from './support/cli-process.js';
import { createTestApp, type TestApp } from './support/test-app.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { openOutbox } from './support/test-events.js';
import { startTestStore, type TestStore } from './support/test-store.js';
import { mintToken } from './support/test-token.js';

interface Webhook {
  id: string;
  url: string;
  eventTypes: string[];
  isActive: boolean;
  previousSecretUntil: string | null;
  secret?: string;
}

interface Delivery {
  id: string;
  eventId: string;
  status: string;
  attempts: number;
  responseStatus: number | null;
  lastError: string | null;
  nextAttemptAt: string | null;
  deliveredAt: string | null;
}

describe('/workspaces/:workspaceId/webhooks', () => {
  let database: TestDatabase;
  let store: TestStore;
  let receiver: Server;
  let receiverUrl: string;
  let arrivals: { headers: IncomingHttpHeaders; body: string }[];
  let status: number;
  let api: TestApp;
  let env: Record<string, string>;
  let home: CliHome;
  let workspaceId: string;
  let token: string;

  beforeAll(async () => {
    receiver = createServer(async (request, response) => {
      const chunks: Buffer[] = await request.toArray();
      arrivals.push({ headers: request.headers, body: Buffer.concat(chunks).toString() });
      response.writeHead(status).end('canary in the answer');
    });
    await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
    receiverUrl = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;
    database = await createTestDatabase();
    store = await startTestStore();
    env = { DATABASE_URL: database.url, ...store.variables, SOURCE_ALLOWED_ADDRESSES: '127.0.0.1/32' };
    api = await createTestApp({ env: { ...env, EVENT_POLL_MS: '50' } });
    home = await makeCliHome();
  });
  afterAll(async () => {
    await api?.close();
    receiver.closeAllConnections();
    receiver.close();
    await home?.remove();
    await store?.stop();
    await database.drop();
  });
  beforeEach(async () => {
    arrivals = [];
    status = 200;
    workspaceId = await database.createWorkspace();
    token = await mintToken({ workspaces: [workspaceId] });
  });

  const call = (path = '', options: { method?: string; body?: unknown } = {}) =>
    api.request(`/workspaces/${workspaceId}/webhooks${path}`, { token, ...options });
  const read = async <T>(answer: Response | Promise<Response>) => (await (await answer).json()) as T;

  async function subscribe(eventTypes = ['recording.ready'], url = `${receiverUrl}/hook?token=canary`) {
    const answer = await call('', { body: { url, eventTypes } });
    expect(answer.status).toBe(201);
    expect(answer.headers.get('cache-control')).toBe('no-store');
    return (await read<Webhook>(answer)) as Webhook & { secret: string };
  }

  async function emit(): Promise<string> {
    return await openOutbox(database).insert('recording.ready', { recordingId: randomUUID() }, workspaceId);
  }

  async function untilDelivery(id: string, isSo: (delivery: Delivery) => boolean): Promise<Delivery> {
    for (const end = Date.now() + 15_000; Date.now() < end; await sleep(20)) {
      const { items } = await read<{ items: Delivery[] }>(call(`/${id}/deliveries`));
      const found = items.find(isSo);
      if (found !== undefined) return found;
    }
    throw new Error('it never came so far');
  }

  it('shows the secret once, at the creation and at a rotation, and the query of the URL never', async () => {
    const { secret, ...webhook } = await subscribe();
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(webhook).toMatchObject({ url: `${receiverUrl}/hook`, eventTypes: ['recording.ready'], isActive: true });
    expect(await read(call(`/${webhook.id}`))).toEqual(webhook);
    expect(await read(call())).toEqual({ items: [webhook] });

    const answer = await call(`/${webhook.id}/rotate-secret`, { method: 'POST' });
    expect([answer.status, answer.headers.get('cache-control')]).toEqual([200, 'no-store']);
    const rotated = await read<Webhook>(answer);
    expect(rotated.secret).not.toBe(secret);
    const hours = (Date.parse(rotated.previousSecretUntil ?? '') - Date.now()) / 3_600_000;
    expect(Math.round(hours)).toBe(24);
  });

  it('posts what happened in the workspace, and lists it', async () => {
    const { id, secret } = await subscribe();
    const answer = await api.request(`/workspaces/${workspaceId}/recordings`, {
      token,
      body: { externalVideoUrl: `${receiverUrl}/v.mp4` },
    });
    const { id: recordingId } = await read<{ id: string }>(answer);
    const delivery = await untilDelivery(id, ({ status }) => status === 'DELIVERED');
    expect(delivery).toMatchObject({ attempts: 1, responseStatus: 200, lastError: null, nextAttemptAt: null });
    const arrival = arrivals.find(({ headers }) => headers['webhook-id'] === delivery.eventId);
    const body = arrival?.body ?? '';
    expect(JSON.parse(body)).toMatchObject({ id: delivery.eventId, type: 'recording.ready', data: { recordingId } });
    const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
    const content = `${delivery.eventId}.${arrival?.headers['webhook-timestamp']}.${body}`;
    const signature = createHmac('sha256', key).update(content).digest('base64');
    expect(arrival?.headers['webhook-signature']).toBe(`v1,${signature}`);
    expect(JSON.stringify(await read(call(`/${id}/deliveries`)))).not.toContain('canary');
  });

  it('can be switched off, is told of nothing that happens then, and is told again when it is switched on', async () => {
    const { id } = await subscribe();
    const { id: otherId } = await subscribe();
    const off = await call(`/${id}`, { method: 'PATCH', body: { isActive: false } });
    expect([off.status, await read<Webhook>(off)]).toEqual([200, expect.objectContaining({ id, isActive: false })]);
    const untold = await emit();
    await untilDelivery(otherId, ({ eventId, status }) => eventId === untold && status === 'DELIVERED');
    expect(await read(call(`/${id}/deliveries`))).toEqual({ items: [], nextCursor: null });
    await call(`/${id}`, { method: 'PATCH', body: { isActive: true } });
    const told = await emit();
    await untilDelivery(id, ({ eventId, status }) => eventId === told && status === 'DELIVERED');
    expect((await read<{ items: Delivery[] }>(call(`/${id}/deliveries`))).items).toHaveLength(1);
  });

  it('keeps what it was to be told before it was switched off, and does not count that time as failure', async () => {
    status = 500;
    const { id } = await subscribe();
    await emit();
    await untilDelivery(id, ({ attempts }) => attempts === 1);
    await call(`/${id}`, { method: 'PATCH', body: { isActive: false } });
    const past = "UPDATE core_webhook_delivery SET failing_since = now() - interval '2 days', next_attempt_at = now()";
    await database.query(`${past} WHERE subscription_id = $1`, [id]);
    await call(`/${id}`, { method: 'PATCH', body: { isActive: true } });
    await untilDelivery(id, ({ attempts, status: now }) => attempts >= 2 && now === 'PENDING');
    expect((await call(`/${id}`, { method: 'PATCH', body: { isActive: 'no' } })).status).toBe(400);
    expect((await call(`/${id}`, { method: 'PATCH', body: {} })).status).toBe(400);
    await call(`/${id}`, { method: 'DELETE' }); // Else it is tried again while another test counts what arrives.
  });

  it('gives deliveries in pages, newest first', async () => {
    const { id } = await subscribe();
    const eventIds: string[] = [];
    for (let count = 0; count < 5; count += 1) {
      const eventId = await emit();
      await untilDelivery(id, (delivery) => delivery.eventId === eventId && delivery.status === 'DELIVERED');
      eventIds.unshift(eventId);
    }
    const listed: string[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page: { items: Delivery[]; nextCursor: string | null } = await read(
        call(`/${id}/deliveries?limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`),
      );
      listed.push(...page.items.map(({ eventId }) => eventId));
      cursor = page.nextCursor;
    }
    expect(listed).toEqual(eventIds);
    expect((await call(`/${id}/deliveries?cursor=x`)).status).toBe(400);
  });

  it('replays a delivery over HTTP and on the command line, and all of an event', async () => {
    const { id } = await subscribe();
    const eventId = await emit();
    const { id: deliveryId } = await untilDelivery(id, ({ status }) => status === 'DELIVERED');
    const replay = await call(`/${id}/deliveries/${deliveryId}/replay`, { method: 'POST' });
    expect([replay.status, await read<Delivery>(replay)]).toEqual([
      202,
      expect.objectContaining({ status: 'PENDING' }),
    ]);
    await untilDelivery(id, ({ status, attempts }) => status === 'DELIVERED' && attempts === 2);

    const byId = await runCli(home, ['webhooks', 'replay', deliveryId], env);
    expect(byId).toMatchObject({ exitCode: 0, stdout: '1 delivery is due now; a running API sends them.\n' });
    await untilDelivery(id, ({ status, attempts }) => status === 'DELIVERED' && attempts === 3);
    expect(await runCli(home, ['webhooks', 'replay', '--event', eventId], env)).toMatchObject({ exitCode: 0 });
    await untilDelivery(id, ({ status, attempts }) => status === 'DELIVERED' && attempts === 4);
    expect(arrivals.map(({ headers }) => headers['webhook-id'])).toEqual(Array(4).fill(eventId));
  });

  it('says on the command line what cannot be replayed', async () => {
    const nothing = await runCli(home, ['webhooks', 'replay', randomUUID()], env);
    expect(nothing.exitCode).toBe(1);
    expect(nothing.stderr).toMatch(/^error DELIVERY_NOT_FOUND: /);
    for (const options of [[], ['no-uuid'], [randomUUID(), '--event', randomUUID()]]) {
      const { exitCode, stderr } = await runCli(home, ['webhooks', 'replay', ...options], env);
      expect([options, exitCode]).toEqual([options, 1]);
      expect(stderr).toMatch(/^error USAGE: /);
    }
  });

  it("answers 404 to another workspace's webhook and delivery", async () => {
    const { id } = await subscribe();
    await emit();
    const { id: deliveryId } = await untilDelivery(id, ({ status }) => status === 'DELIVERED');
    const own = workspaceId;
    workspaceId = await database.createWorkspace();
    token = await mintToken({ workspaces: [workspaceId] });
    const { id: otherId } = await subscribe();
    for (const [path, method, code] of [
      [`/${id}`, 'GET', 'WEBHOOK_NOT_FOUND'],
      [`/${id}`, 'DELETE', 'WEBHOOK_NOT_FOUND'],
      [`/${id}`, 'PATCH', 'WEBHOOK_NOT_FOUND'],
      [`/${id}/rotate-secret`, 'POST', 'WEBHOOK_NOT_FOUND'],
      [`/${id}/deliveries`, 'GET', 'WEBHOOK_NOT_FOUND'],
      [`/${id}/deliveries/${deliveryId}/replay`, 'POST', 'WEBHOOK_NOT_FOUND'],
      [`/${otherId}/deliveries/${deliveryId}/replay`, 'POST', 'DELIVERY_NOT_FOUND'],
    ] as const) {
      const answer = await call(path, { method, ...(method === 'PATCH' ? { body: { isActive: false } } : {}) });
      expect([path, answer.status, (await read<{ code: string }>(answer)).code]).toEqual([path, 404, code]);
    }
    expect((await api.request(`/workspaces/${own}/webhooks/${id}`, { token })).status).toBe(404);
    const [row] = await database.query('SELECT is_active FROM core_webhook_subscription WHERE id = $1', [id]);
    expect(row).toEqual({ is_active: true });
  });

  it.each<[what: string, body: unknown, status: number, code: string]>([
    ['nothing', {}, 400, 'INVALID_REQUEST'],
    ['no event type', { url: 'https://app.example.com/', eventTypes: [] }, 400, 'INVALID_REQUEST'],
    ['an unknown event type', { url: 'https://app.example.com/', eventTypes: ['x'] }, 400, 'INVALID_REQUEST'],
    [
      'a secret',
      { url: 'https://app.example.com/', eventTypes: ['recording.ready'], secret: 'x' },
      400,
      'INVALID_REQUEST',
    ],
    ['no URL', { url: 'app.example.com', eventTypes: ['recording.ready'] }, 400, 'SOURCE_URL_INVALID'],
    ['a password', { url: 'https://u:p@app.example.com', eventTypes: ['recording.ready'] }, 400, 'SOURCE_URL_INVALID'],
    [
      'a port of another service',
      { url: 'http://app.example.com:25/', eventTypes: ['recording.ready'] },
      400,
      'SOURCE_URL_INVALID',
    ],
    [
      'a name of this network',
      { url: 'https://localhost/', eventTypes: ['recording.ready'] },
      422,
      'SOURCE_ADDRESS_BLOCKED',
    ],
  ])('refuses %s', async (_what, body, expectedStatus, code) => {
    const answer = await call('', { body });
    expect([answer.status, (await read<{ code: string }>(answer)).code]).toEqual([expectedStatus, code]);
    expect(await read(call())).toEqual({ items: [] });
  });

  it('tells a deleted webhook nothing more, and forgets its deliveries', async () => {
    const { id } = await subscribe();
    status = 500;
    await emit();
    await untilDelivery(id, ({ lastError }) => lastError === 'the receiver answered 500');
    expect((await call(`/${id}`, { method: 'DELETE' })).status).toBe(204);
    expect(await database.query('SELECT id FROM core_webhook_delivery WHERE subscription_id = $1', [id])).toEqual([]);
    expect((await call(`/${id}`)).status).toBe(404);
  });

  it('is gone with its workspace', async () => {
    const { id } = await subscribe();
    await database.query('DELETE FROM core_workspace WHERE id = $1', [workspaceId]);
    expect(await database.query('SELECT id FROM core_webhook_subscription WHERE id = $1', [id])).toEqual([]);
  });
});
