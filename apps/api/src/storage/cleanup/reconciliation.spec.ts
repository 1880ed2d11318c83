import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { openStoreWay, type StoreWay } from '../../../test/support/store-way.js';
import { startTestStorage, type TestStorage } from '../../../test/support/test-storage.js';
import { startTestStore } from '../../../test/support/test-store.js';
import type { StorageFile } from '../storage-file.repository.js';
import { TransferStateRepository } from '../transfer/transfer-state.repository.js';
import { FindingRepair } from './finding-repair.js';
import { PurgeRepository } from './purge.repository.js';
import { type Finding, type ReconcileOptions, Reconciliation } from './reconciliation.js';

let storage: TestStorage;
let s3: S3Client;
let way: StoreWay;
let workspaceId: string;

beforeAll(async () => {
  const store = await startTestStore();
  way = await openStoreWay(() => store.variables.S3_ENDPOINT);
  storage = await startTestStorage({ S3_ENDPOINT: way.endpoint }, undefined, store);
  s3 = store.createClient();
});

afterAll(async () => {
  s3.destroy();
  await storage.stop();
  way.close();
});

beforeEach(async () => {
  workspaceId = await storage.database.createWorkspace();
});

afterEach(async () => {
  way.reset();
  await query('TRUNCATE core_workspace CASCADE');
  await query('TRUNCATE core_storage_purge, core_outbox_event');
  const { objects, uploads } = await listBucket();
  const Bucket = storage.bucket;
  for (const Key of objects) await s3.send(new DeleteObjectCommand({ Bucket, Key }));
  for (const [Key, UploadId] of uploads) await s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
});

const query = (sql: string, parameters: unknown[] = []) => storage.database.query<{ id: string }>(sql, parameters);
const newPath = () => `recordings/${workspaceId}/${randomUUID()}.mp4`;

async function listBucket(): Promise<{ objects: string[]; uploads: [string, string][] }> {
  const place = { Bucket: storage.bucket };
  const { Contents = [] } = await s3.send(new ListObjectsV2Command(place));
  const { Uploads = [] } = await s3.send(new ListMultipartUploadsCommand(place));
  return {
    objects: Contents.map(({ Key = '' }) => Key),
    uploads: Uploads.map(({ Key = '', UploadId = '' }) => [Key, UploadId]),
  };
}

async function storeFile(path = newPath()): Promise<StorageFile> {
  const body = Readable.from([Buffer.from('hello')]);
  return await storage.transfers.createFromStream({ body, workspaceId, path, type: 'avatar' });
}

async function insertFailed(path: string, uploadId: string | null = null): Promise<string> {
  const id = randomUUID();
  await storage.insertAbandoned({ id, workspaceId, path, sourceUrl: 'https://source.example/a', uploadId: '' });
  await query(
    `UPDATE core_storage_file SET transfer_status = 'FAILED', lease_token = NULL, lease_until = NULL, upload_id = $2
     WHERE id = $1`,
    [id, uploadId],
  );
  return id;
}

async function putObject(path: string, token?: string, Body = 'hello') {
  const Metadata: Record<string, string> = token === undefined ? {} : { 'transfer-token': token };
  await s3.send(new PutObjectCommand({ Bucket: storage.bucket, Key: path, Body, Metadata }));
}

const removeObject = (path: string) => s3.send(new DeleteObjectCommand({ Bucket: storage.bucket, Key: path }));

async function run(options: Partial<ReconcileOptions> = {}) {
  const findings: Finding[] = [];
  const positions: (string | null)[] = [];
  const settings = { bucket: storage.bucket, graceMs: 0, waitingMs: 60_000, ...options };
  for await (const step of storage.get(Reconciliation).run(settings)) {
    findings.push(...step.findings);
    positions.push(step.position);
  }
  return { findings, positions };
}

/** Notes what may be repaired and has it removed; resolves to the kinds that were noted. */
async function repair(): Promise<string[]> {
  const repairs = storage.get(FindingRepair);
  const noted: string[] = [];
  for (const finding of (await run()).findings) {
    if (await repairs.note(storage.bucket, finding)) noted.push(finding.kind);
  }
  await repairs.removeNow();
  return noted;
}

describe('a bucket that is as its rows say', () => {
  it('has no difference', async () => {
    await storeFile();
    await storage.transfers.deleteFile(await storeFile());
    await insertFailed(newPath());
    await storage.files.create({ workspaceId, bucket: storage.bucket, path: newPath(), type: 'avatar' });
    const [path, going] = [newPath(), newPath()];
    const uploadId = await storage.beginUpload(going);
    await storage.insertAbandoned({ workspaceId, path: going, sourceUrl: 'https://source.example/a', uploadId });
    const removed = await storeFile(path);
    await storage.transfers.deleteFile(removed, true);
    await putObject(path, `${removed.id}.1`); // Late: the purge entry of the removal tells of it.
    expect((await run({ withHash: true })).findings).toEqual([]);
    expect(await repair()).toEqual([]);
  });
});

