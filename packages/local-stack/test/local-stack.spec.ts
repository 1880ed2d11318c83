import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Client } from 'pg';
import { type LocalStack, type LocalStackS3, startLocalStack } from '../src/index.js';
import { processesWith } from './running-processes.js';
import { holdStack, type StackHolder } from './stack-holder.js';

describe('startLocalStack', () => {
  let base: string;
  let dataDir: string;
  let stack: LocalStack;

  const start = () => startLocalStack({ dataDir, durable: false });
  const postgresStarted = () => query('SELECT pg_postmaster_start_time() AS started');

  async function query(sql: string): Promise<Record<string, unknown>[]> {
    const client = new Client({ connectionString: stack.postgres?.url });
    await client.connect();
    try {
      return (await client.query(sql)).rows;
    } finally {
      await client.end();
    }
  }

  async function withS3<T>(work: (client: S3Client) => Promise<T>): Promise<T> {
    const { endpoint, region, accessKeyId, secretAccessKey } = s3Of(stack);
    const credentials = { accessKeyId, secretAccessKey };
    const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
    try {
      return await work(client);
    } finally {
      client.destroy();
    }
  }

  const readKeptObject = () =>
    withS3(async (client) => {
      const { Body } = await client.send(new GetObjectCommand({ Bucket: 'kept', Key: 'greeting' }));
      return Body?.transformToString();
    });

  beforeAll(async () => {
    base = await mkdtemp(path.join(tmpdir(), 'local-stack-'));
    await chmod(base, 0o755);
    dataDir = path.join(base, '.data');
    stack = await start();
    await query('CREATE TABLE kept AS SELECT 1 AS id');
    await withS3(async (client) => {
      await client.send(new CreateBucketCommand({ Bucket: 'kept' }));
      await client.send(new PutObjectCommand({ Bucket: 'kept', Key: 'greeting', Body: 'hello' }));
    });
  });

  afterAll(async () => {
    await stack.stop();
    await rm(base, { recursive: true, force: true });
  });

  it('has everything on 127.0.0.1', async () => {
    const urls = [stack.postgres?.url, stack.s3?.endpoint, stack.sample?.url];
    expect(urls.map((url) => new URL(url ?? '').hostname)).toEqual(['127.0.0.1', '127.0.0.1', '127.0.0.1']);
    expect((await fetch(stack.sample?.url ?? '', { method: 'HEAD' })).status).toBe(200);
  });

  it('keeps the S3 keys to the owner, and S3 refuses others', async () => {
    const file = path.join(dataDir, 's3-keys.json');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const { accessKeyId, secretAccessKey, endpoint } = s3Of(stack);
    expect(JSON.parse(await readFile(file, 'utf8'))).toEqual({ accessKeyId, secretAccessKey });
    expect([accessKeyId.length, secretAccessKey.length]).toEqual([20, 40]);
    expect((await fetch(`${endpoint}/kept/greeting`)).status).toBe(403);
  });

  it('lets no second run work on the same data', async () => {
    await expect(start()).rejects.toThrow(`is in use by another run (process ${process.pid})`);
    await expect(startLocalStack({ dataDir, withPostgres: false, withSample: false })).rejects.toThrow(
      `${dataDir} is in use by another run (process ${process.pid})`,
    );
    expect(await readKeptObject()).toBe('hello');
  });

  it('stops all of it, leaves no process, and starts again with the same data, keys and addresses', async () => {
    const before = stack;
    await Promise.all([stack.stop(), stack.stop()]);
    expect(await processesWith(dataDir)).toEqual([]);
    expect(() => process.kill(s3Of(before).pid, 0)).toThrow('ESRCH');
    await expect(fetch(before.sample?.url ?? '')).rejects.toThrow('fetch failed');

    stack = await start();
    const addresses = ({ postgres, s3 }: LocalStack) => [
      postgres?.url,
      s3?.endpoint,
      s3?.accessKeyId,
      s3?.secretAccessKey,
    ];
    expect(addresses(stack)).toEqual(addresses(before));
    expect(await query('SELECT id FROM kept')).toEqual([{ id: 1 }]);
    expect(await readKeptObject()).toBe('hello');
  });

  it('starts only what is asked for', async () => {
    const only = await startLocalStack({ dataDir: path.join(base, 'none'), withPostgres: false, withS3: false });
    expect([only.postgres, only.s3]).toEqual([undefined, undefined]);
    expect(only.sample?.sizeBytes).toBeGreaterThan(24 * 1024 * 1024);
    await only.stop();
    await expect(stat(path.join(base, 'none'))).rejects.toThrow('ENOENT');
  });

  it('ends what it has started when a later part fails', async () => {
    await stack.stop();
    const file = path.join(dataDir, 's3-keys.json');
    const keys = await readFile(file, 'utf8');
    await writeFile(file, '{"accessKeyId": "half');
    await expect(start()).rejects.toThrow(`${file} holds no access keys: remove it, and new ones are made`);
    expect(await processesWith(dataDir)).toEqual([]);
    await writeFile(file, keys);
    stack = await start();
    expect(await readKeptObject()).toBe('hello');
  });

  describe('held by another process', () => {
    let holder: StackHolder;

    beforeAll(async () => {
      await stack.stop();
      holder = await holdStack({ dataDir, durable: false });
    });

    afterAll(() => holder.kill());

    // The addresses are those of the runs before.
    it('does not hear the Ctrl-C of the terminal', async () => {
      const before = await postgresStarted();
      await holder.interrupt();
      expect(await postgresStarted()).toEqual(before);
      expect(await readKeptObject()).toBe('hello');
    });

    it('is taken over, without loss, after kill -9 of that process', async () => {
      const before = await postgresStarted();
      await holder.kill();
      stack = await start();
      expect(await postgresStarted()).not.toEqual(before);
      expect(await query('SELECT id FROM kept')).toEqual([{ id: 1 }]);
      expect(await readKeptObject()).toBe('hello');
    });
  });
});

function s3Of(stack: LocalStack): LocalStackS3 {
  if (!stack.s3) throw new Error('no S3');
  return stack.s3;
}
