import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { GetBucketCorsCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ReadyReport } from '../src/cli/start-report.js';
import { type CliHome, CliProcess, makeCliHome, PROGRESS_ALONE, runCli, stillRunning } from './support/cli-process.js';
import { createTestDatabase } from './support/test-database.js';
import { startTestStore } from './support/test-store.js';

interface Ready extends ReadyReport {
  readonly file: { id: string; path: string; size: string; sha256: string };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function startProduct(home: CliHome, variables: Record<string, string> = {}) {
  const port = await freePort();
  const product = new CliProcess(home, ['start'], { API_PORT: String(port), ...variables });
  const ready = await product.until(async () => {
    const report = await readReady(home);
    // A killed run leaves its own report, until the next one removes it.
    return report?.apiUrl.endsWith(`:${port}`) ? report : undefined;
  });
  return { product, ready, port };
}

async function readReady(home: CliHome): Promise<Ready | undefined> {
  const text = await readFile(join(home.dataDir, 'ready.json'), 'utf8').catch(() => undefined); // not yet
  return text === undefined ? undefined : (JSON.parse(text) as Ready);
}

async function statusOf(url: string, headers: Record<string, string> = {}): Promise<number> {
  const response = await fetch(url, { headers });
  await response.arrayBuffer();
  return response.status;
}

describe('pnpm start on embedded servers', () => {
  let home: CliHome;
  let first: Ready;

  beforeAll(async () => {
    home = await makeCliHome();
  });

  afterAll(() => home.remove());

  it('brings the sample from recording.ready to a URL that plays it, and stops on Ctrl-C', async () => {
    const { product, ready, port } = await startProduct(home, { WEB_PORT: '4100' });
    first = ready;
    const processes = await product.tree();
    expect(processes.length).toBeGreaterThanOrEqual(3); // itself, PostgreSQL and the store

    expect(ready).toMatchObject({ apiUrl: `http://127.0.0.1:${port}`, webUrl: null });
    expect((await stat(join(home.dataDir, 'ready.json'))).mode & 0o077).toBe(0);
    expect(await statusOf(`${ready.apiUrl}/health/ready`)).toBe(200);
    expect(await statusOf(ready.docsUrl)).toBe(200);

    const video = await fetch(ready.videoUrl ?? '');
    const bytes = Buffer.from(await video.arrayBuffer());
    expect(bytes.length).toBe(Number(ready.file.size));
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(ready.file.sha256);
    expect(await statusOf(ready.videoUrl ?? '', { range: 'bytes=0-1023' })).toBe(206);
    expect(await statusOf(`${ready.videoUrl}x`)).toBe(403);
    for (const url of [ready.videoUrl ?? '', `${ready.apiUrl}/health/live`]) {
      const { headers } = await fetch(url, { method: 'GET', headers: { origin: 'http://localhost:4100' } });
      expect(headers.get('access-control-allow-origin')).toBe('http://localhost:4100');
    }

    const fileUrl = `${ready.apiUrl}/workspaces/${ready.workspaceId}/files/${ready.file.id}`;
    expect(await statusOf(fileUrl, { authorization: `Bearer ${ready.token}` })).toBe(200);
    expect(await statusOf(fileUrl)).toBe(401);
    expect(product.stdout).toContain(`\n${ready.videoUrl}\n`);

    product.signalGroup('SIGINT');
    expect(await product.exit()).toBe(0);
    expect(product.stderr).toBe('');
    expect(await stillRunning(processes)).toEqual([]);
    expect(await readReady(home)).toBeUndefined();
  });

  it('takes the sample of the first run again, lets other commands join, and refuses to start twice', async () => {
    const { product, ready } = await startProduct(home);
    expect(ready).toMatchObject({
      workspaceId: first.workspaceId,
      recordingId: first.recordingId,
      file: { id: first.file.id, sha256: first.file.sha256 },
    });
    expect(await statusOf(ready.videoUrl ?? '', { range: 'bytes=0-1023' })).toBe(206);

    const second = await runCli(home, ['start'], { API_PORT: String(await freePort()) });
    expect(second).toMatchObject({ exitCode: 1, stdout: '' });
    expect(second.stderr).toMatch(/^error ALREADY_RUNNING: the product runs already: http:\/\/127\.0\.0\.1:\d+, .*\n$/);
    expect(await readReady(home)).toEqual(ready);

    const transfer = await runCli(home, ['transfer']);
    expect(transfer).toMatchObject({ exitCode: 0, stderr: expect.stringMatching(PROGRESS_ALONE) });
    expect(transfer.stdout).toMatch(/^status +DONE$/m);
    expect(transfer.stdout).toMatch(
      new RegExp(`^path +imports/${ready.workspaceId}/[0-9a-f-]{36}/sample-recording.mp4$`, 'm'),
    );
    const url = transfer.stdout.trim().split('\n').at(-1) ?? '';
    expect(new URL(url).host).toBe(new URL(ready.videoUrl ?? '').host);
    expect(await statusOf(url, { range: 'bytes=0-0' })).toBe(206);

    expect(await runCli(home, ['cors', 'verify', '--env', 'dev'])).toMatchObject({ exitCode: 0 });

    product.signalGroup('SIGTERM');
    expect(await product.exit()).toBe(0);
  });

  it('starts again after kill -9', async () => {
    const { product } = await startProduct(home);
    const processes = await product.tree();
    product.signalGroup('SIGKILL');
    await product.exit();

    const again = await startProduct(home);
    expect(again.ready.recordingId).toBe(first.recordingId);
    again.product.signalGroup('SIGINT');
    expect(await again.product.exit()).toBe(0);
    expect(await stillRunning(processes)).toEqual([]);
  });

  it('stops what it has started when Ctrl-C comes before it is ready', async () => {
    const product = new CliProcess(home, ['start'], { API_PORT: String(await freePort()) });
    const processes = await product.until(async () =>
      product.stdout.includes('PostgreSQL') ? product.tree() : undefined,
    );
    expect(processes.length).toBeGreaterThanOrEqual(3);
    product.signalGroup('SIGINT');
    expect(await product.exit()).toBe(130);
    expect(product.stderr).toBe('');
    expect(await stillRunning(processes)).toEqual([]);
    expect(await readReady(home)).toBeUndefined();
  });

  it('says in one line that the port is taken, and starts nothing', async () => {
    const occupant = createServer().listen(0, '127.0.0.1');
    await once(occupant, 'listening');
    const { port } = occupant.address() as AddressInfo;
    const { exitCode, stdout, stderr } = await runCli(home, ['start'], { API_PORT: String(port) });
    occupant.close();
    expect(exitCode).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toMatch(new RegExp(`^error PORT_TAKEN: port ${port} on 127\\.0\\.0\\.1 is taken: .*API_PORT=.*\n$`));
  });
});

describe("pnpm start on the user's own servers", () => {
  it('takes them from .env, changes nothing about the bucket, and says what would mend its CORS rules', async () => {
    const [home, database, store] = await Promise.all([makeCliHome(), createTestDatabase(), startTestStore()]);
    const variables = { DATABASE_URL: database.url, ...store.variables };
    const lines = Object.entries(variables).map(([key, value]) => `${key}=${value}`);
    await writeFile(join(home.folder, '.env'), ['AUTH_JWT_SECRET=', ...lines].join('\n'));
    const { product, ready } = await startProduct(home);
    expect(product.stdout).toContain('nothing was changed; mend it with: pnpm storage cors apply --env dev');

    const client = store.createClient();
    const Bucket = store.variables.S3_BUCKET;
    await expect(client.send(new GetBucketCorsCommand({ Bucket }))).rejects.toThrow('CORS');
    const { Contents: objects } = await client.send(new ListObjectsV2Command({ Bucket }));
    expect(objects?.map(({ Key }) => Key)).toEqual([`recordings/${ready.workspaceId}/${ready.recordingId}.mp4`]);
    expect(await database.query('SELECT id FROM core_workspace')).toEqual([{ id: ready.workspaceId }]);

    product.signalGroup('SIGINT');
    expect(await product.exit()).toBe(0);
    client.destroy();
    await Promise.all([store.stop(), database.drop(), home.remove()]);
  });

  it('names the command that makes a missing bucket, and stops what it has started', async () => {
    const [home, store] = await Promise.all([makeCliHome(), startTestStore()]);
    const { exitCode, stderr } = await runCli(home, ['start'], {
      ...store.variables,
      S3_BUCKET: 'not-there',
      API_PORT: String(await freePort()),
    });
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(
      /^error BUCKET_NOT_READY: .*aws s3api create-bucket --bucket not-there --endpoint-url http.*\n$/,
    );
    await Promise.all([store.stop(), home.remove()]);
  });
});
