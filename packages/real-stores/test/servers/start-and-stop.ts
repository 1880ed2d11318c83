// Not part of `pnpm test`: it needs root, and Debian's packages.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  ListPartsCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { installPackages } from '../../src/debian-packages.js';
import { type RealStore, startCeph, startSwift } from '../../src/index.js';

const START_TIMEOUT_MS = 300_000;
const PLACE = { Bucket: 'test-bucket', Key: 'a b/ä+c.txt' };

let folder: string;
let store: RealStore | undefined;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'real-stores-'));
});

afterEach(async () => {
  await store?.stop();
  store = undefined;
  await rm(folder, { recursive: true, force: true });
});

/** Command lines of all processes that name the folder, by argument or by where their settings are. */
async function processesOn(dir: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  const all = await Promise.all(
    pids.map(async (pid) => {
      // Ended while we looked, or a zombie, which has neither.
      const read = (name: string) => readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => '');
      return { command: await read('cmdline'), environment: await read('environ') };
    }),
  );
  const ours = all.filter(({ command, environment }) => `${command}${environment}`.includes(dir));
  return ours.map(({ command }) => command.replaceAll('\0', ' '));
}

const clientOf = ({ endpoint, region, accessKeyId, secretAccessKey }: RealStore) =>
  new S3Client({
    endpoint,
    region,
    credentials: { accessKeyId, secretAccessKey },
    forcePathStyle: true,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    maxAttempts: 1,
  });

describe.each([
  ['swift', startSwift],
  ['ceph', startCeph],
] as const)('%s', (name, start) => {
  it(
    'keeps objects and parts through kill -9 of its gateway, and leaves nothing after stop',
    async () => {
      store = await start({ parentDir: folder });
      expect(store).toMatchObject({ name, version: expect.stringMatching(/^\d+\.\d+\.\d+$/) });
      const client = clientOf(store);
      await client.send(new CreateBucketCommand({ Bucket: PLACE.Bucket }));
      await client.send(new PutObjectCommand({ ...PLACE, Body: 'hello' }));
      const { UploadId } = await client.send(new CreateMultipartUploadCommand({ ...PLACE, Key: 'parts' }));
      const upload = { Bucket: PLACE.Bucket, Key: 'parts', UploadId };
      await client.send(new UploadPartCommand({ ...upload, PartNumber: 1, Body: Buffer.alloc(5 * 1024 ** 2) }));

      await store.killGateway();
      await expect(client.send(new GetObjectCommand(PLACE))).rejects.toThrow('ECONNREFUSED');
      const endpoint = store.endpoint;
      await store.restart();
      expect(store.endpoint).toBe(endpoint);
      const { Body } = await client.send(new GetObjectCommand(PLACE));
      expect(await Body?.transformToString()).toBe('hello');
      const { Parts } = await client.send(new ListPartsCommand(upload));
      expect(Parts?.map(({ PartNumber, Size }) => [PartNumber, Size])).toEqual([[1, 5 * 1024 ** 2]]);
      client.destroy();

      expect((await processesOn(folder)).length).toBeGreaterThan(0);
      await store.stop();
      expect(await processesOn(folder)).toEqual([]);
      expect(await readdir(folder)).toEqual([]);
    },
    START_TIMEOUT_MS,
  );

  it(
    'says so when its port is taken, and leaves nothing',
    async () => {
      store = await start({ parentDir: folder });
      const port = Number(new URL(store.endpoint).port);
      const other = await mkdtemp(path.join(folder, 'other-'));
      await expect(start({ parentDir: other, port })).rejects.toThrow(`Port ${port} on 127.0.0.1 is taken.`);
      expect(await processesOn(other)).toEqual([]);
      expect(await readdir(other)).toEqual([]);
    },
    START_TIMEOUT_MS,
  );

  it(
    'ends with the process that started it, even after kill -9',
    async () => {
      const index = new URL('../../dist/index.js', import.meta.url).href;
      const call = `${name === 'swift' ? 'startSwift' : 'startCeph'}({ parentDir: ${JSON.stringify(folder)} })`;
      const script = `const m = await import('${index}'); await m.${call}; console.log('up'); setInterval(() => {}, 1e6);`;
      const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
        cwd: fileURLToPath(new URL('../..', import.meta.url)),
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await once(parent.stdout, 'data');
      expect((await processesOn(folder)).length).toBeGreaterThan(3);
      parent.kill('SIGKILL');
      await once(parent, 'exit');
      while ((await processesOn(folder)).length > 0) await delay(20);
    },
    START_TIMEOUT_MS,
  );
});

describe('installPackages', () => {
  it(
    'fails with the words of apt for a package that there is not, and lifts the ban on services',
    async () => {
      const hadPolicy = existsSync('/usr/sbin/policy-rc.d');
      await expect(installPackages(['no-such-package-at-all'])).rejects.toThrow(/no-such-package-at-all/);
      expect(existsSync('/usr/sbin/policy-rc.d')).toBe(hadPolicy);
    },
    START_TIMEOUT_MS,
  );

  it('gives the versions of what is there, without a revision', async () => {
    expect(await installPackages(['dpkg'])).toEqual([expect.stringMatching(/^\d+(\.\d+)+$/)]);
  });
});
