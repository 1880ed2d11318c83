// What the guide promises the frontend, seen by a real Chromium: presigned URLs play, obey CORS, end, and never run.
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { PutBucketCorsCommand } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type SampleSource, startSampleSource } from '@s3-transfer/local-stack';
import type { Page } from 'playwright-core';
import { readCorsRules, withWebPort } from '../src/cli/cors-rules.js';
import type { StorageFile } from '../src/storage/storage-file.repository.js';
import { launchChromium, type TestBrowser } from './support/launch-chromium.js';
import { startTestStorage, type TestStorage } from './support/test-storage.js';

/** Files that would run in the origin of the bucket, were they shown. */
const SCRIPTS: Record<string, string> = {
  'text/html': '<!doctype html><title>shown</title><script>document.title = "run"</script>',
  'image/svg+xml': '<svg xmlns="http://www.w3.org/2000/svg"><script>document.title = "run"</script></svg>',
};
/** MediaError.MEDIA_ERR_SRC_NOT_SUPPORTED: what a video element says of an answer that is no video. */
const NOT_SUPPORTED = 4;

let storage: TestStorage;
let sample: SampleSource;
/** A web server whose origin the bucket's rules name, and one that they do not. */
let web: Server;
let otherWeb: Server;
let chromium: TestBrowser;
let page: Page;
let workspaceId: string;
let video: StorageFile;

const portOf = (server: Server) => (server.address() as AddressInfo).port;

