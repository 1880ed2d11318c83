import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Client } from 'pg';
import { type LocalPostgres, startPostgres } from '../src/index.js';
import { processesWith } from './running-processes.js';

const isRoot = process.getuid?.() === 0;

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

describe('startPostgres', () => {
  let base: string;
  let dataDir: string;
  let postgres: LocalPostgres;
  const start = (options: { port?: number } = {}) => startPostgres({ dataDir, durable: false, ...options });

  beforeAll(async () => {
    base = await mkdtemp(path.join(tmpdir(), 'local-stack-'));
    await chmod(base, 0o755);
    dataDir = path.join(base, 'postgres');
    postgres = await start();
    await query(postgres.url, 'CREATE TABLE kept (id int); INSERT INTO kept VALUES (1)');
  });

  afterAll(async () => {
    await postgres.stop();
    await rm(base, { recursive: true, force: true });
  });

  it('runs PostgreSQL 18 in UTF-8 and UTC, on 127.0.0.1 alone', async () => {
    const [row] = await query(
      postgres.url,
      `SELECT current_setting('server_version_num')::int / 10000 AS version, current_setting('listen_addresses') AS host,
              current_setting('unix_socket_directories') AS socket, current_setting('TimeZone') AS zone,
              pg_encoding_to_char(encoding) AS encoding, datlocprovider = 'b' AS builtin, datlocale AS locale
         FROM pg_database WHERE datname = current_database()`,
    );
    expect(row).toEqual({
      version: 18,
      host: '127.0.0.1',
      socket: '',
      zone: 'UTC',
      encoding: 'UTF8',
      builtin: true,
      locale: 'C.UTF-8',
    });
  });

  it('gives the server its own folder alone and keeps the password to the owner', async () => {
    const self = process.getuid?.();
    const root = await stat(dataDir);
    const cluster = await stat(path.join(dataDir, 'cluster'));
    const password = await stat(path.join(dataDir, 'password'));
    expect([root.uid, password.uid]).toEqual([self, self]);
    expect(cluster.uid === self).toBe(!isRoot);
    expect([root.mode & 0o777, cluster.mode & 0o777, password.mode & 0o777]).toEqual([0o711, 0o700, 0o600]);
    expect(await readdir(dataDir)).not.toContain('initdb-password');
  });

  it('asks for the password', async () => {
    const wrong = new URL(postgres.url);
    wrong.password = 'wrong';
    await expect(query(wrong.href, 'SELECT 1')).rejects.toMatchObject({ code: '28P01' });
  });

  it('makes databases, also as a copy of a template', async () => {
    const template = await postgres.createDatabase('a "template"');
    await query(template, 'CREATE TABLE copied AS SELECT 7 AS n');
    const copy = await postgres.createDatabase('copy', 'a "template"');
    expect(await query(copy, 'SELECT current_database() AS name, n FROM copied')).toEqual([{ name: 'copy', n: 7 }]);
    await expect(postgres.createDatabase('copy')).rejects.toMatchObject({ code: '42P04' });
  });

  it('lets no second run work on the same folder', async () => {
    await expect(start()).rejects.toThrow(
      `${dataDir} is in use by another run (process ${process.pid}): stop it first, or give another data folder`,
    );
    expect(await query(postgres.url, 'SELECT id FROM kept')).toEqual([{ id: 1 }]);
  });

  it('keeps rows, password and port over a stop, of which nothing is left', async () => {
    const { url } = postgres;
    await postgres.stop();
    await postgres.stop();
    expect(await processesWith(dataDir)).toEqual([]);
    await expect(query(url, 'SELECT 1')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    postgres = await start();
    expect(postgres.url).toBe(url);
    expect(await query(url, 'SELECT id FROM kept')).toEqual([{ id: 1 }]);
  });

  it('stops although a connection is open', async () => {
    const client = new Client({ connectionString: postgres.url });
    await client.connect();
    const complaints: string[] = [];
    client.on('error', (error) => complaints.push(error.message));
    const ended = new Promise((resolve) => client.once('end', resolve));
    await postgres.stop();
    await ended;
    expect(complaints).toContain('terminating connection due to administrator command');
    postgres = await start();
    expect(await query(postgres.url, 'SELECT id FROM kept')).toEqual([{ id: 1 }]);
  });

  it('comes back after kill -9 of all its processes', async () => {
    await postgres.kill();
    expect(await processesWith(dataDir)).toEqual([]);
    await postgres.restart();
    expect(await query(postgres.url, 'SELECT id FROM kept')).toEqual([{ id: 1 }]);
  });

  it('is not started again once it has let go of its folder', async () => {
    await Promise.all([postgres.stop(), postgres.stop()]);
    await expect(postgres.restart()).rejects.toThrow('call startPostgres again');
    postgres = await start();
  });

  it('takes the wished port, and another one when that is taken', async () => {
    const blocker = createServer().listen(0, '127.0.0.1');
    await once(blocker, 'listening');
    const address = blocker.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    await postgres.stop();
    postgres = await start({ port });
    expect(new URL(postgres.url).port).not.toBe(String(port));
    blocker.close();
    await once(blocker, 'close');
    await postgres.stop();
    postgres = await start({ port });
    expect(new URL(postgres.url).port).toBe(String(port));
  });

  it('starts over a postmaster.pid whose number belongs to another program', async () => {
    await postgres.stop();
    const bystander = spawn('sleep', ['60']);
    await writeFile(
      path.join(dataDir, 'cluster', 'postmaster.pid'),
      `${bystander.pid}\n${dataDir}/cluster\n0\n0\n\n\n`,
    );
    postgres = await start();
    expect(await query(postgres.url, 'SELECT id FROM kept')).toEqual([{ id: 1 }]);
    expect(bystander.exitCode ?? bystander.signalCode).toBeNull();
    bystander.kill();
    await once(bystander, 'exit');
  });

  it('shows the end of the log when the server does not start, and lets go of the folder', async () => {
    await postgres.stop();
    const settings = path.join(dataDir, 'cluster', 'postgresql.auto.conf');
    const before = await readFile(settings, 'utf8');
    await writeFile(settings, `${before}shared_buffers = 'plenty'\n`);
    await expect(start()).rejects.toThrow(/invalid value for parameter "shared_buffers": "plenty"/);
    await writeFile(settings, before);
    postgres = await start();
    expect(await query(postgres.url, 'SELECT id FROM kept')).toEqual([{ id: 1 }]);
  });

  it('says what to do when the password file is gone', async () => {
    await postgres.stop();
    const file = path.join(dataDir, 'password');
    const password = await readFile(file, 'utf8');
    await rm(file);
    await expect(start()).rejects.toThrow(`${file} is missing: put it back, or remove ${dataDir}`);
    await writeFile(file, password, { mode: 0o600 });
    postgres = await start();
  });
});

describe('startPostgres below a folder that only its owner may enter', () => {
  let base: string;

  beforeAll(async () => {
    base = await mkdtemp(path.join(tmpdir(), 'local-stack-'));
  });

  afterAll(() => rm(base, { recursive: true }));

  it('refuses in one line when root starts it, and writes nothing; a normal user may', async () => {
    const started = startPostgres({ dataDir: path.join(base, 'data', 'postgres'), durable: false });
    if (isRoot) {
      await expect(started).rejects.toThrow(`the folder ${base} is closed to the user "postgres"`);
      expect(await readdir(base)).toEqual([]);
    } else {
      const postgres = await started;
      expect(await query(postgres.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
      await postgres.stop();
    }
  });
});

describe('startPostgres on an unfinished folder', () => {
  it('begins again where initdb was cut off', async () => {
    const base = await mkdtemp(path.join(tmpdir(), 'local-stack-'));
    await mkdir(path.join(base, 'cluster.new'));
    await writeFile(path.join(base, 'cluster.new', 'PG_VERSION'), '18\n');
    await writeFile(path.join(base, 'initdb-password'), 'old');
    const postgres = await startPostgres({ dataDir: base, durable: false });
    expect(await query(postgres.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await postgres.stop();
    await rm(base, { recursive: true });
  });
});
