import { randomUUID } from 'node:crypto';
import { HeadObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type CliHome, CliProcess, makeCliHome, runCli } from './support/cli-process.js';
import { openStoreWay, type StoreWay } from './support/store-way.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { startTestStore, type TestStore } from './support/test-store.js';

let home: CliHome;
let database: TestDatabase;
let store: TestStore;
let way: StoreWay;
let client: S3Client;
let variables: Record<string, string>;
let workspaceId: string;

beforeAll(async () => {
  [home, database, store] = await Promise.all([makeCliHome(), createTestDatabase(), startTestStore()]);
  way = await openStoreWay(() => store.variables.S3_ENDPOINT);
  client = store.createClient();
  const bucketVariables = { ...store.variables, S3_ENDPOINT: way.endpoint };
  variables = { DATABASE_URL: database.url, ...bucketVariables, SOURCE_ALLOWED_ADDRESSES: '127.0.0.1/32' };
  workspaceId = await database.createWorkspace();
});

afterAll(async () => {
  client.destroy();
  way.close();
  await Promise.all([store.stop(), database.drop(), home.remove()]);
});

const run = (...args: string[]) => runCli(home, args, variables);

async function putObject(path: string, token?: string) {
  const Metadata: Record<string, string> = token === undefined ? {} : { 'transfer-token': token };
  await client.send(new PutObjectCommand({ Bucket: store.variables.S3_BUCKET, Key: path, Body: 'hello', Metadata }));
}

async function hasObject(path: string): Promise<boolean> {
  const head = new HeadObjectCommand({ Bucket: store.variables.S3_BUCKET, Key: path });
  return await client.send(head).then(
    () => true,
    () => false,
  );
}

/** A DONE row with its object; resolves to its path. */
async function storeFile(name: string): Promise<string> {
  const [id, path] = [randomUUID(), `${workspaceId}/${name}`];
  await database.query(
    `INSERT INTO core_storage_file (id, workspace_id, type, path, bucket, size, transfer_status, attempts)
     VALUES ($1, $2, 'avatar', $3, $4, 5, 'DONE', 1)`,
    [id, workspaceId, path, store.variables.S3_BUCKET],
  );
  await putObject(path, `${id}.1`);
  return path;
}

describe('pnpm storage audit', () => {
  it('prints a receipt with zeros, and ends with 1 when a rule is broken', async () => {
    const path = await storeFile('a');
    const good = await run('audit');
    expect(good).toMatchObject({ exitCode: 0, stderr: '' });
    expect(good.stdout).toMatch(/^ +1 +0 {2}a DONE row has an object of its size/m);
    expect(good.stdout).toContain('Not to be seen from outside:');

    await putObject(path, `${randomUUID()}.1`);
    const bad = await run('audit', '--hash');
    expect(bad.exitCode).toBe(1);
    expect(bad.stderr).toMatch(/^error RULES_VIOLATED: 1 violation$/m);
    expect(bad.stdout).toContain(`the object carries the token of another  ${path}`);
    const report = JSON.parse((await run('audit', '--json')).stdout) as Record<string, unknown>;
    expect(report).toMatchObject({ violations: 1, withHash: false, buckets: [store.variables.S3_BUCKET] });
    await database.query('DELETE FROM core_storage_file WHERE path = $1', [path]);
    await database.query('DELETE FROM core_storage_purge');
  });
});

describe('pnpm storage reconcile', () => {
  it('changes nothing, says what it found, and removes with --repair what a transfer left', async () => {
    const [left, foreign] = [`${workspaceId}/left`, `${workspaceId}/foreign`];
    await putObject(left, `${randomUUID()}.1`);
    await putObject(foreign);
    expect((await run('reconcile')).stdout).toMatch(/looked at \d+ keys and uploads\.$/m); // All is young.

    const dry = await run('reconcile', '--grace-hours', '0', '--json');
    expect(dry.exitCode).toBe(1);
    expect(dry.stderr).toContain('DIFFERENCES_FOUND');
    const lines = dry.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines).toContainEqual(expect.objectContaining({ kind: 'object-without-row', key: left, repaired: false }));
    expect(lines).toContainEqual(expect.objectContaining({ kind: 'foreign-object', key: foreign }));
    expect(lines.at(-1)).toMatchObject({ repaired: 0 });
    expect(await hasObject(left)).toBe(true);

    const repaired = await run('reconcile', '--grace-hours', '0', '--repair');
    expect(repaired).toMatchObject({ exitCode: 0, stderr: '' });
    expect(repaired.stdout).toContain('handed to the purge worker');
    expect([await hasObject(left), await hasObject(foreign)]).toEqual([false, true]);
  });

  it('says on Ctrl-C from where to go on', async () => {
    const paths: string[] = [];
    for (let number = 10; number < 50; number += 1) paths.push(await storeFile(`later-${number}`));
    const slow = paths[20] ?? '';
    // The first look at one object is never answered.
    const asked = new Promise<void>((resolve) => {
      way.disturb = ({ method, url = '' }) => {
        if (method !== 'GET' || !url.includes(slow)) return false;
        resolve();
        return true;
      };
    });
    await database.query("UPDATE core_storage_file SET sha256 = repeat('0', 64) WHERE path = $1", [slow]);
    const command = new CliProcess(home, ['reconcile', '--hash'], variables);
    await asked;
    command.signalGroup('SIGINT');
    expect(await command.exit()).toBe(130);
    way.reset();
    const [, after = ''] = /--after "(.*)"/.exec(command.stderr) ?? [];
    expect(after < slow).toBe(true);
    expect(after > (paths[0] ?? '')).toBe(true);
    const rest = await run('reconcile', '--hash', '--after', after);
    expect(rest.exitCode).toBe(1); // That object has other bytes.
    expect(rest.stdout).toContain('hash-mismatch');
  });

  it('refuses a time of grace that is none', async () => {
    const { exitCode, stderr } = await run('reconcile', '--grace-hours', 'soon');
    expect(exitCode).toBe(1);
    expect(stderr).toContain('--grace-hours');
  });
});