/** Serves the files of browser-page, and scripts as sources of transfers. */
async function startWeb(): Promise<Server> {
  const server = createServer((request, response) => {
    const type = decodeURIComponent(request.url?.replace('/source?', '') ?? '');
    if (type in SCRIPTS) return response.setHeader('content-type', type).end(SCRIPTS[type]);
    const [name, contentType] =
      request.url === '/page.js' ? ['page.js', 'text/javascript'] : ['index.html', 'text/html'];
    readFile(new URL(`browser-page/${name}`, import.meta.url)).then(
      (content) => response.setHeader('content-type', contentType).end(content),
      (error: Error) => response.destroy(error),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

async function transfer(sourceUrl: string, mimeType: string): Promise<StorageFile> {
  const path = `files/${workspaceId}/${randomUUID()}/a file.bin`;
  return await storage.transfers.createAndTransfer({ sourceUrl, workspaceId, path, type: 'test-file', mimeType });
}

/** Calls one of the functions of browser-page/page.js. */
async function call<Result>(name: string, ...args: unknown[]): Promise<Result> {
  return await page.evaluate<Result>(`${name}(${args.map((argument) => JSON.stringify(argument)).join(', ')})`);
}

const openAllowedOrigin = () => page.goto(`http://localhost:${portOf(web)}/`);
const openOtherOrigin = () => page.goto(`http://localhost:${portOf(otherWeb)}/`);

beforeAll(async () => {
  // One after the other, so that what has begun can be ended when the next one fails.
  chromium = await launchChromium();
  storage = await startTestStorage();
  sample = await startSampleSource();
  web = await startWeb();
  otherWeb = await startWeb();
  const rules = withWebPort(await readCorsRules('dev'), portOf(web));
  const client = storage.store.createClient();
  await client.send(new PutBucketCorsCommand({ Bucket: storage.bucket, CORSConfiguration: { CORSRules: rules } }));
  client.destroy();
  workspaceId = await storage.database.createWorkspace();
  video = await transfer(sample.url, 'video/mp4');
});

afterAll(async () => {
  await chromium?.close();
  for (const server of [web, otherWeb]) {
    server?.closeAllConnections();
    server?.close();
  }
  await Promise.all([sample?.close(), storage?.stop()]);
});

beforeEach(async () => {
  page = await chromium.browser.newPage();
});

afterEach(async () => {
  await page?.close();
});

describe('a presigned URL of a video', () => {
  it('plays, and seeks by ranges', async () => {
    const answers: { status: number; range: string | undefined }[] = [];
    page.on('response', (response) => {
      if (!response.url().startsWith(storage.store.variables.S3_ENDPOINT)) return;
      answers.push({ status: response.status(), range: response.headers()['content-range'] });
    });
    await openAllowedOrigin();
    expect(await call('load', await storage.transfers.getSignedUrl(video))).toEqual({
      duration: expect.closeTo(12, 0),
      videoWidth: 640,
      videoHeight: 360,
    });

    await call('playPast', 0.5);
    const early = await call<{ colours: number; sum: number }>('look');
    expect(early.colours).toBeGreaterThan(100);

    await call('seekTo', 11);
    const late = await call<{ colours: number; sum: number }>('look');
    expect(late.colours).toBeGreaterThan(100);
    expect(late.sum).not.toBe(early.sum);
    expect(await call('playToEnd')).toBeCloseTo(12, 0);

    expect(answers.length).toBeGreaterThan(0);
    for (const answer of answers) {
      expect(answer).toEqual({ status: 206, range: expect.stringMatching(`^bytes \\d+-\\d+/${sample.sizeBytes}$`) });
    }
  });

  it('gives an allowed origin every byte and the exposed headers, and no other header', async () => {
    await openAllowedOrigin();
    expect(await call('read', await storage.transfers.getSignedUrl(video))).toEqual({
      status: 200,
      sha256: sample.sha256,
      headers: {
        'content-length': String(sample.sizeBytes),
        'content-type': 'video/mp4',
        etag: expect.stringMatching(/^".+"$/),
        // Browsers show it without being told to (Fetch standard, "CORS-safelisted response-header name").
        'last-modified': expect.any(String),
      },
    });
  });

  it('gives another origin nothing', async () => {
    const url = await storage.transfers.getSignedUrl(video);
    await openOtherOrigin();
    const complaint = page.waitForEvent('console', (message) => message.text().includes('blocked by CORS policy'));
    await expect(call('read', url)).rejects.toThrow('Failed to fetch');
    expect((await complaint).text()).toContain(`from origin 'http://localhost:${portOf(otherWeb)}'`);
    expect(await call('load', url)).toEqual({ error: NOT_SUPPORTED });
  });

  it('does not open once a byte of it was changed', async () => {
    const url = (await storage.transfers.getSignedUrl(video)).replace('X-Amz-Expires=3600', 'X-Amz-Expires=3601');
    await openAllowedOrigin();
    expect(await call('load', url)).toEqual({ error: NOT_SUPPORTED });
    const answer = await page.goto(url);
    expect(answer?.status()).toBe(403);
    expect(await answer?.text()).toContain('<Code>SignatureDoesNotMatch</Code>');
  });

  it('does not open once it has expired', async () => {
    const { url, expiresAt } = await storage.transfers.presign(video, { expiresIn: 1 });
    await openAllowedOrigin();
    // One second more than its life: S3 counts whole seconds.
    await sleep(expiresAt.getTime() + 1_000 - Date.now());
    expect(await call('load', url)).toEqual({ error: NOT_SUPPORTED });
    const answer = await page.goto(url);
    expect(answer?.status()).toBe(403);
    expect(await answer?.text()).toContain('Request has expired');
  });
});

describe('a presigned URL of a file that can run scripts', () => {
  it.each(Object.keys(SCRIPTS))('is downloaded and not shown: %s', async (type) => {
    const source = `http://127.0.0.1:${portOf(web)}/source?${encodeURIComponent(type)}`;
    const url = await storage.transfers.getSignedUrl(await transfer(source, type));
    await openAllowedOrigin();
    const [download] = await Promise.all([page.waitForEvent('download'), call('follow', url)]);
    expect(download.suggestedFilename()).toBe('a file.bin');
    expect(await readFile(await download.path(), 'utf8')).toBe(SCRIPTS[type]);
    expect(page.url()).toBe(`http://localhost:${portOf(web)}/`);
    expect(await page.title()).toBe('A page that shows files');
  });
});
