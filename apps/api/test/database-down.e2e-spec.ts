import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { CuttableRoad } from './support/cuttable-road.js';
import { createTestApp, type TestApp } from './support/test-app.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { startTestStore, type TestStore } from './support/test-store.js';
import { mintToken } from './support/test-token.js';

describe('while PostgreSQL or the bucket cannot be reached', () => {
  let database: TestDatabase;
  let store: TestStore;
  let road: CuttableRoad;
  let api: TestApp;
  let path: string;
  let token: string;

  beforeAll(async () => {
    database = await createTestDatabase();
    store = await startTestStore();
    const workspaceId = await database.createWorkspace();
    path = `/workspaces/${workspaceId}`;
    token = await mintToken({ workspaces: [workspaceId] });
    const cuttable = await CuttableRoad.to(database.url);
    road = cuttable.road;
    api = await createTestApp({ env: { DATABASE_URL: cuttable.url, ...store.variables } });
  });
  afterAll(async () => {
    await api?.close();
    road?.close();
    await store?.stop();
    await database.drop();
  });

  const readiness = async () => {
    const answer = await api.request('/health/ready');
    return { httpStatus: answer.status, ...((await answer.json()) as object) };
  };

  it('says 503 to every call that needs the database, and recovers by itself', async () => {
    expect(await readiness()).toEqual({
      httpStatus: 200,
      status: 'ready',
      database: 'up',
      storage: 'on',
      bucket: 'up',
    });
    road.set('cut');
    for (const [suffix, body] of [
      ['/files', undefined],
      ['/recordings', undefined],
      ['/recordings', { externalVideoUrl: 'https://example.com/v.mp4' }],
      ['/files/5b0e2c3a-3f0b-4a51-9f2b-2f6f0c9d7a10/url', undefined],
    ] as const) {
      const answer = await api.request(`${path}${suffix}`, { token, body });
      const text = await answer.text();
      expect([suffix, answer.status, answer.headers.get('retry-after')]).toEqual([suffix, 503, '5']);
      expect(JSON.parse(text)).toMatchObject({ code: 'DATABASE_UNAVAILABLE', retryable: true });
      expect(text).not.toMatch(/127\.0\.0\.1|postgres/i);
    }
    expect(await readiness()).toMatchObject({ httpStatus: 503, status: 'unavailable', database: 'down', bucket: 'up' });
    expect((await api.request('/health/live')).status).toBe(200);
    road.set('open');
    expect((await api.request(`${path}/files`, { token })).status).toBe(200);
    expect(await readiness()).toMatchObject({ httpStatus: 200, database: 'up' });
  });

  it('waits no longer than two seconds for a database that does not answer', async () => {
    road.set('silent');
    const started = performance.now();
    expect(await readiness()).toMatchObject({ httpStatus: 503, database: 'down' });
    expect(performance.now() - started).toBeGreaterThan(1_900);
    expect(performance.now() - started).toBeLessThan(5_000);
    road.set('open');
    // The pool learns of its dead connections one by one.
    for (const end = Date.now() + 10_000; Date.now() < end && (await readiness()).httpStatus !== 200; ) await sleep(50);
    expect(await readiness()).toMatchObject({ httpStatus: 200 });
  });

  it('names the bucket when that is what is away', async () => {
    await store.kill();
    expect(await readiness()).toEqual({
      httpStatus: 503,
      status: 'unavailable',
      database: 'up',
      storage: 'on',
      bucket: 'down',
    });
    await store.restart();
    expect(await readiness()).toMatchObject({ httpStatus: 200, bucket: 'up' });
  });
});
