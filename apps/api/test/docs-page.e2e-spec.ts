import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { launchChromium, type TestBrowser } from './support/launch-chromium.js';
import { listOperations } from './support/open-api.js';
import { createTestApp, type TestApp } from './support/test-app.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { startTestStore, type TestStore } from './support/test-store.js';

describe('/docs in Chromium', () => {
  let database: TestDatabase;
  let store: TestStore;
  let api: TestApp;
  let chromium: TestBrowser;

  beforeAll(async () => {
    database = await createTestDatabase();
    store = await startTestStore();
    api = await createTestApp({ env: { DATABASE_URL: database.url, ...store.variables } });
    chromium = await launchChromium();
  });
  afterAll(async () => {
    await chromium?.close();
    await api?.close();
    await store?.stop();
    await database.drop();
  });

  it('shows every operation, within its own security policy, with nothing from other hosts', async () => {
    const page = await chromium.browser.newPage();
    const complaints: string[] = [];
    const foreign: string[] = [];
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('request', (request) => {
      if (!request.url().startsWith(`${api.url}/`) && !request.url().startsWith('data:')) foreign.push(request.url());
    });
    await page.goto(`${api.url}/docs`);
    const operations = await listOperations(api);
    await page.waitForFunction(`document.querySelectorAll('.opblock').length === ${operations.length}`, undefined, {
      timeout: 15_000,
    });
    expect(await page.title()).toBe('S3 transfer API');
    expect(foreign).toEqual([]);
    expect(complaints).toEqual([]);
    await page.close();
  });
});