describe('a DONE row', () => {
  it.each([
    ['row-without-object', false, ({ path }) => removeObject(path)],
    ['size-mismatch', false, ({ path, id }) => putObject(path, `${id}.1`, 'hell')],
    ['hash-mismatch', true, ({ path, id }) => putObject(path, `${id}.1`, 'hallo')],
  ] satisfies [string, boolean, (file: StorageFile) => Promise<unknown>][])(
    'is found as %s, and never changed',
    async (kind, withHash, plant) => {
      await storeFile();
      const file = await storeFile();
      await plant(file);
      const { id, path } = file;
      expect((await run({ withHash })).findings).toMatchObject([{ kind, key: path, fileId: id }]);
      if (withHash) expect((await run()).findings).toEqual([]);
      const before = [await query('SELECT * FROM core_storage_file ORDER BY id'), await listBucket()];
      expect(await repair()).toEqual([]);
      expect([await query('SELECT * FROM core_storage_file ORDER BY id'), await listBucket()]).toEqual(before);
    },
  );
});

describe('an object without a row', () => {
  it('is removed when a transfer made it, and its time of grace is over', async () => {
    const [id, path] = [randomUUID(), newPath()];
    await putObject(path, `${id}.1`);
    expect((await run({ graceMs: 3_600_000 })).findings).toEqual([]);
    expect((await run()).findings).toMatchObject([{ kind: 'object-without-row', key: path, fileId: id }]);
    expect((await listBucket()).objects).toEqual([path]);
    expect(await repair()).toEqual(['object-without-row']);
    expect((await listBucket()).objects).toEqual([]);
    expect((await run()).findings).toEqual([]);
  });

  it('is only told of when no transfer made it', async () => {
    const paths = ['somebody/elses.txt', newPath(), newPath()];
    await putObject(paths[0] ?? '');
    await putObject(paths[1] ?? '', randomUUID()); // As a stream without a row carries it.
    await putObject(paths[2] ?? '', 'recorder-7.1');
    const { findings } = await run();
    expect(findings.map(({ kind }) => kind)).toEqual(['foreign-object', 'foreign-object', 'foreign-object']);
    expect(await repair()).toEqual([]);
    expect((await listBucket()).objects.toSorted()).toEqual(paths.toSorted());
  });

  it('is only told of when its row was moved to another path', async () => {
    const { id, path } = await storeFile();
    const moved = newPath();
    await query('UPDATE core_storage_file SET path = $2 WHERE id = $1', [id, moved]);
    const { findings } = await run();
    expect(findings).toHaveLength(2);
    expect(findings).toContainEqual(expect.objectContaining({ kind: 'object-of-moved-row', key: path, fileId: id }));
    expect(findings).toContainEqual(expect.objectContaining({ kind: 'row-without-object', key: moved }));
    expect(await repair()).toEqual([]);
    expect((await listBucket()).objects).toEqual([path]);
  });

  it('is not touched when a row takes its path before the removal', async () => {
    const [id, path] = [randomUUID(), newPath()];
    await putObject(path, `${id}.1`);
    const [finding] = (await run()).findings;
    if (finding === undefined) throw new Error('nothing was found');
    await storage.files.create({ workspaceId, bucket: storage.bucket, path, type: 'avatar' });
    const repairs = storage.get(FindingRepair);
    expect(await repairs.note(storage.bucket, finding)).toBe(true);
    await repairs.removeNow();
    expect((await listBucket()).objects).toEqual([path]);
  });
});

describe('what a failed transfer left', () => {
  it('is removed: its object, and the upload that its row names', async () => {
    const [withObject, withUpload] = [newPath(), newPath()];
    await putObject(withObject, `${await insertFailed(withObject)}.1`);
    const uploadId = await storage.beginUpload(withUpload);
    await insertFailed(withUpload, uploadId);
    await storeFile();
    expect((await repair()).toSorted()).toEqual(['object-of-failed-row', 'upload-of-row']);
    expect(await listBucket()).toMatchObject({ objects: [expect.any(String)], uploads: [] });
    expect((await run()).findings).toEqual([]);
  });
});

describe('an upload', () => {
  it('is never aborted when no record names it', async () => {
    const [alone, besideDone] = [newPath(), (await storeFile()).path];
    await storage.beginUpload(alone);
    await storage.beginUpload(besideDone);
    expect((await run({ graceMs: 3_600_000 })).findings).toEqual([]);
    const { findings } = await run();
    expect(findings.map(({ kind, key }) => [kind, key]).toSorted()).toEqual(
      [alone, besideDone].map((key) => ['unknown-upload', key]).toSorted(),
    );
    expect(await repair()).toEqual([]);
    expect((await listBucket()).uploads).toHaveLength(2);
  });

  it('is never aborted while its key holds an object with our token', async () => {
    const path = newPath();
    const uploadId = await storage.beginUpload(path);
    const id = await insertFailed(path, uploadId);
    await putObject(path, `${id}.1`);
    const { findings } = await run();
    const kinds = findings.map(({ kind }) => kind);
    expect(kinds).toEqual(['object-of-failed-row', 'unknown-upload']);
    const [, upload] = findings;
    expect(upload?.what).toContain('the key has an object of a transfer');
    const aborts = () => way.seen.filter((kind) => kind === 'abort').length;
    const repairs = storage.get(FindingRepair);
    if (upload !== undefined) expect(await repairs.note(storage.bucket, upload)).toBe(false);
    await repairs.removeNow();
    expect(aborts()).toBe(0);
  });
});

