import { randomBytes, randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { CompleteMultipartUploadCommand, ListPartsCommand, UploadPartCommand } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { PgBoss } from 'pg-boss';
import { JudgedStorage } from '../../../test/support/judged-storage.js';
import type { StoreWay } from '../../../test/support/store-way.js';
import type { TestStorage } from '../../../test/support/test-storage.js';
import { verifyInvariants } from '../../../test/support/verify-invariants.js';
import type { StorageFile } from '../storage-file.repository.js';
import { type AuditOptions, InvariantAudit } from './invariants.js';
import { PurgeWorker } from './purge-worker.js';

/** More than a part: stored in parts. */
const LARGE = randomBytes(5 * 1024 * 1024 + 1);

let judged: JudgedStorage;
let storage: TestStorage;
let way: StoreWay;
let workspaceId: string;

beforeAll(async () => {
  judged = await JudgedStorage.start();
  ({ storage, way } = judged);
});

afterAll(() => judged.stop());

beforeEach(async () => {
  workspaceId = await judged.begin();
});

/** Every test begins with nothing. */
afterEach(() => judged.empty());

const query: JudgedStorage['query'] = (...statement) => judged.query(...statement);
const newPath = () => judged.newPath();
const putObject: JudgedStorage['putObject'] = (...object) => judged.putObject(...object);
const storeFile = (bytes?: Buffer) => judged.storeFile(bytes === undefined ? {} : { bytes });

async function failFile(): Promise<StorageFile> {
  const path = newPath();
  const body = Readable.from([Buffer.from('hello')]);
  const expected = { size: 4 };
  await expect(
    storage.transfers.createFromStream({ body, workspaceId, path, type: 'avatar', expected }),
  ).rejects.toThrow();
  const row = await storage.files.findByPath({ workspaceId, bucket: storage.bucket, path });
  if (row === null) throw new Error('no row was made');
  return row;
}

async function insertEntry(fileId: string, path: string, uploadId: string | null = null) {
  const insert = 'INSERT INTO core_storage_purge (bucket, path, file_id, upload_id) VALUES ($1, $2, $3, $4)';
  await query(insert, [storage.bucket, path, fileId, uploadId]);
}

async function audit(options: AuditOptions = { graceMs: 0 }) {
  return await storage.get(InvariantAudit).run(options);
}

async function findViolations(options?: AuditOptions) {
  return (await audit(options)).results.flatMap(({ violations }) => violations);
}

/** The one violation that there is, and its rule. */
async function findOne(options?: AuditOptions) {
  const violations = await findViolations(options);
  expect(violations).toHaveLength(1);
  return violations[0];
}

describe('a database and a bucket in which all is well', () => {
  it('give zeros, and say what was looked at', async () => {
    const [small] = [await storeFile(), await storeFile(LARGE)];
    await failFile();
    await storage.transfers.deleteFile(await storeFile());
    const removed = await storeFile();
    await storage.transfers.deleteFile(removed, true);
    await storage.get(PurgeWorker).runDue();
    await query(
      `INSERT INTO core_recording (id, workspace_id, external_video_url, video_file_id) VALUES ($1, $2, 'https://a.example/v', $3)`,
      [randomUUID(), workspaceId, small?.id],
    );
    await putObject('somebody/elses.txt');
    await verifyInvariants(storage);
    const { results, ...report } = await audit({ withHash: true, graceMs: 0 });
    expect(report).toMatchObject({ violations: 0, buckets: [storage.bucket], foreignObjects: 1 });
    expect(Object.fromEntries(results.map(({ rule, checked }) => [rule, checked]))).toEqual({
      done: 3,
      failed: 1,
      owner: 4,
      waiting: 0,
      path: 4,
      orphan: 1,
      workspace: 9, // One recording; four events DONE, one FAILED, three of deletions.
      secret: expect.any(Number),
      deleted: 2, // One event, one purge entry.
    });
  });
});

describe('a DONE row', () => {
  it.each([
    ['without its object', ({ path }) => judged.removeObject(path), /no object/],
    [
      'with an object of another size',
      ({ path, id }) => putObject(path, `${id}.1`, 'hell'),
      /has 4 bytes, the row says 5/,
    ],
    ['with the object of another', ({ path }) => putObject(path, `${randomUUID()}.1`), /token of another/],
    ['with an object that nobody made for it', ({ path }) => putObject(path), /token of another/],
  ] satisfies [string, (file: StorageFile) => Promise<unknown>, RegExp][])(
    'is found %s',
    async (_what, plant, what) => {
      await storeFile();
      const file = await storeFile();
      await plant(file);
      const wrong = { rule: 'done', fileId: file.id, key: file.path, what: expect.stringMatching(what) };
      expect(await findOne()).toEqual(wrong);
      await expect(verifyInvariants(storage)).rejects.toThrow(what);
      await storage.transfers.deleteFile(file); // It is to be restored with its object.
      expect(await findOne()).toEqual(wrong);
    },
  );

  it('is found with an object that HEAD shows and nobody can read', async () => {
    const file = await storeFile();
    way.disturb = (request, response) => {
      if (request.method !== 'GET' || !request.url?.includes(file.path)) return false;
      response.writeHead(404).end('<Error><Code>NoSuchKey</Code></Error>'); // As Ceph after an Abort beside a Complete.
      return true;
    };
    for (const withHash of [false, true]) {
      const wrong = { rule: 'done', fileId: file.id, what: 'the object cannot be read' };
      expect(await findOne({ graceMs: 0, withHash })).toMatchObject(wrong);
    }
  });

  it('is found with other bytes of the same length when all are read', async () => {
    const file = await storeFile();
    await putObject(file.path, `${file.id}.1`, 'hallo');
    expect(await findViolations()).toEqual([]);
    expect(await findOne({ graceMs: 0, withHash: true })).toMatchObject({
      rule: 'done',
      fileId: file.id,
      what: expect.stringContaining(`the row says ${file.sha256}`),
    });
  });

  it('that no transfer made needs no token', async () => {
    const path = newPath();
    await query(
      `INSERT INTO core_storage_file (id, workspace_id, type, path, bucket, size, transfer_status)
       VALUES ($1, $2, 'avatar', $3, $4, 5, 'DONE')`,
      [randomUUID(), workspaceId, path, storage.bucket],
    );
    await putObject(path);
    expect(await findViolations()).toEqual([]);
  });
});

describe('a FAILED row', () => {
  it('is found with an object of its own, unless a purge entry tells of it', async () => {
    const { id, path } = await failFile();
    await putObject(path, `${id}.1`);
    expect(await findOne()).toMatchObject({ rule: 'failed', fileId: id, key: path, what: 'an object is left' });
    await insertEntry(id, path);
    expect(await findViolations()).toEqual([]);
  });

  it('is found with parts, known to it or not, unless a purge entry tells of them', async () => {
    const { id, path } = await failFile();
    const uploadId = await storage.beginUpload(path);
    const wrong = { rule: 'failed', fileId: id, key: path, what: 'parts of an upload are left' };
    expect(await findOne()).toMatchObject(wrong);
    await query('UPDATE core_storage_file SET upload_id = $2 WHERE id = $1', [id, uploadId]);
    expect(await findOne()).toMatchObject(wrong);
    await insertEntry(id, path, uploadId);
    expect(await findViolations()).toEqual([]);
  });

  it('is not blamed for an object of somebody else', async () => {
    const { path } = await failFile();
    await putObject(path);
    expect(await findViolations()).toEqual([]);
  });
});

describe('who works on a row', () => {
  it.each([
    ['a token without an end', 'lease_token = gen_random_uuid(), lease_until = NULL'],
    ['an end without a token', 'lease_token = NULL, lease_until = now()'],
    ['a lease of a DONE row', "lease_token = gen_random_uuid(), lease_until = now() + interval '1 minute'"],
  ])('is found wrong with %s', async (_what, set) => {
    const { id } = await storeFile();
    await query(`UPDATE core_storage_file SET ${set} WHERE id = $1`, [id]);
    expect(await findOne()).toMatchObject({ rule: 'owner', fileId: id });
  });

  it('is found wrong with two tries that run', async () => {
    const { id } = await storeFile();
    await query('DELETE FROM core_storage_attempt');
    const insert = 'INSERT INTO core_storage_attempt (file_id, number, worker) VALUES ($1, $2, $3)';
    await query(insert, [id, 1, 'a']);
    expect(await findViolations()).toEqual([]);
    await query(insert, [id, 2, 'b']);
    expect(await findOne()).toMatchObject({ rule: 'owner', fileId: id });
  });

  const insertWaiting = (status: string, lease: string, more = 'NULL') => {
    const id = randomUUID();
    const sql = `INSERT INTO core_storage_file
        (id, workspace_id, type, path, bucket, transfer_status, lease_token, lease_until, next_attempt_at, updated_at)
      VALUES ($1, $2, 'avatar', $3, $4, $5::"FileTransferStatus", ${lease}, ${more}, now() AT TIME ZONE 'UTC' - interval '64 seconds')`;
    return query(sql, [id, workspaceId, newPath(), storage.bucket, status]).then(() => id);
  };
  const NO_LEASE = 'NULL, NULL';
  const ENDED_LEASE = "gen_random_uuid(), now() - interval '64 seconds'";

  it.each([
    ['PENDING', NO_LEASE],
    ['TRANSFERRING', ENDED_LEASE],
    ['TRANSFERRING', NO_LEASE],
  ])('is found missing when a %s row has had no owner for a lease and a minute', async (status, lease) => {
    const id = await insertWaiting(status, lease);
    expect(await findOne({})).toMatchObject({ rule: 'waiting', fileId: id }); // The lease is 3 s here.
    expect(await findViolations({ graceMs: 70_000 })).toEqual([]);
  });

  it('is not missed while a lease lives, a try is due later, or the file is deleted', async () => {
    await insertWaiting('TRANSFERRING', "gen_random_uuid(), now() + interval '3 seconds'");
    await insertWaiting('PENDING', NO_LEASE, "now() + interval '1 hour'");
    const deleted = await insertWaiting('TRANSFERRING', ENDED_LEASE);
    await query('UPDATE core_storage_file SET deleted_at = now() WHERE id = $1', [deleted]);
    expect(await findViolations({})).toEqual([]);
  });

  it('is not missed while a job of the queue is to come', async () => {
    const [byKey, byData] = [await insertWaiting('PENDING', NO_LEASE), await insertWaiting('PENDING', NO_LEASE)];
    const QUEUE = 'a-queue-that-nobody-works-on';
    const boss = new PgBoss({ connectionString: storage.database.url });
    try {
      await boss.start();
      await boss.createQueue(QUEUE);
      await boss.send(QUEUE, {}, { singletonKey: byKey });
      expect(await findOne({})).toMatchObject({ rule: 'waiting', fileId: byData });
      await boss.send(QUEUE, { fileId: byData });
      expect(await findViolations({})).toEqual([]);
    } finally {
      await boss.deleteQueue(QUEUE);
      await boss.stop({ graceful: false });
    }
  });
});

describe('a path', () => {
  it('is found to have two rows, and nothing to keep it from that', async () => {
    const { id, path } = await storeFile();
    const INDEX = 'core_storage_file_bucket_path_key';
    await query(`DROP INDEX "${INDEX}"`);
    const twin = randomUUID();
    await query(
      `INSERT INTO core_storage_file (id, workspace_id, type, path, bucket, transfer_status)
       SELECT $2, workspace_id, type, path, bucket, 'FAILED' FROM core_storage_file WHERE id = $1`,
      [id, twin],
    );
    const violations = await findViolations();
    await query('DELETE FROM core_storage_file WHERE id = $1', [twin]);
    await query(`CREATE UNIQUE INDEX "${INDEX}" ON core_storage_file (bucket, path)`);
    // The object there is not the twin's.
    expect(violations.map(({ rule }) => rule)).toEqual(['path', 'path', 'orphan']);
    expect(violations).toContainEqual(expect.objectContaining({ key: path, what: 'another row has the same path' }));
  });
});

describe('the bucket', () => {
  it('is found with an object of a transfer that has no row, unless a purge entry tells of it', async () => {
    const [id, path] = [randomUUID(), newPath()];
    await putObject(path, `${id}.1`);
    expect(await findOne()).toMatchObject({ rule: 'orphan', fileId: id, key: path });
    await insertEntry(id, path);
    expect(await findViolations()).toEqual([]);
  });

  it('is found with the object of another file under a path', async () => {
    const [gone, path] = [randomUUID(), newPath()];
    const { id } = await storage.files.create({ workspaceId, bucket: storage.bucket, path, type: 'avatar' });
    await putObject(path, `${gone}.1`);
    const grace = { graceMs: 60_000 };
    expect(await findOne(grace)).toMatchObject({
      rule: 'orphan',
      fileId: id,
      what: expect.stringContaining('another'),
    });
    await insertEntry(gone, path);
    expect(await findViolations(grace)).toEqual([]);
  });

  it('is found with an upload that has no row, and one beside a DONE row, when they are old enough', async () => {
    const { id, path } = await storeFile();
    await storage.beginUpload(path);
    const alone = newPath();
    await storage.beginUpload(alone);
    const violations = await findViolations();
    expect(violations).toHaveLength(2);
    expect(violations).toContainEqual(expect.objectContaining({ rule: 'orphan', key: alone }));
    expect(violations).toContainEqual(expect.objectContaining({ rule: 'orphan', key: path, fileId: id }));
    expect(await findViolations({ graceMs: 60_000 })).toEqual([]);
  });

  it('may hold an upload that the object of a DONE row is made of, as Ceph shows it after a Complete that broke off', async () => {
    const path = newPath();
    const id = randomUUID();
    const uploadId = await storage.beginUpload(path, `${id}.1`);
    const again = await storage.beginUpload(path, `${id}.1`); // The same part: this one stays.
    const place = { Bucket: storage.bucket, Key: path, UploadId: uploadId };
    const { Parts } = await judged.s3.send(new ListPartsCommand(place));
    await judged.s3.send(new CompleteMultipartUploadCommand({ ...place, MultipartUpload: { Parts } }));
    await query(
      `INSERT INTO core_storage_file (id, workspace_id, type, path, bucket, transfer_status, attempts, size)
       VALUES ($1, $2, 'avatar', $3, $4, 'DONE', 1, 5)`,
      [id, workspaceId, path, storage.bucket],
    );
    expect(await findViolations()).toEqual([]);
    const other = { Bucket: storage.bucket, Key: path, UploadId: again, PartNumber: 1, Body: 'other' };
    await judged.s3.send(new UploadPartCommand(other));
    expect(await findOne()).toMatchObject({ rule: 'orphan', key: path, fileId: id });
  });

  it('may hold the upload of a row that goes on, and those of other programs', async () => {
    const path = newPath();
    const uploadId = await storage.beginUpload(path);
    await storage.insertAbandoned({ workspaceId, path, sourceUrl: 'https://source.example/a', uploadId });
    await putObject('somebody/elses.txt');
    await storage.s3.uploadStream({ path: newPath(), body: Readable.from(['hi']), contentType: 'text/plain' });
    expect(await audit({ graceMs: 60_000 })).toMatchObject({ violations: 0, foreignObjects: 2 });
  });

  it('is walked in the order of its bytes, whatever the language of the database', async () => {
    // Sorted otherwise by people, and the last two otherwise by UTF-16.
    for (const name of ['Z', 'a', 'a-b', 'a/b', 'aa', 'b!', 'é', 'ﬀ', '😀']) {
      const body = Readable.from([Buffer.from(name)]);
      await storage.transfers.createFromStream({ body, workspaceId, path: `${workspaceId}/${name}`, type: 'avatar' });
    }
    await putObject(`${workspaceId}/a.`, `${randomUUID()}.1`);
    await storage.files.create({ workspaceId, bucket: storage.bucket, path: `${workspaceId}/ﬁ`, type: 'avatar' });
    const { results, violations } = await audit({ graceMs: 60_000 });
    expect(violations).toBe(1);
    expect(results.find(({ rule }) => rule === 'done')).toMatchObject({ checked: 9, found: 0 });
  });

  it('may change while it is looked at', async () => {
    const file = await storeFile();
    way.disturb = (request, response) => {
      if (request.method !== 'HEAD') return false;
      way.disturb = () => false;
      void storage.transfers.deleteFile(file, true).then(() => response.writeHead(404).end());
      return true;
    };
    expect(await findViolations()).toEqual([]);
  });
});

describe('records', () => {
  it('are found when a recording or an event names a file of another workspace', async () => {
    const { id } = await storeFile();
    const elsewhere = await storage.database.createWorkspace();
    await query(
      `INSERT INTO core_recording (id, workspace_id, external_video_url, video_file_id) VALUES ($1, $2, 'https://a.example', $3)`,
      [randomUUID(), elsewhere, id],
    );
    await query(
      `INSERT INTO core_outbox_event (type, workspace_id, subject_id, payload) VALUES ('storage.file.done', $1, $2, '{}')`,
      [elsewhere, id],
    );
    expect((await findViolations()).map(({ rule }) => rule)).toEqual(['workspace', 'workspace']);
  });

  it.each([
    ['core_storage_file', 'source_url', 'https://source.example/a?token=x'],
    ['core_storage_file', 'source_url', 'https://user:word@source.example/a'],
    [
      'core_storage_file',
      'transfer_error',
      'SOURCE_STATUS: GET https://bucket.example/a?X-Amz-Signature=ab answered 403',
    ],
    ['core_storage_file', 'transfer_error', 'SOURCE_STATUS: authorization: Bearer abcdefghijklmnopqrstuvwxyz'],
    ['core_storage_file', 'transfer_error', 'UPLOAD_FAILED: the key AKIAIOSFODNN7EXAMPLE was refused'],
    ['core_storage_file', 'transfer_error', 'UPLOAD_FAILED: the secret test-secret-key was refused'],
    ['core_storage_file', 'request', '{"a": "X-Amz-Credential=abc"}'],
    ['core_storage_attempt', 'error', 'SOURCE_STATUS: https://user:word@source.example/a'],
    ['core_storage_purge', 'last_error', 'https://bucket.example/a?X-Amz-Security-Token=x'],
    ['core_outbox_event', 'payload', '{"url": "https://source.example/a?token=x"}'],
    ['core_outbox_event', 'last_error', 'POST https://hooks.example/a?key=x answered 500'],
  ])('are found with a secret in %s.%s: %s', async (table, column, text) => {
    const { id } = await storeFile();
    await insertEntry(id, newPath());
    await query('DELETE FROM core_storage_attempt');
    await query("INSERT INTO core_storage_attempt (file_id, number, worker, finished_at) VALUES ($1, 1, 'a', now())", [
      id,
    ]);
    await query(
      `INSERT INTO core_outbox_event (type, workspace_id, subject_id, payload) VALUES ('storage.file.done', $1, $2, '{}')`,
      [workspaceId, id],
    );
    const type = column === 'payload' || column === 'request' ? 'jsonb' : 'text';
    await query(`UPDATE ${table} SET ${column} = $1::${type}`, [text]);
    const violations = await findViolations();
    expect(violations.map(({ rule, what }) => [rule, what.startsWith(`${table}.${column}`) || what])).toContainEqual([
      'secret',
      true,
    ]);
    expect(new Set(violations.map(({ rule }) => rule))).toEqual(new Set(['secret']));
    expect(JSON.stringify(violations)).not.toMatch(/token=x|word@|Signature|Bearer|AKIA|test-secret/);
  });

  it('are found with a secret in what webhooks are told and answer', async () => {
    const id = randomUUID();
    await query(
      `INSERT INTO core_webhook_subscription (id, workspace_id, url, url_sealed, secret_sealed)
       VALUES ($1, $2, 'https://hooks.example/a?token=x', '', '')`,
      [id, workspaceId],
    );
    await query(
      `INSERT INTO core_webhook_delivery (subscription_id, event_id, event_type, payload, occurred_at, last_error)
       VALUES ($1, gen_random_uuid(), 'storage.file.done', '{"url": "https://user:word@a.example"}', now(), 'Bearer abcdefghijklmnopqrstuvwxyz')`,
      [id],
    );
    const violations = await findViolations();
    expect(violations.map(({ what }) => what.split(' ', 1)[0])).toEqual([
      'core_webhook_delivery.last_error',
      'core_webhook_delivery.payload',
      'core_webhook_subscription.url',
    ]);
  });

  it('may hold addresses and what was redacted', async () => {
    const { id } = await storeFile();
    await query('UPDATE core_storage_file SET source_url = $2, transfer_error = $3 WHERE id = $1', [
      id,
      'https://source.example/a%3Fb/c@d.mp4',
      'SOURCE_STATUS: https://[redacted]@source.example/a?[redacted] answered 403? mail me@source.example',
    ]);
    expect(await findViolations()).toEqual([]);
  });
});

describe('what was deleted', () => {
  it('is found when its object is back and no purge entry tells of it', async () => {
    const file = await storeFile();
    await storage.transfers.deleteFile(file, true);
    await putObject(file.path, `${file.id}.1`);
    expect(await findViolations()).toEqual([]); // The entry of the deletion looks again.
    await query('DELETE FROM core_storage_purge');
    expect(await findOne()).toMatchObject({ rule: 'deleted', fileId: file.id, key: file.path });
  });

  it('is found when its row is there, when its time is long up, and when nobody works on entries', async () => {
    const { id, path } = await storeFile();
    await query(
      `INSERT INTO core_outbox_event (type, workspace_id, subject_id, payload) VALUES ('storage.file.deleted', $1, $2, '{"hard": true}')`,
      [workspaceId, id],
    );
    await query("UPDATE core_storage_file SET deleted_at = now() - interval '31 days 1 minute' WHERE id = $1", [id]);
    await insertEntry(id, path);
    await query("UPDATE core_storage_purge SET next_attempt_at = now() - interval '2 days'");
    const violations = await findViolations();
    expect(violations.map(({ rule }) => rule)).toEqual(['deleted', 'deleted', 'deleted']);
    expect(violations.map(({ what }) => what).join()).toMatch(
      /deleted for good.*due for long.*restored until a day ago/,
    );
  });

  it('is found to go unnoted when the triggers are off', async () => {
    await query('ALTER TABLE core_storage_file DISABLE TRIGGER core_storage_file_deleted');
    expect(await findOne()).toMatchObject({ rule: 'deleted', what: expect.stringContaining('triggers') });
    await query('ALTER TABLE core_storage_file ENABLE TRIGGER core_storage_file_deleted');
  });
});
