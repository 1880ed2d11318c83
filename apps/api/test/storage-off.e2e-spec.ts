import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createTestApp, type TestApp } from './support/test-app.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { mintToken } from './support/test-token.js';

describe('the API without S3_ENDPOINT', () => {
  let database: TestDatabase;
  let api: TestApp;
  let workspaceId: string;
  let token: string;

  beforeAll(async () => {
    database = await createTestDatabase();
    workspaceId = await database.createWorkspace();
    token = await mintToken({ workspaces: [workspaceId] });
    api = await createTestApp({ env: { DATABASE_URL: database.url } });
  });
  afterAll(async () => {
    await api?.close();
    await database.drop();
  });

  it('is live and ready, and says that storage is off', async () => {
    expect(await (await api.request('/health/live')).json()).toEqual({ status: 'live' });
    let ready = await api.request('/health/ready');
    // The first connection to the database may take longer than a probe waits.
    for (const end = Date.now() + 20_000; ready.status !== 200 && Date.now() < end; ) {
      ready = await api.request('/health/ready');
    }
    expect(ready.status).toBe(200);
    expect(await ready.json()).toEqual({ status: 'ready', database: 'up', storage: 'off' });
  });

  it.each([
    ['GET', '/files'],
    ['GET', '/files/5b0e2c3a-3f0b-4a51-9f2b-2f6f0c9d7a10/url?expiresIn=5'],
    ['DELETE', '/files/5b0e2c3a-3f0b-4a51-9f2b-2f6f0c9d7a10'],
    ['GET', '/recordings'],
    ['POST', '/recordings'],
    ['POST', '/webhooks'],
  ])('answers 503 STORAGE_OFF to %s %s', async (method, path) => {
    const answer = await api.request(`/workspaces/${workspaceId}${path}`, { method, token });
    expect(answer.status).toBe(503);
    expect(answer.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
    expect(answer.headers.get('retry-after')).toBeNull();
    expect(await answer.json()).toMatchObject({ status: 503, code: 'STORAGE_OFF', retryable: false });
  });

  it('still asks for a token, and hides other workspaces', async () => {
    expect((await api.request(`/workspaces/${workspaceId}/files`)).status).toBe(401);
    const other = await mintToken({ workspaces: ['5b0e2c3a-3f0b-4a51-9f2b-2f6f0c9d7a10'] });
    expect((await api.request(`/workspaces/${workspaceId}/files`, { token: other })).status).toBe(404);
  });
});
