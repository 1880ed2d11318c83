import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import {
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { openStoreWay, type StoreWay } from '../../../test/support/store-way.js';
import { startTestStorage, type TestStorage } from '../../../test/support/test-storage.js';
import { startTestStore } from '../../../test/support/test-store.js';
import type { FileKey } from '../storage-file.repository.js';
import { PurgeWorker } from './purge-worker.js';
import { RetentionSweep } from './retention-sweep.js';

const PART_SIZE_BYTES = 5 * 1024 * 1024;
const CONTENT = randomBytes(2 * PART_SIZE_BYTES + 7);
const DAY_SECONDS = 86_400;

interface DeletedEvent {
  workspace_id: string;
  subject_id: string;
  payload: { hard: boolean };
}

let storage: TestStorage;
let other: TestStorage;
let s3: S3Client;
let workspaceId: string;
let way: StoreWay;
let source: Server;
/** Of CONTENT, sent before the source falls silent; absent: all of it. */
let silentAfter: number | undefined;

beforeAll(async () => {
  source = createServer((_request, response) => {
    response.writeHead(200, { 'content-length': CONTENT.length });
    if (silentAfter === undefined) response.end(CONTENT);
    else response.write(CONTENT.subarray(0, silentAfter));
  });
  await once(source.listen(0, '127.0.0.1'), 'listening');
  const store = await startTestStore();
  way = await openStoreWay(() => store.variables.S3_ENDPOINT);
  const variables = { S3_ENDPOINT: way.endpoint, SOURCE_STALL_TIMEOUT_MS: '60000' };
  storage = await startTestStorage(variables, undefined, store);
  const shared = { ...storage.database, drop: async () => {} };
  other = await startTestStorage(variables, shared, { ...store, stop: async () => {} });
  s3 = store.createClient();
});

afterAll(async () => {
  s3.destroy();
  await other.stop();
  await storage.stop();
  way.close();
  source.closeAllConnections();
  source.close();
});

beforeEach(async () => {
  silentAfter = undefined;
  workspaceId = await storage.database.createWorkspace();
});

afterEach(async () => {
  way.reset();
  await storage.database.query('DELETE FROM core_storage_file');
  await storage.database.query('DELETE FROM core_storage_purge');
});

const newPath = () => `recordings/${workspaceId}/${randomUUID()}.mp4`;
const runDue = () => storage.get(PurgeWorker).runDue();

function start(path: string) {
  const sourceUrl = `http://127.0.0.1:${(source.address() as AddressInfo).port}/video.mp4`;
  return storage.transfers.createAndTransfer({ sourceUrl, workspaceId, path, type: 'recording-video' });
}

async function entries() {
  return await storage.database.query<{ path: string; file_id: string; upload_id: string | null }>(
    'SELECT path, file_id, upload_id FROM core_storage_purge ORDER BY path',
  );
}

async function deletedEvents(fileId: string) {
  return await storage.database.query<DeletedEvent>(
    `SELECT workspace_id, subject_id, payload FROM core_outbox_event
     WHERE subject_id = $1 AND type = 'storage.file.deleted' ORDER BY created_at`,
    [fileId],
  );
}

/** As if `seconds` went by for every entry. */
async function letPass(seconds: number) {
  await storage.database.query(
    `UPDATE core_storage_purge SET next_attempt_at = next_attempt_at - $1 * interval '1 second',
       created_at = created_at - $1 * interval '1 second'`,
    [seconds],
  );
}

async function putObject(path: string, token: string) {
  const Metadata = { 'transfer-token': token };
  await s3.send(new PutObjectCommand({ Bucket: storage.bucket, Key: path, Body: 'late', Metadata }));
}

async function hasObject(path: string): Promise<boolean> {
  try {
    await s3.send(new HeadObjectCommand({ Bucket: storage.bucket, Key: path }));
    return true;
  } catch (error) {
    if (error instanceof Error && error.name === 'NotFound') return false;
    throw error;
  }
}

/** What the store has of this test. */
async function listBucket() {
  const place = { Bucket: storage.bucket, Prefix: `recordings/${workspaceId}/` };
  const { Contents = [] } = await s3.send(new ListObjectsV2Command(place));
  const { Uploads = [] } = await s3.send(new ListMultipartUploadsCommand(place));
  return { objects: Contents.map(({ Key }) => Key), uploads: Uploads.map(({ Key }) => Key) };
}

describe('a row that is removed', () => {
  it.each([
    ['by Prisma', ({ id }) => storage.files.hardDelete({ workspaceId, id })],
    ['by raw SQL', ({ id }) => storage.database.query('DELETE FROM core_storage_file WHERE id = $1', [id])],
    ['with its workspace', () => storage.database.query('DELETE FROM core_workspace WHERE id = $1', [workspaceId])],
    ['by TRUNCATE', () => storage.database.query('TRUNCATE core_workspace CASCADE')],
  ] satisfies [string, (file: { id: string }) => Promise<unknown>][])(
    '%s is told of, and its object and uploads are removed',
    async (_how, remove) => {
      const { id, path, bucket, type } = await start(newPath());
      await storage.beginUpload(path, `${id}.1`);
      await remove({ id });
      expect(await entries()).toEqual([{ path, file_id: id, upload_id: null }]);
      expect(await deletedEvents(id)).toEqual([
        {
          workspace_id: workspaceId,
          subject_id: id,
          payload: { fileId: id, workspaceId, type, path, bucket, hard: true },
        },
      ]);
      await runDue();
      expect(await listBucket()).toEqual({ objects: [], uploads: [] });
    },
  );

  it('leaves no entry when nobody ever worked on it, and a single one for each upload', async () => {
    const pending = { workspaceId, bucket: storage.bucket, path: newPath(), type: 'avatar' };
    const { id: pendingId } = await storage.files.create(pending);
    const [id, path] = [randomUUID(), newPath()];
    const uploadId = await storage.beginUpload(path, `${id}.1`);
    await storage.insertAbandoned({ id, workspaceId, path, sourceUrl: 'https://source.example/a', uploadId });
    const insert = 'INSERT INTO core_storage_purge (bucket, path, file_id, upload_id) VALUES ($1, $2, $3, $4)';
    await storage.database.query(insert, [storage.bucket, path, id, uploadId]);
    await storage.database.query(insert, [storage.bucket, path, id, 'an earlier one']);
    await storage.database.query('DELETE FROM core_workspace WHERE id = $1', [workspaceId]);
    const named = (await entries()).map(({ file_id, upload_id }) => [file_id, upload_id]);
    expect(named).toHaveLength(2);
    expect(named).toEqual(
      expect.arrayContaining([
        [id, uploadId],
        [id, 'an earlier one'],
      ]),
    );
    expect(await deletedEvents(pendingId)).toHaveLength(1);
    await runDue();
    expect((await listBucket()).uploads).toEqual([]);
  });

  it('has its object removed again when a late request brings it back', async () => {
    const file = await start(newPath());
    await storage.transfers.deleteFile(file, true);
    expect(await hasObject(file.path)).toBe(false);
    await runDue();
    await putObject(file.path, `${file.id}.1`);
    await letPass(130); // Lease and time of a request.
    await runDue();
    expect(await hasObject(file.path)).toBe(false);
    await letPass(130);
    await runDue();
    expect(await entries()).toEqual([]);
  });

  it('is waited for longer when its upload may be put together late', async () => {
    const [id, path] = [randomUUID(), newPath()];
    const uploadId = await storage.beginUpload(path, `${id}.1`);
    await storage.insertAbandoned({ id, workspaceId, path, sourceUrl: 'https://source.example/a', uploadId });
    await storage.database.query('DELETE FROM core_storage_file WHERE id = $1', [id]);
    for (let seconds = 0; seconds < 600; seconds += 130) {
      await runDue();
      expect(await entries()).toHaveLength(1);
      await letPass(130);
    }
    await putObject(path, `${id}.1`);
    await runDue();
    expect(await hasObject(path)).toBe(false);
    await letPass(130);
    await runDue();
    expect(await entries()).toEqual([]);
  });

  it('gives its path to a new file at once, whose object and uploads are never touched', async () => {
    const before = await start(newPath());
    await storage.transfers.deleteFile(before, true);
    const after = await start(before.path);
    expect(after).toMatchObject({ transferStatus: 'DONE', path: before.path });
    for (let time = 0; time < 3; time += 1) {
      await runDue();
      await letPass(800);
    }
    expect(await hasObject(after.path)).toBe(true);
    expect(await entries()).toEqual([]);

    await storage.transfers.deleteFile(after, true);
    const waiting = await storage.files.create({
      workspaceId,
      bucket: storage.bucket,
      path: after.path,
      type: 'avatar',
    });
    await storage.beginUpload(after.path, `${waiting.id}.1`);
    await putObject(after.path, `${waiting.id}.1`);
    await runDue();
    expect(await listBucket()).toEqual({ objects: [after.path], uploads: [after.path] });
    expect(await entries()).toMatchObject([{ file_id: after.id }]);
  });
});

describe('a workspace that is deleted with running transfers', () => {
  it('ends them without a trace in the bucket', async () => {
    silentAfter = PART_SIZE_BYTES + 1;
    const paths = [newPath(), newPath()];
    const partsSent = new Promise<void>((resolve) => {
      let parts = 0;
      way.swallow = () => {
        parts = way.seen.filter((kind) => kind === 'part').length;
        if (parts >= 2) resolve();
        return false;
      };
    });
    const transfers = paths.map((path) => start(path));
    const ends = Promise.allSettled(transfers);
    await partsSent;
    await storage.database.query('DELETE FROM core_workspace WHERE id = $1', [workspaceId]);
    expect((await entries()).map(({ path, upload_id }) => [path, upload_id])).toEqual(
      paths.toSorted().map((path) => [path, expect.any(String)]),
    );
    way.seen.length = 0;
    for (const end of await ends) expect(end).toMatchObject({ reason: { code: 'FILE_DELETED' } });
    expect(way.seen.filter((kind) => kind !== 'part')).toEqual([]); // The owner that lost its row touches nothing.
    await runDue();
    expect(await listBucket()).toEqual({ objects: [], uploads: [] });
    await letPass(800);
    await runDue();
    expect(await entries()).toEqual([]);
  });

  it('leaves no upload that began while the row vanished', async () => {
    const path = newPath();
    // Create is answered after the row is gone: its id never reached the row.
    way.disturb = ({ method, url = '' }, response) => {
      if (method !== 'POST' || !url.includes('uploads')) return false;
      way.disturb = () => false;
      const remove = 'DELETE FROM core_workspace WHERE id = $1';
      void storage.database.query(remove, [workspaceId]).then(async () => {
        const uploadId = await storage.beginUpload(path);
        response.end(
          `<?xml version="1.0"?><InitiateMultipartUploadResult><UploadId>${uploadId}</UploadId></InitiateMultipartUploadResult>`,
        );
      });
      return true;
    };
    await expect(start(path)).rejects.toMatchObject({ code: 'FILE_DELETED' });
    expect((await listBucket()).uploads).toEqual([path]);
    await runDue();
    expect((await listBucket()).uploads).toEqual([]);
  });
});

describe('a deletion for good', () => {
  const remove = (id: string) =>
    storage.files.findById({ workspaceId, id }).then((file) => file && storage.transfers.deleteFile(file, true));
  const putForeign = (path: string) =>
    s3.send(new PutObjectCommand({ Bucket: storage.bucket, Key: path, Body: 'theirs' }));
  const idAt = async (path: string) => {
    const sql = 'SELECT id FROM core_storage_file WHERE path = $1';
    return (await storage.database.query<{ id: string }>(sql, [path]))[0]?.id ?? '';
  };

  it('of a file that found the object of somebody else at its path leaves that alone', async () => {
    const path = newPath();
    await putForeign(path);
    await expect(start(path)).rejects.toMatchObject({ code: 'OBJECT_EXISTS' });
    await remove(await idAt(path));
    await runDue();
    expect(await idAt(path)).toBe('');
    expect(await hasObject(path)).toBe(true);
  });

  it('of a file that was never transferred leaves the object of somebody else alone', async () => {
    const path = newPath();
    await putForeign(path);
    const { id } = await storage.files.create({ workspaceId, type: 'recording-video', path, bucket: storage.bucket });
    await remove(id);
    expect(await idAt(path)).toBe('');
    expect(await hasObject(path)).toBe(true);
  });

  it('of a FAILED file takes what a try of it left', async () => {
    const path = newPath();
    const { id } = await start(path);
    await storage.database.query("UPDATE core_storage_file SET transfer_status = 'FAILED' WHERE id = $1", [id]);
    await remove(id);
    expect(await idAt(path)).toBe('');
    expect(await hasObject(path)).toBe(false);
  });

  it.each([
    ['compares with another ETag than it shows', 412],
    ['knows no If-Match', 501],
  ])('of a FAILED file takes what a try of it left also where the store %s', async (_what, status) => {
    const path = newPath();
    const { id } = await start(path);
    await storage.database.query("UPDATE core_storage_file SET transfer_status = 'FAILED' WHERE id = $1", [id]);
    way.disturb = ({ method, headers }, response) => {
      if (method !== 'DELETE' || headers['if-match'] === undefined) return false;
      response.writeHead(status).end();
      return true;
    };
    await remove(id);
    expect(await hasObject(path)).toBe(false);
  });

  it('of a DONE file takes its object, which may carry no token, also when the first try breaks off', async () => {
    const path = newPath();
    const { id } = await start(path);
    await putForeign(path); // As whoever copies a bucket without its metadata.
    way.disturb = ({ method }, response) => {
      if (method !== 'DELETE') return false;
      response.writeHead(403, { 'content-type': 'application/xml' }).end('<Error><Code>AccessDenied</Code></Error>');
      return true;
    };
    await expect(remove(id)).rejects.toMatchObject({ code: 'STORE_ACCESS_DENIED' });
    way.reset();
    await storage.get(RetentionSweep).run(new AbortController().signal);
    expect(await idAt(path)).toBe('');
    expect(await hasObject(path)).toBe(false);
  });
});

describe('a soft deletion', () => {
  it('is told of once, however often it is asked for, and again after a restore', async () => {
    const file = await start(newPath());
    const key = { workspaceId, id: file.id };
    await Promise.all([storage.files.softDelete(key), storage.files.softDelete(key)]);
    await storage.transfers.deleteFile(file);
    const { id: fileId, type, path, bucket } = file;
    const payload = { fileId, workspaceId, type, path, bucket, hard: false };
    expect(await deletedEvents(fileId)).toEqual([{ workspace_id: workspaceId, subject_id: fileId, payload }]);
    expect(await storage.files.restore(key)).toMatchObject({ deletedAt: null, transferStatus: 'DONE' });
    await storage.files.softDelete(key);
    expect(await deletedEvents(fileId)).toHaveLength(2);
    await storage.files.softDelete({ ...key, workspaceId: randomUUID() });
    expect(await deletedEvents(fileId)).toHaveLength(2);
  });

  it('cannot be taken back once the file is gone for good, as its own workspace alone is told', async () => {
    const file = await start(newPath());
    const key = { workspaceId, id: file.id };
    await storage.transfers.deleteFile(file, true);
    await expect(storage.files.restore(key)).rejects.toMatchObject({ code: 'FILE_PURGED' });
    expect(await storage.files.restore({ ...key, workspaceId: randomUUID() })).toBeNull();
    expect(await storage.files.restore({ ...key, id: randomUUID() })).toBeNull();
  });

  it('is known to be impossible for a year, however early its event is removed', async () => {
    const removed = [await start(newPath()), await start(newPath())];
    for (const file of removed) await storage.transfers.deleteFile(file, true);
    const [recent, old] = removed.map(({ id }) => ({ workspaceId, id }));
    await storage.database.query('DELETE FROM core_outbox_event');
    const age = "UPDATE core_storage_tombstone SET removed_at = now() - interval '365 days' WHERE file_id = $1";
    await storage.database.query(age, [old?.id]);
    await storage.get(RetentionSweep).run(new AbortController().signal);
    await expect(storage.files.restore(recent as FileKey)).rejects.toMatchObject({ code: 'FILE_PURGED' });
    expect(await storage.files.restore(old as FileKey)).toBeNull();
  });
});

it('what a workspace had of a day is forgotten after a month', async () => {
  await storage.database.query(
    `INSERT INTO core_storage_usage (workspace_id, day, files)
     SELECT $1, (now() AT TIME ZONE 'UTC')::date - age, 1 FROM unnest(ARRAY[0, 30, 31, 400]) AS age`,
    [workspaceId],
  );
  await storage.get(RetentionSweep).run(new AbortController().signal);
  const left = await storage.database.query<{ age: number }>(
    "SELECT (now() AT TIME ZONE 'UTC')::date - day AS age FROM core_storage_usage WHERE workspace_id = $1 ORDER BY 1",
    [workspaceId],
  );
  expect(left).toEqual([{ age: 0 }, { age: 30 }]);
});

describe('the time in which a deleted file can be restored', () => {
  const run = (process = storage) => process.get(RetentionSweep).run(new AbortController().signal);

  async function storeDeleted(days: number) {
    const file = await storage.transfers.createFromStream({
      body: Readable.from([Buffer.from('hello')]),
      workspaceId,
      path: newPath(),
      type: 'avatar',
    });
    await storage.transfers.deleteFile(file);
    await storage.database.query(
      "UPDATE core_storage_file SET deleted_at = deleted_at - $2 * interval '1 second' WHERE id = $1",
      [file.id, days * DAY_SECONDS],
    );
    return file;
  }

  async function idsLeft() {
    const rows = await storage.database.query<{ id: string }>('SELECT id FROM core_storage_file');
    return rows.map(({ id }) => id).toSorted();
  }

  it('ends after DELETED_RETENTION_DAYS: object and row are gone, the longest deleted first', async () => {
    const young = await storeDeleted(29.9);
    const [old, oldest] = [await storeDeleted(31), await storeDeleted(400)];
    const removed: string[] = [];
    way.disturb = ({ method, url = '' }) => {
      if (method === 'DELETE') removed.push(decodeURIComponent(new URL(url, 'http://store').pathname.slice(1)));
      return false;
    };
    expect(await run()).toBe(2);
    expect(removed.map((place) => place.slice(storage.bucket.length + 1))).toEqual([oldest.path, old.path]);
    expect(await idsLeft()).toEqual([young.id]);
    expect(await listBucket()).toEqual({ objects: [young.path], uploads: [] });
    expect(await deletedEvents(old.id)).toMatchObject([{ payload: { hard: false } }, { payload: { hard: true } }]);
    expect(await storage.files.restore({ workspaceId, id: young.id })).toMatchObject({ transferStatus: 'DONE' });
  });

  it('never ends when it is 0 days, and a removal that broke off is ended all the same', async () => {
    const { id } = await storeDeleted(4_000);
    const broken = await storeDeleted(0);
    way.disturb = ({ method }, response) => {
      if (method === 'DELETE') response.writeHead(403).end();
      return method === 'DELETE';
    };
    await expect(storage.transfers.deleteFile(broken, true)).rejects.toMatchObject({ code: 'STORE_ACCESS_DENIED' });
    way.disturb = () => false;
    const shared = { ...storage.database, drop: async () => {} };
    const forever = await startTestStorage({ S3_ENDPOINT: way.endpoint, DELETED_RETENTION_DAYS: '0' }, shared, {
      ...storage.store,
      stop: async () => {},
    });
    expect(await run(forever)).toBe(1);
    await forever.stop();
    expect(await idsLeft()).toEqual([id]);
    expect(await hasObject(broken.path)).toBe(false);
  });

  it('ends once for each file when two processes look', async () => {
    const files = [];
    for (let number = 0; number < 6; number += 1) files.push(await storeDeleted(31 + number));
    const [here, there] = await Promise.all([run(), run(other)]);
    expect(here + there).toBe(6);
    expect(way.seen.filter((kind) => kind === 'delete')).toHaveLength(6);
    expect(await idsLeft()).toEqual([]);
  });

  it('passes by an object that the store keeps, and comes back to it', async () => {
    const [kept, old] = [await storeDeleted(60), await storeDeleted(31)];
    way.disturb = ({ method, url = '' }, response) => {
      if (method !== 'DELETE' || !url.includes(kept.path)) return false;
      response.writeHead(204).end(); // As a store under a legal hold answers that only adds a marker.
      return true;
    };
    expect(await run()).toBe(1);
    expect(await idsLeft()).toEqual([kept.id]);
    expect(await hasObject(old.path)).toBe(false);
    await expect(storage.transfers.deleteFile(kept, true)).rejects.toMatchObject({ code: 'FILE_BUSY' });
    way.disturb = () => false;
    expect(await run()).toBe(1);
    expect(await idsLeft()).toEqual([]);
  });
});
