import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createPortProbe } from 'node:net';
import { tmpdir } from 'node:os';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { startTestStore, type TestStore } from './support/test-store.js';
import { mintToken, TEST_JWT_SECRET } from './support/test-token.js';

const MiB = 1024 * 1024;
/** `LARGE_FILE_SIZES_MIB=1024,5120` sends both. */
const SIZES_MIB = (process.env.LARGE_FILE_SIZES_MIB ?? '1024').split(',').map(Number);
/** Peak resident memory above that of the idle API. */
const MEMORY_LIMIT_MIB = 200;

let database: TestDatabase;
let store: TestStore;
let source: Server;
let api: ChildProcess;
let apiUrl: string;
let idleMiB: number;
const sentHash = new Map<string, string>();

beforeAll(async () => {
  [database, store] = await Promise.all([createTestDatabase(), startTestStore()]);
  source = createServer(sendGenerated);
  await new Promise<void>((resolve) => source.listen(0, '127.0.0.1', resolve));
  const port = await findFreePort();
  apiUrl = `http://127.0.0.1:${port}`;
  api = spawn(process.execPath, [fileURLToPath(new URL('../dist/main.js', import.meta.url))], {
    cwd: tmpdir(), // No .env there.
    env: {
      PATH: process.env.PATH,
      ...store.variables,
      DATABASE_URL: database.url,
      AUTH_JWT_SECRET: TEST_JWT_SECRET,
      API_PORT: String(port),
      LOG_LEVEL: 'warn',
      SOURCE_ALLOWED_ADDRESSES: '127.0.0.1/32',
    },
    stdio: 'inherit',
  });
  while (!(await fetch(`${apiUrl}/health/ready`).catch(() => undefined))?.ok) await sleep(50);
  idleMiB = await readMemory('VmRSS');
});

afterAll(async () => {
  const ended = new Promise((resolve) => api.once('exit', resolve));
  api.kill('SIGTERM');
  await ended;
  source.close();
  await store.stop();
  await database.drop();
});

describe('a large file, by recording.ready through the API process', () => {
  it.each(SIZES_MIB)(
    `%i MiB arrive byte for byte, within ${MEMORY_LIMIT_MIB} MiB of memory`,
    async (sizeMiB) => {
      const workspaceId = await database.createWorkspace();
      const token = await mintToken({ workspaces: [workspaceId], expiresIn: 3_600 });
      await writeFile(`/proc/${api.pid}/clear_refs`, '5'); // Sets the peak back to what is resident now (man 5 proc).

      const { port } = source.address() as AddressInfo;
      const created = await fetch(`${apiUrl}/workspaces/${workspaceId}/recordings`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ externalVideoUrl: `http://127.0.0.1:${port}/${workspaceId}?mib=${sizeMiB}` }),
      });
      expect(created.status).toBe(201);
      const row = await untilSettled(workspaceId);
      const peakMiB = await readMemory('VmHWM');

      expect(row).toMatchObject({
        transfer_status: 'DONE',
        size: String(sizeMiB * MiB),
        sha256: sentHash.get(workspaceId),
      });
      expect(await hashObject(String(row.path))).toBe(row.sha256);
      expect(peakMiB - idleMiB).toBeLessThanOrEqual(MEMORY_LIMIT_MIB);
      console.info(`${sizeMiB} MiB: idle ${idleMiB} MiB, peak ${peakMiB} MiB, ${peakMiB - idleMiB} MiB above idle`);
    },
    900_000,
  );
});

/** A body that no block of repeats, made as it is sent. */
async function sendGenerated({ url = '' }: { url?: string }, response: ServerResponse): Promise<void> {
  const { pathname, searchParams } = new URL(url, 'http://source');
  const sizeMiB = Number(searchParams.get('mib'));
  const hash = createHash('sha256');
  response.writeHead(200, { 'content-length': sizeMiB * MiB });
  const block = randomBytes(MiB);
  await pipeline(async function* () {
    for (let index = 0; index < sizeMiB; index += 1) {
      block.writeUInt32LE(index, 0);
      hash.update(block);
      yield Buffer.from(block);
    }
  }, response);
  sentHash.set(pathname.slice(1), hash.digest('hex'));
}

async function untilSettled(workspaceId: string): Promise<Record<string, unknown>> {
  for (;;) {
    const [row] = await database.query<Record<string, unknown>>(
      'SELECT path, transfer_status, transfer_error, size, sha256 FROM core_storage_file WHERE workspace_id = $1',
      [workspaceId],
    );
    if (row?.transfer_status === 'DONE' || row?.transfer_status === 'FAILED') return row;
    await sleep(200);
  }
}

async function hashObject(path: string): Promise<string> {
  const client = store.createClient();
  const { Body } = await client.send(new GetObjectCommand({ Bucket: store.variables.S3_BUCKET, Key: path }));
  const hash = createHash('sha256');
  for await (const chunk of Body as AsyncIterable<Buffer>) hash.update(chunk);
  client.destroy();
  return hash.digest('hex');
}

async function readMemory(field: 'VmHWM' | 'VmRSS'): Promise<number> {
  const status = await readFile(`/proc/${api.pid}/status`, 'utf8');
  return Math.round(Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)?.[1]) / 1024);
}

async function findFreePort(): Promise<number> {
  const probe = createPortProbe();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}
