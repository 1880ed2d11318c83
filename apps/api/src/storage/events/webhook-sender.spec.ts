import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import { createTestDatabase, type TestDatabase } from '../../../test/support/test-database.js';
import { openOutbox, startTestEvents } from '../../../test/support/test-events.js';
import { TEST_ENCRYPTION_KEY } from '../../../test/support/test-token.js';
import type { Dial } from '../source/address-guard.js';
import { EventDispatcher } from './event-dispatcher.js';
import { EventRetention } from './event-retention.js';
import { type WebhookDelivery, WebhookSubscriptions } from './webhook-subscriptions.js';

/** A request as it arrived at the receiver. */
interface Arrival {
  readonly path: string;
  readonly method: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

const LOOPBACK = { allowedAddresses: ['127.0.0.1/32'] };

/** As a receiver does by the Standard Webhooks specification, with node:crypto alone. */
function isSigned({ headers, body }: Arrival, secret: string): boolean {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  const content = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`;
  const expected = `v1,${createHmac('sha256', key).update(content).digest('base64')}`;
  return String(headers['webhook-signature']).split(' ').includes(expected);
}

async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 10_000; Date.now() < end; await sleep(10)) if (await isSo()) return;
  throw new Error('it never came so far');
}

describe('WebhookSender', () => {
  let database: TestDatabase;
  let outbox: ReturnType<typeof openOutbox>;
  let receiver: Server;
  let receiverUrl: string;
  let arrivals: Arrival[];
  let answer: (response: ServerResponse, arrival: Arrival) => void;
  let workspaceId: string;
  const started: TestingModule[] = [];

  beforeAll(async () => {
    database = await createTestDatabase();
    outbox = openOutbox(database);
    receiver = createServer((request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      request.on('end', () => {
        const arrival = { path: request.url ?? '', method: request.method ?? '', headers: request.headers, body };
        arrivals.push(arrival);
        answer(response, arrival);
      });
    });
    await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
    receiverUrl = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;
  });
  beforeEach(async () => {
    arrivals = [];
    answer = (response) => response.writeHead(204).end();
    workspaceId = await database.createWorkspace();
  });
  afterEach(async () => {
    await Promise.all(started.splice(0).map((app) => app.close()));
    await database.query('DELETE FROM core_outbox_event');
    await database.query('DELETE FROM core_webhook_subscription');
  });
  afterAll(async () => {
    receiver.closeAllConnections();
    receiver.close();
    await database.drop();
  });

  async function start(settings: Partial<Parameters<typeof startTestEvents>[0]> = {}) {
    const app = await startTestEvents({ database, source: LOOPBACK, ...settings });
    started.push(app);
    return { app, webhooks: app.get(WebhookSubscriptions, { strict: false }) };
  }

  const subscribe = (webhooks: WebhookSubscriptions, url = `${receiverUrl}/hook`) =>
    webhooks.create({ workspaceId, url, eventTypes: ['storage.file.done', 'storage.file.failed'] });

  /** The responses that are left unanswered, as they come. */
  function answerAllBut(slowPath: string): ServerResponse[] {
    const hanging: ServerResponse[] = [];
    answer = (response, { path }) => {
      if (path === slowPath) hanging.push(response);
      else response.writeHead(200).end();
    };
    return hanging;
  }

  async function readDeliveries(): Promise<WebhookDelivery[]> {
    return await database.query<WebhookDelivery>(
      `SELECT id, subscription_id AS "subscriptionId", event_id AS "eventId", status, attempts,
         response_status AS "responseStatus", last_error AS "lastError", next_attempt_at AS "nextAttemptAt",
         finished_at AS "finishedAt", payload FROM core_webhook_delivery ORDER BY created_at, id`,
    );
  }

  async function untilDelivery(isSo: (delivery: WebhookDelivery) => boolean): Promise<WebhookDelivery> {
    let found: WebhookDelivery | undefined;
    await until(async () => {
      found = (await readDeliveries()).find(isSo);
      return found !== undefined;
    });
    return found as WebhookDelivery;
  }

  async function readWaitMs(id: string): Promise<number> {
    const [row] = await database.query<{ ms: number }>(
      'SELECT (extract(epoch FROM next_attempt_at - now()) * 1000)::float8 AS ms FROM core_webhook_delivery WHERE id = $1',
      [id],
    );
    return row?.ms ?? Number.NaN;
  }

  /** As another process does after the end of one whose listeners had not settled. */
  async function dispatchAgain(app: TestingModule, id: string): Promise<void> {
    await database.query('UPDATE core_outbox_event SET dispatched_at = NULL, next_attempt_at = now() WHERE id = $1', [
      id,
    ]);
    app.get(EventDispatcher, { strict: false }).poke();
    await until(async () => (await outbox.read(id)).dispatchedAt !== null);
    expect((await outbox.read(id)).attempts).toBe(2);
  }

  it('posts an event that the workspace subscribed to, signed so that a receiver can verify it', async () => {
    const { webhooks } = await start();
    const { webhook, secret } = await subscribe(webhooks, `${receiverUrl}/hook?token=canary`);
    expect(webhook.url).toBe(`${receiverUrl}/hook`);
    const payload = { fileId: randomUUID(), size: '9007199254740993' };
    const id = await outbox.insert('storage.file.done', payload, workspaceId);
    await outbox.insert('storage.file.deleted', {}, workspaceId);
    await outbox.insert('storage.file.done', {}, await database.createWorkspace());
    const delivery = await untilDelivery(({ status }) => status === 'DELIVERED');
    expect(delivery).toMatchObject({ eventId: id, attempts: 1, responseStatus: 204, lastError: null });
    await until(async () => (await outbox.read(id)).dispatchedAt !== null);

    expect(arrivals).toHaveLength(1);
    const [arrival] = arrivals as [Arrival];
    expect(arrival).toMatchObject({ method: 'POST', path: '/hook?token=canary' });
    expect(arrival.headers).toMatchObject({ 'content-type': 'application/json', 'webhook-id': id });
    const { createdAt, ...message } = JSON.parse(arrival.body) as { createdAt: string };
    expect(message).toEqual({ id, type: 'storage.file.done', data: payload });
    expect(Math.abs(Date.parse(createdAt) - Date.now())).toBeLessThan(60_000);
    expect(Math.abs(Number(arrival.headers['webhook-timestamp']) - Date.now() / 1_000)).toBeLessThan(60);
    expect(isSigned(arrival, secret)).toBe(true);
    expect(isSigned({ ...arrival, body: `${arrival.body} ` }, secret)).toBe(false);
    expect(isSigned({ ...arrival, headers: { ...arrival.headers, 'webhook-timestamp': '1' } }, secret)).toBe(false);
  });

  it('keeps secrets and queries sealed in the database', async () => {
    const { webhooks } = await start();
    const { webhook, secret } = await subscribe(webhooks, `${receiverUrl}/hook?token=canary-in-query`);
    const rotated = await webhooks.rotateSecret({ workspaceId, id: webhook.id });
    const [row] = await database.query<{ text: string }>(
      `SELECT row_to_json(w)::text || encode(url_sealed, 'escape') || encode(secret_sealed, 'escape') AS text
       FROM core_webhook_subscription AS w`,
    );
    for (const canary of ['canary-in-query', secret, rotated.secret]) expect(row?.text).not.toContain(canary);
  });

  it('signs with both secrets after a rotation, and with the new one alone after its end', async () => {
    const { webhooks } = await start();
    const { webhook, secret } = await subscribe(webhooks);
    const rotated = await webhooks.rotateSecret({ workspaceId, id: webhook.id });
    expect(rotated.secret).not.toBe(secret);
    await outbox.insert('storage.file.done', {}, workspaceId);
    await until(() => arrivals.length === 1);
    expect([secret, rotated.secret].map((key) => isSigned(arrivals[0] as Arrival, key))).toEqual([true, true]);
    expect(String(arrivals[0]?.headers['webhook-signature']).split(' ')).toHaveLength(2);

    await database.query('UPDATE core_webhook_subscription SET previous_secret_until = now()');
    await outbox.insert('storage.file.done', {}, workspaceId);
    await until(() => arrivals.length === 2);
    expect([secret, rotated.secret].map((key) => isSigned(arrivals[1] as Arrival, key))).toEqual([false, true]);
  });

  it('needs the key before no more after a rotation, and signs with the new secret alone without it', async () => {
    const before = await start();
    const { webhook } = await subscribe(before.webhooks);
    await before.app.close();
    const newKey = randomBytes(32).toString('base64');
    const between = await start({
      variables: { DATA_ENCRYPTION_KEY: newKey, DATA_ENCRYPTION_OLD_KEYS: TEST_ENCRYPTION_KEY },
    });
    const rotated = await between.webhooks.rotateSecret({ workspaceId, id: webhook.id });
    await between.app.close();
    await start({ variables: { DATA_ENCRYPTION_KEY: newKey } });
    await outbox.insert('storage.file.done', {}, workspaceId);
    await until(() => arrivals.length === 1);
    expect(isSigned(arrivals[0] as Arrival, rotated.secret)).toBe(true);
    expect(String(arrivals[0]?.headers['webhook-signature']).split(' ')).toHaveLength(1);
  });

  it('says what helps when the key of a webhook is not configured, and sends when it is again', async () => {
    const { app, webhooks } = await start();
    const { secret } = await subscribe(webhooks);
    await app.close();
    const DATA_ENCRYPTION_KEY = randomBytes(32).toString('base64');
    const keyless = await start({ variables: { DATA_ENCRYPTION_KEY } });
    await outbox.insert('storage.file.done', {}, workspaceId);
    const { lastError } = await untilDelivery((delivery) => delivery.lastError !== null);
    expect(lastError).toBe(
      'the webhook cannot be opened: add the key before to DATA_ENCRYPTION_OLD_KEYS, or delete the webhook and make it again',
    );
    expect(arrivals).toEqual([]);
    await keyless.app.close();
    await start({ variables: { DATA_ENCRYPTION_KEY, DATA_ENCRYPTION_OLD_KEYS: TEST_ENCRYPTION_KEY } });
    await database.query('UPDATE core_webhook_delivery SET next_attempt_at = now()');
    await untilDelivery(({ status }) => status === 'DELIVERED');
    expect(isSigned(arrivals[0] as Arrival, secret)).toBe(true);
  });

  it('makes one delivery of an event, however often it is dispatched', async () => {
    const { app, webhooks } = await start();
    await subscribe(webhooks);
    const id = await outbox.insert('storage.file.done', {}, workspaceId);
    const dispatcher = app.get(EventDispatcher, { strict: false });
    for (let round = 0; round < 3; round += 1) {
      await until(async () => (await outbox.read(id)).dispatchedAt !== null);
      await database.query('UPDATE core_outbox_event SET dispatched_at = NULL, next_attempt_at = now()');
      dispatcher.poke();
    }
    await untilDelivery(({ status }) => status === 'DELIVERED');
    await until(async () => (await outbox.read(id)).attempts >= 4);
    expect(await readDeliveries()).toHaveLength(1);
    expect(arrivals).toHaveLength(1);
  });

  it('tells nobody of an event that was taken before the webhook was there, or was switched on', async () => {
    const { app, webhooks } = await start();
    const { webhook } = await subscribe(webhooks);
    await webhooks.setActive({ workspaceId, id: webhook.id }, false);
    const id = await outbox.insert('storage.file.done', {}, workspaceId);
    await until(async () => (await outbox.read(id)).dispatchedAt !== null);
    await webhooks.setActive({ workspaceId, id: webhook.id }, true);
    await subscribe(webhooks);
    await dispatchAgain(app, id);
    expect(await readDeliveries()).toEqual([]);
  });

  it('sends no delivery again that was removed after its time, though its event is taken again', async () => {
    const { app, webhooks } = await start({ variables: { EVENT_RETENTION_DAYS: '1' } });
    await subscribe(webhooks);
    const id = await outbox.insert('storage.file.done', {}, workspaceId);
    await untilDelivery(({ status }) => status === 'DELIVERED');
    await until(async () => (await outbox.read(id)).dispatchedAt !== null);
    await database.query("UPDATE core_webhook_delivery SET finished_at = now() - interval '25 hours'");
    await app.get(EventRetention, { strict: false }).removeOld();
    expect(await readDeliveries()).toEqual([]);
    await dispatchAgain(app, id);
    expect(await readDeliveries()).toEqual([]);
  });

  it('sends what a process that died had written down and not sent', async () => {
    // Its take wrote the delivery; neither event nor delivery came any further.
    const { app, webhooks } = await start();
    await subscribe(webhooks);
    await app.close();
    const id = await outbox.insert('storage.file.done', { from: 'the dead' }, workspaceId);
    await database.query(
      `INSERT INTO core_webhook_delivery (subscription_id, event_id, event_type, payload, occurred_at)
       SELECT core_webhook_subscription.id, event.id, type, payload, event.created_at
       FROM core_webhook_subscription, core_outbox_event AS event`,
    );
    await database.query(
      "UPDATE core_outbox_event SET attempts = 1, next_attempt_at = now() + interval '400 milliseconds'",
    );
    await start();
    await until(async () => (await outbox.read(id)).dispatchedAt !== null);
    await untilDelivery(({ status }) => status === 'DELIVERED');
    expect(arrivals.map(({ headers }) => headers['webhook-id'])).toEqual([id]);
  });

  it('sends again what a process that died was sending, once its lease has ended', async () => {
    const { webhooks } = await start();
    await subscribe(webhooks);
    answer = () => {}; // Nobody answers it: it hangs.
    await outbox.insert('storage.file.done', {}, workspaceId);
    await until(() => arrivals.length === 1);
    answer = (response) => response.writeHead(200).end();
    await database.query('UPDATE core_webhook_delivery SET next_attempt_at = now()'); // As its end leaves it.
    await start();
    expect(await untilDelivery(({ status }) => status === 'DELIVERED')).toMatchObject({ attempts: 2 });
    expect(arrivals).toHaveLength(2);
  });

  it('lets go of a delivery when its process stops in the middle: it is due at once', async () => {
    const { app, webhooks } = await start();
    await subscribe(webhooks);
    answer = () => {};
    await outbox.insert('storage.file.done', {}, workspaceId);
    await until(() => arrivals.length === 1);
    await app.close();
    const [delivery] = await readDeliveries();
    expect(delivery).toMatchObject({ status: 'PENDING', lastError: null });
    expect(await readWaitMs(delivery?.id ?? '')).toBeLessThanOrEqual(0);
  });

  it.each<[what: string, status: number, headers: Record<string, string>, says: string]>([
    ['an error', 500, {}, 'the receiver answered 500'],
    ['a refusal', 404, {}, 'the receiver answered 404'],
    ['a redirect', 307, { location: '/elsewhere' }, 'the receiver answered 307; redirects are not followed'],
  ])('tries again after %s, after a wait, and follows nothing', async (_what, status, headers, lastError) => {
    const { webhooks } = await start();
    await subscribe(webhooks);
    answer = (response) => response.writeHead(status, headers).end('canary in the answer');
    await outbox.insert('storage.file.done', {}, workspaceId);
    const failed = await untilDelivery((delivery) => delivery.lastError !== null);
    expect(failed).toMatchObject({ status: 'PENDING', attempts: 1, responseStatus: status, lastError });
    const waitMs = await readWaitMs(failed.id);
    expect(waitMs).toBeGreaterThan(1_000);
    expect(waitMs).toBeLessThanOrEqual(7_500);
    answer = (response) => response.writeHead(200).end();
    await database.query('UPDATE core_webhook_delivery SET next_attempt_at = now()');
    expect(await untilDelivery((delivery) => delivery.status === 'DELIVERED')).toMatchObject({
      attempts: 2,
      responseStatus: 200,
      lastError: null,
    });
    expect(arrivals.map(({ path }) => path)).toEqual(['/hook', '/hook']);
  });

  it('leaves the receiver alone for as long as it asks', async () => {
    const { webhooks } = await start();
    await subscribe(webhooks);
    answer = (response) => response.writeHead(429, { 'retry-after': '7200' }).end();
    await outbox.insert('storage.file.done', {}, workspaceId);
    const { id } = await untilDelivery((delivery) => delivery.lastError !== null);
    expect(Math.round((await readWaitMs(id)) / 60_000)).toBe(120);

    answer = (response) => response.writeHead(503, { 'retry-after': '999999999' }).end();
    await database.query('UPDATE core_webhook_delivery SET next_attempt_at = now()');
    await untilDelivery(({ responseStatus }) => responseStatus === 503);
    expect(Math.round((await readWaitMs(id)) / 3_600_000)).toBe(24);
  });

  it('gives up after a day, and begins anew when asked to', async () => {
    const { webhooks } = await start();
    const { webhook } = await subscribe(webhooks);
    answer = (response) => response.writeHead(500).end();
    const eventId = await outbox.insert('storage.file.done', {}, workspaceId);
    const { id } = await untilDelivery((delivery) => delivery.lastError !== null);
    await database.query(
      "UPDATE core_webhook_delivery SET next_attempt_at = now(), failing_since = now() - interval '25 hours'",
    );
    const failed = await untilDelivery(({ status }) => status === 'FAILED');
    expect(failed).toMatchObject({ attempts: 2, finishedAt: expect.any(Date) });
    await database.query('UPDATE core_webhook_delivery SET next_attempt_at = now()');
    await sleep(100);
    expect(arrivals).toHaveLength(2);

    answer = (response) => response.writeHead(200).end();
    await webhooks.replay({ workspaceId, id: webhook.id }, id);
    await untilDelivery(({ status }) => status === 'DELIVERED');
    await webhooks.replayAny({ eventId });
    await until(() => arrivals.length === 4);
    expect(new Set(arrivals.map(({ headers }) => headers['webhook-id']))).toEqual(new Set([eventId]));
  });

  it('gives an answer that does not come the time limit, and no more', async () => {
    const { webhooks } = await start({ variables: { WEBHOOK_TIMEOUT_MS: '200' } });
    await subscribe(webhooks);
    answer = () => {};
    await outbox.insert('storage.file.done', {}, workspaceId);
    expect(await untilDelivery((delivery) => delivery.lastError !== null)).toMatchObject({
      status: 'PENDING',
      responseStatus: null,
      lastError: 'no answer within 200 ms',
    });
  });

  it('takes the status of an answer that never ends, and reads little of it', async () => {
    const { webhooks } = await start({ variables: { WEBHOOK_TIMEOUT_MS: '5000' } });
    await subscribe(webhooks);
    let sentBytes = 0;
    const ended = Promise.withResolvers<void>();
    answer = (response) => {
      response.writeHead(200);
      const chunk = Buffer.alloc(64 * 1024);
      const send = () => {
        while (!response.destroyed && response.write(chunk)) sentBytes += chunk.length;
      };
      response.on('drain', send).on('close', ended.resolve).on('error', ended.resolve);
      send();
    };
    const began = performance.now();
    await outbox.insert('storage.file.done', {}, workspaceId);
    await untilDelivery(({ status }) => status === 'DELIVERED');
    await ended.promise;
    expect(performance.now() - began).toBeLessThan(4_000);
    // What lies in the buffers of sockets on the way is sent and not read.
    expect(sentBytes).toBeLessThan(16 * 1024 * 1024);
  });

  it('says of a receiver that is not there no more than that', async () => {
    const { webhooks } = await start();
    const closed = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => closed.once('listening', resolve));
    const { port } = closed.address() as AddressInfo;
    await new Promise((resolve) => closed.close(resolve));
    await subscribe(webhooks, `http://127.0.0.1:${port}/hook`);
    await outbox.insert('storage.file.done', {}, workspaceId);
    const { lastError, responseStatus } = await untilDelivery((delivery) => delivery.lastError !== null);
    expect([responseStatus, lastError]).toEqual([null, 'the receiver cannot be reached, or gave no proper answer']);
  });

  it('connects to no private address, whatever the name answers later', async () => {
    const dialled: string[] = [];
    const dial: Dial = (_options, addresses, callback) => {
      dialled.push(...addresses);
      callback(new Error('this seam never dials'), null);
    };
    let addresses = ['93.184.216.34'];
    const seams = { dial, resolve: async () => addresses };
    const { webhooks } = await start({ source: {}, seams });
    for (const host of ['127.0.0.1', '169.254.169.254', '[::1]', '10.0.0.7']) {
      await webhooks.create({ workspaceId, url: `https://${host}/hook`, eventTypes: ['storage.file.failed'] });
    }
    await outbox.insert('storage.file.failed', {}, workspaceId);
    await until(async () => {
      const deliveries = await readDeliveries();
      return deliveries.length === 4 && deliveries.every(({ lastError }) => lastError !== null);
    });
    for (const { lastError } of await readDeliveries()) expect(lastError).toBe('webhook address not allowed');
    expect(dialled).toEqual([]);

    await subscribe(webhooks, 'https://hooks.example.com/hook');
    await outbox.insert('storage.file.done', {}, workspaceId);
    await until(() => dialled.length > 0);
    expect(dialled).toEqual(['93.184.216.34']);
    addresses = ['192.168.0.1'];
    await database.query('UPDATE core_webhook_delivery SET next_attempt_at = now(), last_error = NULL');
    await until(async () => (await readDeliveries()).every(({ lastError }) => lastError !== null));
    expect(dialled).toEqual(['93.184.216.34']);
    expect((await readDeliveries()).map(({ lastError }) => lastError)).toEqual(
      Array(5).fill('webhook address not allowed'),
    );
  });

  it('takes http:// only where sources may use it', async () => {
    const { webhooks } = await start({ source: { ...LOOPBACK, allowHttp: false } });
    await expect(subscribe(webhooks)).rejects.toMatchObject({
      code: 'SOURCE_URL_INVALID',
      message: 'webhook URL must use https (SOURCE_ALLOW_HTTP is false)',
    });
  });

  it('lets a slow receiver delay its own deliveries alone', async () => {
    const { webhooks } = await start();
    await subscribe(webhooks, `${receiverUrl}/slow`);
    answer = (response, { path }) => {
      if (path !== '/slow') response.writeHead(200).end();
    };
    for (let count = 0; count < 40; count += 1) await outbox.insert('storage.file.done', {}, workspaceId);
    await until(() => arrivals.length === 4); // As many as one subscription may have under way.
    workspaceId = await database.createWorkspace();
    await subscribe(webhooks, `${receiverUrl}/quick`);
    const began = performance.now();
    await outbox.insert('storage.file.done', {}, workspaceId);
    await until(() => arrivals.some(({ path }) => path === '/quick'));
    expect(performance.now() - began).toBeLessThan(3_000);
    expect(arrivals.filter(({ path }) => path === '/slow')).toHaveLength(4);
  });

  it('lets the slow receivers of a workspace delay its own deliveries alone', async () => {
    const { webhooks } = await start({ variables: { WEBHOOK_TIMEOUT_MS: '60000' } });
    answerAllBut('/slow');
    for (let count = 0; count < 20; count += 1) await subscribe(webhooks, `${receiverUrl}/slow`);
    for (let count = 0; count < 2; count += 1) await outbox.insert('storage.file.done', {}, workspaceId);
    await until(() => arrivals.length === 8); // As many as one workspace may have under way.
    workspaceId = await database.createWorkspace();
    await subscribe(webhooks, `${receiverUrl}/quick`);
    await outbox.insert('storage.file.done', {}, workspaceId);
    await until(() => arrivals.some(({ path }) => path === '/quick'));
    expect(arrivals.filter(({ path }) => path === '/slow')).toHaveLength(8);
  });

  it.each<[whose: string, workspaces: number, isOfSameWorkspace: boolean]>([
    ['a subscription of the same workspace', 1, true],
    ['another workspace', 4, false],
  ])('gives the next free place to %s, however long others have waited', async (_whose, workspaces, isOfSame) => {
    const { webhooks } = await start({ variables: { WEBHOOK_TIMEOUT_MS: '60000' } });
    const hanging = answerAllBut('/slow');
    for (let workspace = 0; workspace < workspaces; workspace += 1) {
      workspaceId = await database.createWorkspace();
      for (let count = 0; count < 2; count += 1) {
        await webhooks.create({ workspaceId, url: `${receiverUrl}/slow`, eventTypes: ['storage.file.done'] });
      }
      for (let count = 0; count < 6; count += 1) await outbox.insert('storage.file.done', {}, workspaceId);
    }
    await until(() => hanging.length === workspaces * 8);
    if (!isOfSame) workspaceId = await database.createWorkspace();
    const eventTypes = ['storage.file.failed'] as const;
    await webhooks.create({ workspaceId, url: `${receiverUrl}/quick`, eventTypes });
    const eventId = await outbox.insert('storage.file.failed', {}, workspaceId);
    await untilDelivery((delivery) => delivery.eventId === eventId);
    hanging[0]?.writeHead(200).end();
    await until(() => arrivals.length > workspaces * 8);
    expect(arrivals[workspaces * 8]?.path).toBe('/quick');
  });

  it('has no more webhooks in a workspace than events can be written down for', async () => {
    const { webhooks } = await start();
    const creating = await Promise.allSettled(Array.from({ length: 23 }, () => subscribe(webhooks)));
    const refused = creating.filter((result) => result.status === 'rejected');
    expect(refused.map(({ reason }) => (reason as { code: string }).code)).toEqual(Array(3).fill('WEBHOOK_LIMIT'));
  });
});
