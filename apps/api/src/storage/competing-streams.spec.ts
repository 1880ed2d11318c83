import { createHash, randomUUID } from 'node:crypto';
import { PassThrough, Readable } from 'node:stream';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Client } from 'pg';
import { startTestStorage, type TestStorage } from '../../test/support/test-storage.js';
import type { StorageFile } from './storage-file.repository.js';

/** Two processes on one database and one bucket. */
let storage: TestStorage;
let other: TestStorage;
let workspaceId: string;
let path: string;

beforeAll(async () => {
  storage = await startTestStorage({ TRANSFER_CONCURRENCY: '1' });
  const shared = { ...storage.database, drop: async () => {} };
  other = await startTestStorage({}, shared, { ...storage.store, stop: async () => {} });
  workspaceId = await storage.database.createWorkspace();
});

afterAll(async () => {
  await other.stop();
  await storage.stop();
});

beforeEach(() => {
  path = `avatars/${workspaceId}/${randomUUID()}.bin`;
});

const sha256Of = (content: string | Uint8Array) => createHash('sha256').update(content).digest('hex');

/** A stream under way to `path`. */
function create(content: string, { transfers }: TestStorage = storage, signal?: AbortSignal) {
  const body = Readable.from([content]);
  const request = { body, workspaceId, path, type: 'avatar' };
  const file = transfers.createFromStream(request, signal !== undefined ? { signal } : {});
  file.catch(() => {}); // It is looked at later.
  return { content, body, file };
}

type Created = ReturnType<typeof create>;

async function failAtPath(): Promise<void> {
  const body = Readable.from([]).destroy();
  await expect(storage.transfers.createFromStream({ body, workspaceId, path, type: 'avatar' })).rejects.toMatchObject({
    code: 'SOURCE_TRUNCATED',
  });
}

/** Somebody removes what the file at `path` left, until `until`. */
async function setLease(until: string): Promise<void> {
  await storage.database.query(`UPDATE core_storage_file SET lease_until = ${until} WHERE path = $1`, [path]);
}

async function fileAt(ofPath: string, isWanted: (file: StorageFile) => boolean): Promise<StorageFile> {
  for (;;) {
    const file = await storage.files.findByPath({ workspaceId, bucket: storage.bucket, path: ofPath });
    if (file !== null && isWanted(file)) return file;
  }
}

/** Holds the row at `path` until `count` others wait for it, changes it by `columns`, and lets go. */
async function letWait(count: number, start: () => void, columns = 'path = path'): Promise<void> {
  const holder = new Client({ connectionString: storage.database.url });
  await holder.connect();
  try {
    await holder.query('BEGIN');
    await holder.query('SELECT FROM core_storage_file WHERE path = $1 FOR UPDATE', [path]);
    start();
    for (let waiting = 0; waiting < count; ) {
      // Without this the transaction sees the first look again.
      await holder.query('SELECT pg_stat_clear_snapshot()');
      const { rows } = await holder.query(
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
      );
      waiting = rows.length;
    }
    await holder.query(`UPDATE core_storage_file SET ${columns} WHERE path = $1`, [path]);
    await holder.query('COMMIT');
  } finally {
    await holder.end();
  }
}

/** Takes the only slot of `storage`; what it gives frees it. */
async function holdSlot(): Promise<() => Promise<unknown>> {
  const body = new PassThrough();
  body.write('takes the only slot');
  const slotPath = `${path}.slot`;
  const holder = storage.transfers.createFromStream({ body, workspaceId, path: slotPath, type: 'avatar' });
  await fileAt(slotPath, ({ transferStatus }) => transferStatus === 'TRANSFERRING');
  return () => {
    body.end();
    return holder;
  };
}

async function expectRefused({ body, file }: Created): Promise<void> {
  await expect(file).rejects.toMatchObject({ code: 'PATH_TAKEN' });
  expect(body.destroyed).toBe(true);
}

async function expectStored({ content, file }: Created): Promise<void> {
  expect(await file).toMatchObject({ transferStatus: 'DONE', sha256: sha256Of(content) });
  const client = storage.store.createClient();
  const { Body } = await client.send(new GetObjectCommand({ Bucket: storage.bucket, Key: path }));
  expect(await Body?.transformToString()).toBe(content);
  client.destroy();
}

/** One of them is stored, and every other one refused. */
async function expectOneStored(streams: readonly Created[]): Promise<void> {
  const outcomes = await Promise.allSettled(streams.map(({ file }) => file));
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  for (const [index, stream] of streams.entries()) {
    await (outcomes[index]?.status === 'fulfilled' ? expectStored(stream) : expectRefused(stream));
  }
}

