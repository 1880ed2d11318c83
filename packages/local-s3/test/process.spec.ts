import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { GetObjectCommand, ListBucketsCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { spawnLocalS3, startLocalS3 } from '../src/index.js';
import { connectTo, sign } from './support/raw-request.js';
import {
  ACCESS_KEY_ID,
  BUCKET,
  clientOf,
  dataFilesOf,
  SECRET_ACCESS_KEY,
  spawnOn,
  startTestServer,
  temporaryFolder,
  until,
} from './support/server.js';

const PACKAGE = fileURLToPath(new URL('..', import.meta.url));
const KEYS = { accessKeyId: ACCESS_KEY_ID, secretAccessKey: SECRET_ACCESS_KEY };
let dataDir: string;

beforeEach(async () => {
  dataDir = await temporaryFolder();
});
afterEach(() => rm(dataDir, { recursive: true, force: true }));

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false; // ESRCH: the process is gone.
  }
}

async function firstLineOf(child: ChildProcess): Promise<string> {
  const [line] = (await once(child.stdout ?? child, 'data')) as [Buffer];
  return line.toString().trim();
}

describe('a server in a process of its own', () => {
  it('survives the Ctrl-C of a terminal, and ends at close', async () => {
    const server = await spawnOn(dataDir);
    process.kill(server.pid, 'SIGINT');
    const client = clientOf(server.endpoint);
    expect((await client.send(new ListBucketsCommand({}))).$metadata.httpStatusCode).toBe(200);
    client.destroy();
    await server.close();
    expect(isAlive(server.pid)).toBe(false);
    await server.close();
    await server.kill();
  });

  it('shows no secret in its command line or environment', async () => {
    const server = await spawnOn(dataDir);
    for (const file of ['cmdline', 'environ']) {
      expect(await readFile(`/proc/${server.pid}/${file}`, 'utf8')).not.toContain(SECRET_ACCESS_KEY);
    }
    await server.kill();
    expect(isAlive(server.pid)).toBe(false);
  });

  it('ends with its parent, even when that is killed', async () => {
    const script = `
      const { spawnLocalS3 } = await import(${JSON.stringify(join(PACKAGE, 'dist/index.js'))});
      const server = await spawnLocalS3({ dataDir: ${JSON.stringify(dataDir)}, accessKeyId: 'a', secretAccessKey: 'b' });
      console.log(server.pid);`;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const pid = Number(await firstLineOf(parent));
    expect(isAlive(pid)).toBe(true);
    parent.kill('SIGKILL');
    await until(async () => !isAlive(pid));
    expect(isAlive(pid)).toBe(false);
  });

  it('says why it cannot start', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as { port: number };
    await expect(spawnLocalS3({ dataDir, port, ...KEYS })).rejects.toThrow(`Port ${port} on 127.0.0.1 is taken`);
    taken.close();

    const file = join(dataDir, 'file');
    await writeFile(file, '');
    await expect(spawnLocalS3({ dataDir: join(file, 'below'), ...KEYS })).rejects.toThrow(
      /is not writable \(ENOTDIR\)/,
    );

    const first = await spawnOn(dataDir);
    await expect(spawnOn(dataDir)).rejects.toThrow(/in use by another S3 server/);
    // The lock goes with the process that held it.
    await first.kill();
    await (await spawnOn(dataDir)).close();
  });

  it('says so in this process too, and lets go of the folder', async () => {
    const server = await startLocalS3({ dataDir, ...KEYS });
    await expect(startLocalS3({ dataDir, ...KEYS })).rejects.toThrow(/in use by another/);
    const other = await temporaryFolder();
    await expect(startLocalS3({ dataDir: other, port: server.port, ...KEYS })).rejects.toThrow(/is taken/);
    await (await startLocalS3({ dataDir: other, ...KEYS })).close();
    await rm(other, { recursive: true });
    await server.close();
    await (await startLocalS3({ dataDir, ...KEYS })).close();
  });
});

describe('the command line', () => {
  const run = (args: string[], env: NodeJS.ProcessEnv): ChildProcess =>
    spawn(process.execPath, [join(PACKAGE, 'dist/main.js'), ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });

  it('starts a server with keys from the environment and ends on SIGTERM', async () => {
    const child = run(['--data-dir', dataDir, '--port', '0'], {
      LOCAL_S3_ACCESS_KEY_ID: ACCESS_KEY_ID,
      LOCAL_S3_SECRET_ACCESS_KEY: SECRET_ACCESS_KEY,
    });
    const endpoint = /http:\S+/.exec(await firstLineOf(child))?.[0] ?? '';
    const client = clientOf(endpoint);
    expect((await client.send(new ListBucketsCommand({}))).Buckets ?? []).toEqual([]);
    client.destroy();
    child.kill('SIGTERM');
    expect((await once(child, 'exit'))[0]).toBe(0);
  });

  it('tells its usage when something is missing', async () => {
    const child = run(['--port', '0'], {});
    const [text] = (await once(child.stderr ?? child, 'data')) as [Buffer];
    expect(text.toString()).toContain('--data-dir');
    expect((await once(child, 'exit'))[0]).toBe(1);
  });
});

describe('close', () => {
  it('lets a running request end, and cuts one that does not', async () => {
    const server = await startTestServer();
    const { port } = server.s3;
    await server.client.send(
      new PutObjectCommand({ Bucket: BUCKET, Key: 'large', Body: Buffer.alloc(16 * 1024 ** 2, 'x') }),
    );
    const reading = await server.client.send(new GetObjectCommand({ Bucket: BUCKET, Key: 'large' }));
    const headers = { 'content-length': '1000' };
    const { head } = sign(port, {
      method: 'PUT',
      path: `/${BUCKET}/stalled`,
      payloadHash: 'UNSIGNED-PAYLOAD',
      headers,
    });
    const stalled = await connectTo(port);
    stalled.on('error', () => {}); // The cut is what this is about.
    stalled.write(head);
    await until(async () => (await dataFilesOf(server.dataDir)).length === 2);
    const closing = server.s3.close();
    expect((await reading.Body?.transformToByteArray())?.length).toBe(16 * 1024 ** 2);
    await closing;
    expect(await dataFilesOf(server.dataDir)).toHaveLength(1);
    stalled.destroy();
    server.client.destroy();
    await rm(server.dataDir, { recursive: true });
  });
});
