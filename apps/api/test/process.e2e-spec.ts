import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { type ApiProcess, startApiProcess } from './support/api-process.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { startTestStore, type TestStore } from './support/test-store.js';
import { mintToken, TEST_JWT_SECRET } from './support/test-token.js';

const MiB = 1024 * 1024;

describe('the API as a process', () => {
  let database: TestDatabase;
  let store: TestStore;
  let basics: Record<string, string>;
  const running: ApiProcess[] = [];

  beforeAll(async () => {
    database = await createTestDatabase();
    store = await startTestStore();
    basics = { DATABASE_URL: database.url, AUTH_JWT_SECRET: TEST_JWT_SECRET, API_PORT: '0' };
  });
  afterEach(async () => {
    for (const api of running.splice(0)) {
      api.signal('SIGKILL');
      await api.ended();
    }
  });
  afterAll(async () => {
    await store?.stop();
    await database.drop();
  });

  async function start(options: Parameters<typeof startApiProcess>[0]): Promise<ApiProcess> {
    const api = await startApiProcess(options);
    running.push(api);
    return api;
  }

  const readJson = async (url: string) => (await (await fetch(url)).json()) as Record<string, unknown>;

  describe('and its environment', () => {
    it('turns storage on by S3_ENDPOINT in .env alone', async () => {
      const api = await start({ dotEnv: { ...basics, ...store.variables } });
      const url = await api.listening();
      expect(await readJson(`${url}/health/ready`)).toEqual({
        status: 'ready',
        database: 'up',
        storage: 'on',
        bucket: 'up',
      });
      expect(api.output.stdout).not.toContain('storage is off');
    });

    it('boots without S3_ENDPOINT, is ready, and says once that storage is off', async () => {
      const api = await start({ dotEnv: basics });
      const url = await api.listening();
      expect(await readJson(`${url}/health/ready`)).toEqual({ status: 'ready', database: 'up', storage: 'off' });
      expect(api.output.stdout.match(/storage is off/g)).toHaveLength(1);
    });

    it('lets the environment win over .env', async () => {
      const api = await start({ dotEnv: { ...basics, ...store.variables }, env: { S3_ENDPOINT: '' } });
      expect(await readJson(`${await api.listening()}/health/ready`)).toMatchObject({ storage: 'off' });
    });

    it('prints every wrong variable at once, never a value, and exits with 1', async () => {
      const api = await start({
        dotEnv: {
          DATABASE_URL: 'mysql://canary:canary@canary/canary',
          API_PORT: 'canary',
          S3_ENDPOINT: 'canary',
          S3_ACCESS_KEY_ID: 'canary',
          S3_PART_SIZE_BYTES: '1',
          LOG_LEVEL: 'canary',
        },
      });
      expect(await api.ended()).toBe(1);
      const { stdout, stderr } = api.output;
      for (const key of [
        'DATABASE_URL',
        'API_PORT',
        'S3_ENDPOINT',
        'S3_REGION',
        'S3_BUCKET',
        'S3_SECRET_ACCESS_KEY',
        'S3_PART_SIZE_BYTES',
        'LOG_LEVEL',
        'DATA_ENCRYPTION_KEY',
        'AUTH_JWT_SECRET or AUTH_JWKS_URL',
      ]) {
        expect(stderr).toMatch(new RegExp(`^ {2}${key} must`, 'm'));
      }
      expect(stdout + stderr).not.toContain('canary');
      expect(stdout + stderr).not.toContain('    at ');
    });

    it('says in one line that its port is taken', async () => {
      const occupant = createServer().listen(0, '127.0.0.1');
      await once(occupant, 'listening');
      const { port } = occupant.address() as AddressInfo;
      const api = await start({ dotEnv: { ...basics, API_PORT: String(port) } });
      expect(await api.ended()).toBe(1);
      expect(api.output.stderr).toBe(`Port ${port} on 127.0.0.1 is taken: stop what uses it, or set API_PORT.\n`);
      occupant.close();
    });
  });

  describe('and its end', () => {
    it.each(['SIGTERM', 'SIGINT'] as const)(
      'lets a running request end on %s, takes no new one, and exits',
      async (name) => {
        const api = await start({ dotEnv: basics });
        const url = new URL(await api.listening());
        const idle = await readJson(`${url.origin}/health/live`); // Its connection stays open, with nothing on it.
        expect(idle).toEqual({ status: 'live' });
        const workspaceId = await database.createWorkspace();
        const body = '{"externalVideoUrl":"https://example.com/v.mp4"}';
        const request = await open(url);
        request.write(
          `POST /workspaces/${workspaceId}/recordings HTTP/1.1\r\nHost: api\r\nContent-Type: application/json\r\n` +
            `Authorization: Bearer ${await mintToken({ workspaces: [workspaceId] })}\r\n` +
            `Content-Length: ${body.length}\r\n\r\n${body.slice(0, 5)}`,
        );
        await sleep(200); // The server has no event for "the head of the request has come".
        api.signal(name);
        await untilRefused(url);
        let answer = '';
        request.on('data', (chunk) => {
          answer += chunk;
        });
        const closed = once(request, 'close');
        request.write(body.slice(5));
        await closed;
        expect(answer).toMatch(/^HTTP\/1\.1 503 /);
        expect(answer).toContain('STORAGE_OFF');
        expect(await api.ended()).toBe(0);
      },
    );

    it('lets go of a running transfer: its row waits for the next process, and parts of a source without a version are gone', async () => {
      const source = createHttpServer((_request, response) => {
        response.writeHead(200, { 'content-length': 64 * MiB }).write(Buffer.alloc(12 * MiB)); // And nothing more.
      }).listen(0, '127.0.0.1');
      await once(source, 'listening');
      const { port } = source.address() as AddressInfo;
      const api = await start({ dotEnv: { ...basics, ...store.variables, SOURCE_ALLOWED_ADDRESSES: '127.0.0.1/32' } });
      const url = await api.listening();
      const workspaceId = await database.createWorkspace();
      await fetch(`${url}/workspaces/${workspaceId}/recordings`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${await mintToken({ workspaces: [workspaceId] })}`,
          'content-type': 'application/json',
        },
        body: JSON.stringify({ externalVideoUrl: `http://127.0.0.1:${port}/v.mp4` }),
      });
      const readRows = () =>
        database.query<Record<string, unknown>>('SELECT * FROM core_storage_file WHERE workspace_id = $1', [
          workspaceId,
        ]);
      for (const end = Date.now() + 10_000; Date.now() < end && !(await readRows())[0]?.upload_id; ) await sleep(20);
      api.signal('SIGTERM');
      expect(await api.ended()).toBe(0);
      source.closeAllConnections();
      source.close();
      expect(await readRows()).toMatchObject([
        { transfer_status: 'PENDING', retries: 0, lease_token: null, upload_id: null },
      ]);
      const client = store.createClient();
      const { Uploads = [] } = await client.send(
        new ListMultipartUploadsCommand({ Bucket: store.variables.S3_BUCKET, Prefix: `recordings/${workspaceId}/` }),
      );
      client.destroy();
      expect(Uploads).toEqual([]);
    });

    it('logs what nobody caught, without its secrets, and exits with 1', async () => {
      // The secret is put together there: the stack names this text.
      const crash = `setTimeout(() => { throw new Error('read https://s3.example.com/k?X-Amz-Signature=can' + 'ary failed') }, 2000)`;
      const api = await start({
        dotEnv: basics,
        nodeOptions: ['--import', `data:text/javascript,${encodeURIComponent(crash)}`],
      });
      await api.listening();
      expect(await api.ended()).toBe(1);
      const last = JSON.parse(api.output.stdout.trimEnd().split('\n').at(-1) ?? '') as Record<string, unknown>;
      expect(last).toMatchObject({ level: 60, err: { message: 'read https://s3.example.com/k?[redacted] failed' } });
      expect(api.output.stdout + api.output.stderr).not.toContain('canary');
    });
  });

  it('writes no secret into its log, and every line is JSON', async () => {
    const source = createHttpServer((_request, response) => response.writeHead(403).end('canary-body')).listen(
      0,
      '127.0.0.1',
    );
    await once(source, 'listening');
    const sourceUrl = `http://127.0.0.1:${(source.address() as AddressInfo).port}`;
    const api = await start({
      dotEnv: {
        ...basics,
        ...store.variables,
        S3_SECRET_ACCESS_KEY: 'canary-secret-key',
        S3_ACCESS_KEY_ID: 'canary-access-key',
        AUTH_JWT_SECRET: 'canary-jwt-secret-canary-jwt-secret',
        SOURCE_ALLOWED_ADDRESSES: '127.0.0.1/32',
        LOG_LEVEL: 'trace',
      },
    });
    const url = await api.listening();
    const workspaceId = await database.createWorkspace();
    const token = await mintToken({ workspaces: [workspaceId], secret: 'canary-jwt-secret-canary-jwt-secret' });
    const recordings = `${url}/workspaces/${workspaceId}/recordings`;
    const authorization = `Bearer ${token}`;
    await fetch(`${recordings}?token=canary-query&X-Amz-Signature=canary-signature&sig=canary-sig`, {
      headers: { authorization: 'Bearer canary-bearer-token', cookie: 'session=canary-cookie' },
    });
    await fetch(recordings, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json' },
      body: JSON.stringify({ externalVideoUrl: `${sourceUrl}/v.mp4?key=canary-source#canary-fragment` }),
    });
    await fetch(`${url}/health/ready`); // The keys are wrong: the bucket is down, and the log says why.
    await database.query('ALTER TABLE core_recording RENAME TO core_recording_away');
    const broken = await fetch(recordings, { headers: { authorization, 'x-request-id': 'trace-500' } });
    await database.query('ALTER TABLE core_recording_away RENAME TO core_recording');
    expect(broken.status).toBe(500);
    expect(await broken.json()).toEqual({
      type: 'about:blank',
      title: 'Internal Server Error',
      status: 500,
      retryable: false,
      instance: `/workspaces/${workspaceId}/recordings`,
      code: 'INTERNAL',
      requestId: 'trace-500',
    });
    const seen = () => api.output.stdout;
    for (const end = Date.now() + 10_000; Date.now() < end && !seen().includes('Transfer failed'); ) await sleep(50);
    source.close();
    api.signal('SIGTERM');
    await api.ended();

    const lines = seen()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines).toContainEqual(
      expect.objectContaining({
        msg: expect.stringMatching(/^Transfer failed: /),
        context: 'RecordingTransferListener',
        err: expect.objectContaining({ code: expect.stringMatching(/^[A-Z_]+$/), stack: expect.any(String) }),
      }),
    );
    expect(lines).toContainEqual(expect.objectContaining({ msg: 'bucket is down' }));
    expect(lines).toContainEqual(
      expect.objectContaining({
        msg: 'request failed',
        requestId: 'trace-500',
        code: 'INTERNAL',
        err: expect.anything(),
      }),
    );
    expect(lines).toContainEqual(
      expect.objectContaining({ req: expect.objectContaining({ url: expect.stringContaining('token=[redacted]') }) }),
    );
    expect(seen() + api.output.stderr).not.toContain('canary');
    expect(seen()).not.toContain(token);
    expect(seen()).not.toContain(new URL(database.url).password);
  });
});

async function open(url: URL): Promise<Socket> {
  const socket = connect(Number(url.port), url.hostname);
  await once(socket, 'connect');
  return socket;
}

/** Until new connections are refused. */
async function untilRefused(url: URL): Promise<void> {
  for (const end = Date.now() + 5_000; Date.now() < end; await sleep(20)) {
    try {
      (await open(url)).destroy();
    } catch {
      return; // That is what was waited for.
    }
  }
  throw new Error('new connections were still taken after 5 s');
}