describe('streams at once to a path whose file FAILED', () => {
  it.each([
    ['one process', () => [storage, storage]],
    ['two processes', () => [storage, other]],
  ])('are of %s: one is stored, and the other refused', async (_where, processes) => {
    await failAtPath();
    const streams: Created[] = [];
    await letWait(2, () => {
      for (const [index, process] of processes().entries()) streams.push(create(`stream ${index}`, process));
    });
    await expectOneStored(streams);
  });

  it('are many: one is stored, and every other one refused', async () => {
    await failAtPath();
    await expectOneStored(Array.from({ length: 8 }, (_, index) => create(`${index}`, index % 2 ? storage : other)));
  });
});

describe('a stream to a path whose file FAILED', () => {
  it.each([
    ['is under way', "transfer_status = 'TRANSFERRING', attempts = 2, lease_until = now() + interval '1 hour'"],
    ['is DONE', "transfer_status = 'DONE', attempts = 2, size = 1, sha256 = 'of other bytes'"],
    ['waits', "transfer_status = 'PENDING'"],
    ['is deleted', 'deleted_at = now()'],
  ])('is refused where that file %s by the time it is taken', async (_what, columns) => {
    await failAtPath();
    const streams: Created[] = [];
    await letWait(1, () => streams.push(create('late')), columns);
    for (const stream of streams) await expectRefused(stream);
    expect(streams).toHaveLength(1);
  });

  it('is refused where the object of the failed try turns up', async () => {
    const first = create('first');
    await first.file;
    const failed = `transfer_status = 'FAILED', completing = true, upload_attempt = attempts`;
    await storage.database.query(`UPDATE core_storage_file SET ${failed} WHERE path = $1`, [path]);
    await expectRefused(create('second'));
    await expectStored({ ...first, file: fileAt(path, () => true) });
  });

  it.each([
    ['refused', undefined],
    ['refused, and its own cancellation that of no other,', AbortSignal.abort()],
  ])('is %s where the stream before, cancelled elsewhere, runs here all the same', async (_what, signal) => {
    const letGo = await holdSlot();
    const first = create('first');
    const file = await fileAt(path, () => true);
    expect(await other.transfers.cancelTransfer(file)).toMatchObject({ transferStatus: 'FAILED' });
    const second = create('second', storage, signal);
    await fileAt(path, ({ transferStatus }) => transferStatus === 'PENDING');
    await letGo();
    await expectOneStored([first, second]);
  });

  it('waits on for its slot when somebody asks for another try meanwhile', async () => {
    const letGo = await holdSlot();
    const stream = create('waiting');
    const file = await fileAt(path, () => true);
    expect(await other.transfers.retryTransfer(file)).toMatchObject({ transferStatus: 'PENDING' });
    const sql = "SELECT FROM pgboss.job WHERE singleton_key = $1 AND start_after <= now() AND state = 'created'";
    expect(await storage.database.query(sql, [file.id])).toEqual([]);
    await letGo();
    await expectStored(stream);
  });

  it('waits until the left-overs of the failed try are removed', async () => {
    await failAtPath();
    await setLease("now() + interval '1 hour'");
    const stream = create('later');
    await fileAt(path, ({ transferStatus }) => transferStatus === 'PENDING');
    await setLease('NULL');
    await expectStored(stream);
  });

  it('is cancelled while it waits for that, and then nothing is stored', async () => {
    await failAtPath();
    await setLease("now() + interval '1 hour'");
    const cancel = new AbortController();
    const stream = create('never', storage, cancel.signal);
    const outcome = expect(stream.file).rejects.toMatchObject({ code: 'TRANSFER_CANCELLED' });
    await fileAt(path, ({ transferStatus }) => transferStatus === 'PENDING');
    cancel.abort();
    await setLease('NULL');
    await outcome;
    expect(stream.body.destroyed).toBe(true);
    expect(await fileAt(path, () => true)).toMatchObject({ transferStatus: 'FAILED', errorCode: 'TRANSFER_CANCELLED' });
  });

  it('is stored beside a URL for the same path, which is refused', async () => {
    await failAtPath();
    const sourceUrl = 'http://127.0.0.1:8765/never-asked';
    const streams: Created[] = [];
    const refused: Promise<void>[] = [];
    await letWait(1, () => {
      streams.push(create('bytes'));
      const remote = storage.transfers.createAndTransfer({ sourceUrl, workspaceId, path, type: 'avatar' });
      refused.push(expect(remote).rejects.toMatchObject({ code: 'PATH_TAKEN' }));
    });
    await Promise.all(refused);
    await expectOneStored(streams);
  });
});