describe('a stuck row', () => {
  it('is told of', async () => {
    const path = newPath();
    const { id } = await storage.files.create({ workspaceId, bucket: storage.bucket, path, type: 'avatar' });
    expect((await run()).findings).toEqual([]);
    await query("UPDATE core_storage_file SET updated_at = updated_at - interval '61 seconds' WHERE id = $1", [id]);
    expect((await run()).findings).toMatchObject([{ kind: 'stuck-row', key: path, fileId: id }]);
    expect(await repair()).toEqual([]);
  });
});

describe('a long run', () => {
  it('goes on from any key, over pages of rows and of the store', async () => {
    const names = Array.from(
      { length: 1_203 },
      (_, number) => `long/${workspaceId}/${String(number).padStart(5, '0')}`,
    );
    await query(
      `INSERT INTO core_storage_file (id, workspace_id, type, path, bucket, size, transfer_status)
       SELECT gen_random_uuid(), $1, 'avatar', name, $2, 5, 'DONE' FROM unnest($3::text[]) AS name`,
      [workspaceId, storage.bucket, names],
    );
    // Every third is there, so that the list of the store has its gaps elsewhere than that of the rows.
    const there = names.filter((_, number) => number % 3 === 0);
    for (let from = 0; from < there.length; from += 50) {
      await Promise.all(there.slice(from, from + 50).map((name) => putObject(name)));
    }
    const whole = await run();
    expect(whole.findings.map(({ kind, key }) => [kind, key])).toEqual(
      names.filter((name) => !there.includes(name)).map((name) => ['row-without-object', name]),
    );
    const middle = whole.positions[30] ?? '';
    const rest = await run({ after: middle });
    expect(rest.findings).toEqual(whole.findings.filter(({ key }) => key > middle));
    expect(rest.positions).toEqual(whole.positions.slice(31));
  });

  it('ends at once when it is interrupted', async () => {
    await storeFile();
    const stop = new AbortController();
    stop.abort(new Error('stopped by SIGINT'));
    await expect(run({ signal: stop.signal })).rejects.toThrow('stopped by SIGINT');
  });
});

describe('an entry that somebody makes for an upload', () => {
  it('is refused when the row becomes DONE at that moment, perhaps by this very upload', async () => {
    const path = newPath();
    const uploadId = await storage.beginUpload(path);
    const id = randomUUID();
    await storage.insertAbandoned({ id, workspaceId, path, sourceUrl: 'https://source.example/a', uploadId });
    const state = storage.get(TransferStateRepository);
    const claim = await state.claim(id, 3_000);
    if (claim === null) throw new Error('the row is not to be had');
    const left = { bucket: storage.bucket, path, fileId: id, uploadId };
    const [isDone] = await Promise.all([
      state.markDone(claim, { size: 5, etag: null, sha256: null, sha256Origin: null, isLengthVerified: true }),
      storage.get(PurgeRepository).note(left),
    ]);
    expect(isDone).toBe(true);
    expect(await query('SELECT id FROM core_storage_purge')).toEqual([]);
    expect(await storage.get(PurgeRepository).note(left)).toBe(false);
    expect(await query('SELECT id FROM core_storage_purge')).toEqual([]);
  });

  it('is refused while the row is at work on this upload, and made once the row FAILED or has another', async () => {
    const path = newPath();
    const id = randomUUID();
    await storage.insertAbandoned({ id, workspaceId, path, sourceUrl: 'https://source.example/a', uploadId: 'upload' });
    const note = (uploadId: string) =>
      storage.get(PurgeRepository).note({ bucket: storage.bucket, path, fileId: id, uploadId });
    expect(await note('upload')).toBe(false);
    expect(await query('SELECT id FROM core_storage_purge')).toEqual([]);
    expect(await note('another upload')).toBe(true);
    await query("UPDATE core_storage_file SET transfer_status = 'FAILED' WHERE id = $1", [id]);
    expect(await note('upload')).toBe(true);
    expect(await query('SELECT id FROM core_storage_purge')).toHaveLength(2);
  });

  it('is one, however often it is made', async () => {
    const left = { bucket: storage.bucket, path: newPath(), fileId: randomUUID(), uploadId: 'an upload' };
    for (let time = 0; time < 2; time += 1) expect(await storage.get(PurgeRepository).note(left)).toBe(true);
    expect(await query('SELECT id FROM core_storage_purge')).toHaveLength(1);
  });
});
