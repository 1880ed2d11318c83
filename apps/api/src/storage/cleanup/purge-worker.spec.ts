import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, request as forward, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  CompleteMultipartUploadCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { startTestStorage, type TestStorage } from '../../../test/support/test-storage.js';
import { TransferStateRepository } from '../transfer/transfer-state.repository.js';
import { PurgeRepository } from './purge.repository.js';
import { PurgeWorker } from './purge-worker.js';

const CONTENT = randomBytes(6 * 1024 * 1024);
const HELLO = createHash('sha256').update('hello').digest('hex');

interface EntryRow {
  id: string;
  file_id: string;
  upload_id: string | null;
  attempts: number;
  last_error: string | null;
  /** Until the entry is due again. */
  wait_seconds: number;
}

let storage: TestStorage;
let s3: S3Client;
let workspaceId: string;
/** Stands between the API and the store. */
let way: Server;
let source: Server;
/** What the way does with a request: true when it has answered it itself. */
let disturb: (request: IncomingMessage, response: ServerResponse) => boolean;
/** How much of CONTENT the source sends before it breaks off; absent: all of it. */
let cutAt: number | undefined;
let aborts: string[];

beforeAll(async () => {
  way = createServer(passOn);
  source = createServer((_request, response) => {
    response.writeHead(200, { 'content-length': CONTENT.length });
    if (cutAt === undefined) response.end(CONTENT);
    else response.write(CONTENT.subarray(0, cutAt), () => response.destroy());
  });
  for (const server of [way, source]) await once(server.listen(0, '127.0.0.1'), 'listening');
  storage = await startTestStorage({ S3_ENDPOINT: urlOf(way) });
  s3 = storage.store.createClient();
  workspaceId = await storage.database.createWorkspace();
});

afterAll(async () => {
  s3.destroy();
  await storage.stop();
  for (const server of [way, source]) {
    server.closeAllConnections();
    server.close();
  }
});

beforeEach(() => {
  disturb = () => false;
  cutAt = undefined;
  aborts = [];
});

afterEach(() => storage.database.query('DELETE FROM core_storage_purge'));

const urlOf = (server: Server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
const newPath = () => `recordings/${workspaceId}/${randomUUID()}.mp4`;
const isAbort = ({ method, url }: IncomingMessage) => method === 'DELETE' && url?.includes('uploadId=') === true;

/** The Host header stays that of the way: it is signed. */
function passOn(request: IncomingMessage, response: ServerResponse): void {
  const { method = 'GET', url = '/', headers } = request;
  if (isAbort(request)) aborts.push(new URL(url, urlOf(way)).searchParams.get('uploadId') ?? '');
  if (disturb(request, response)) return;
  const target = new URL(url, storage.store.variables.S3_ENDPOINT);
  const onward = forward(target, { method, headers, path: url }, (answer) => {
    answer.pipe(response.writeHead(answer.statusCode ?? 502, answer.headers));
  });
  onward.on('error', () => response.destroy());
  request.pipe(onward);
}

/** A second process on the same database and store; `variables` go before the store's own. */
async function startOther(variables: Record<string, string> = {}): Promise<TestStorage> {
  const own = { ...storage.store.variables, S3_ENDPOINT: urlOf(way) };
  return await startTestStorage({ ...own, ...variables }, { ...storage.database, drop: async () => {} });
}

const runDue = (process = storage) => process.get(PurgeWorker).runDue();

function start(path: string, process = storage) {
  const sourceUrl = `${urlOf(source)}/video.mp4`;
  return process.transfers.createAndTransfer({ sourceUrl, workspaceId, path, type: 'recording-video' });
}

async function entriesAt(path: string): Promise<EntryRow[]> {
  return await storage.database.query<EntryRow>(
    `SELECT *, extract(epoch FROM next_attempt_at - now())::float8 AS wait_seconds
     FROM core_storage_purge WHERE path = $1`,
    [path],
  );
}

async function insertEntry(entry: { path: string; fileId?: string; uploadId?: string; ageSeconds?: number }) {
  const { path, fileId = randomUUID(), uploadId, ageSeconds = 0 } = entry;
  await storage.database.query(
    `INSERT INTO core_storage_purge (bucket, path, file_id, upload_id, created_at)
     VALUES ($1, $2, $3, $4, now() - $5 * interval '1 second')`,
    [storage.bucket, path, fileId, uploadId, ageSeconds],
  );
}

/** As if `seconds` went by, for the entries at this path. */
async function letPass(path: string, seconds: number) {
  await storage.database.query(
    `UPDATE core_storage_purge SET next_attempt_at = next_attempt_at - $2 * interval '1 second',
       created_at = created_at - $2 * interval '1 second' WHERE path = $1`,
    [path, seconds],
  );
}

interface FileState {
  status?: string;
  uploadId?: string;
  completing?: { size: number; sha256: string };
  leaseSeconds?: number;
  isDeleted?: boolean;
}

/** A row in any state; resolves to its id. */
async function insertFile(path: string, state: FileState = {}): Promise<string> {
  const id = randomUUID();
  const { status = 'FAILED', uploadId = '', completing, leaseSeconds, isDeleted = false } = state;
  const sourceUrl = `${urlOf(source)}/video.mp4`;
  await storage.insertAbandoned({ id, workspaceId, path, sourceUrl, uploadId, ...(completing ? { completing } : {}) });
  await storage.database.query(
    `UPDATE core_storage_file SET transfer_status = $2::"FileTransferStatus", upload_id = NULLIF(upload_id, ''),
       transfer_error = CASE WHEN $2 = 'FAILED' THEN 'SOURCE_STATUS: the first error' END,
       lease_token = CASE WHEN $3::int IS NULL THEN NULL ELSE lease_token END, lease_until = now() + $3::int * interval '1 second',
       deleted_at = CASE WHEN $4 THEN now() END
     WHERE id = $1`,
    [id, status, leaseSeconds, isDeleted],
  );
  return id;
}

async function rowAt(path: string) {
  const rows = await storage.database.query<Record<string, unknown>>(
    'SELECT * FROM core_storage_file WHERE path = $1',
    [path],
  );
  return rows[0];
}

async function putObject(path: string, token?: string) {
  const Metadata: Record<string, string> = token !== undefined ? { 'transfer-token': token } : {};
  await s3.send(new PutObjectCommand({ Bucket: storage.bucket, Key: path, Body: 'hello', Metadata }));
}

/** The object's bytes; null when there is none. */
async function readObject(path: string): Promise<Buffer | null> {
  try {
    const { Body } = await s3.send(new GetObjectCommand({ Bucket: storage.bucket, Key: path }));
    return Buffer.from((await Body?.transformToByteArray()) ?? []);
  } catch (error) {
    if (error instanceof Error && error.name === 'NoSuchKey') return null;
    throw error;
  }
}

async function uploadsAt(prefix: string): Promise<string[]> {
  const { Uploads } = await s3.send(new ListMultipartUploadsCommand({ Bucket: storage.bucket, Prefix: prefix }));
  return (Uploads ?? []).map(({ UploadId }) => UploadId ?? '');
}

function refuseAborts() {
  disturb = (request, response) => {
    if (!isAbort(request)) return false;
    response.writeHead(503).end();
    return true;
  };
}

describe('a transfer whose parts could not be discarded', () => {
  async function failAt(path: string, process = storage) {
    cutAt = CONTENT.length - 1;
    refuseAborts();
    await expect(start(path, process)).rejects.toMatchObject({ code: 'SOURCE_TRUNCATED' });
    cutAt = undefined;
    disturb = () => false;
  }

  it('leaves an entry with its FAILED row, and the worker ends both', async () => {
    const path = newPath();
    await failAt(path);
    const failed = await rowAt(path);
    expect(failed).toMatchObject({ transfer_status: 'FAILED', upload_id: null });
    const [uploadId] = await uploadsAt(path);
    expect(await entriesAt(path)).toMatchObject([{ file_id: failed?.id, upload_id: uploadId, attempts: 0 }]);

    await runDue();
    expect(await uploadsAt(path)).toEqual([]);
    expect(await entriesAt(path)).toEqual([]);
    expect(await rowAt(path)).toMatchObject({
      transfer_status: 'FAILED',
      transfer_error: failed?.transfer_error,
      upload_id: null,
      lease_token: null,
      lease_until: null,
    });
    expect(await start(path)).toMatchObject({ transferStatus: 'DONE', attempts: 2 });
  });

  it('is cleaned up by the process that comes after it', async () => {
    const path = newPath();
    const before = await startOther();
    await failAt(path, before);
    await before.stop();
    await runDue();
    expect(await uploadsAt(path)).toEqual([]);
    expect(await entriesAt(path)).toEqual([]);
  });

  it('is taken up by the same request, and its object is not harmed', async () => {
    const path = newPath();
    await failAt(path);
    expect(await start(path)).toMatchObject({ transferStatus: 'DONE' });
    expect(await entriesAt(path)).toHaveLength(1);
    await runDue();
    expect(await entriesAt(path)).toEqual([]);
    expect((await readObject(path))?.equals(CONTENT)).toBe(true);
  });
});

describe('the row of the file', () => {
  it('is left alone while its lease lives, whatever it is at', async () => {
    const path = newPath();
    const uploadId = await storage.beginUpload(path);
    const fileId = await insertFile(path, { status: 'TRANSFERRING', uploadId, leaseSeconds: 3_600 });
    await insertEntry({ path, fileId, uploadId });
    const before = await rowAt(path);
    await runDue();
    expect(await rowAt(path)).toEqual(before);
    expect(await uploadsAt(path)).toEqual([uploadId]);
    expect(await entriesAt(path)).toMatchObject([{ attempts: 1, last_error: expect.stringMatching(/^FILE_BUSY: /) }]);
  });

  it.each([
    ['waits for its turn', { status: 'PENDING' }],
    ['waits for the next owner', { status: 'TRANSFERRING', leaseSeconds: -1 }],
  ])('is left alone while it %s', async (_what, state) => {
    const path = newPath();
    const uploadId = await storage.beginUpload(path);
    await insertEntry({ path, fileId: await insertFile(path, { ...state, uploadId }), uploadId });
    await runDue();
    expect(await uploadsAt(path)).toEqual([uploadId]);
    expect(await entriesAt(path)).toHaveLength(1);
  });

  it('keeps the object whose lost Complete a retry took up: its upload is not aborted any more', async () => {
    const path = newPath();
    const fileId = await insertFile(path);
    const uploadId = await storage.beginUpload(path, `${fileId}.1`);
    await storage.database.query(
      'UPDATE core_storage_file SET upload_id = $2, completing = true, size = 5, sha256 = $3 WHERE id = $1',
      [fileId, uploadId, HELLO],
    );
    await insertEntry({ path, fileId, uploadId });
    const place = { Bucket: storage.bucket, Key: path, UploadId: uploadId };
    const { Parts } = await s3.send(new ListPartsCommand(place));
    await s3.send(new CompleteMultipartUploadCommand({ ...place, MultipartUpload: { Parts } }));

    expect(await start(path)).toMatchObject({ transferStatus: 'DONE', size: 5n });
    expect(await entriesAt(path)).toEqual([]);
    await runDue();
    expect(aborts).not.toContain(uploadId);
    expect(await readObject(path)).toEqual(Buffer.from('hello'));
  });

  it.each([
    ['DONE', {}],
    ['DONE and soft-deleted', { isDeleted: true }],
  ])('keeps its object when it is %s, and loses an earlier upload', async (_what, state) => {
    const path = newPath();
    const fileId = await insertFile(path, { status: 'DONE', ...state });
    await putObject(path, `${fileId}.2`);
    const uploadId = await storage.beginUpload(path, `${fileId}.1`);
    await insertEntry({ path, fileId, uploadId });
    await runDue();
    expect(await readObject(path)).not.toBeNull();
    expect(await uploadsAt(path)).toEqual([]);
    expect(await entriesAt(path)).toEqual([]);
  });

  it('loses what it left when it is soft-deleted', async () => {
    const path = newPath();
    const uploadId = await storage.beginUpload(path);
    const fileId = await insertFile(path, { status: 'TRANSFERRING', uploadId, isDeleted: true });
    await insertEntry({ path, fileId, uploadId });
    await runDue();
    expect(await uploadsAt(path)).toEqual([]);
    expect(await rowAt(path)).toMatchObject({ transfer_status: 'TRANSFERRING', upload_id: null, lease_until: null });
  });

  it('is not to be had for a transfer while its left-overs are removed, and is afterwards', async () => {
    const path = newPath();
    const fileId = await insertFile(path);
    await insertEntry({ path, fileId, uploadId: await storage.beginUpload(path) });
    const state = storage.get(TransferStateRepository);
    let claimed: unknown;
    disturb = (request, response) => {
      if (!isAbort(request) || claimed !== undefined) return false;
      void state
        .reopen({ id: fileId, workspaceId }, { delayMs: 0 })
        .then(() => state.claim(fileId, 3_000))
        .then((claim) => {
          claimed = claim;
          passOn(request, response);
        });
      return true;
    };
    await runDue();
    expect(claimed).toBeNull();
    await storage.database.query("UPDATE core_storage_file SET transfer_status = 'PENDING' WHERE id = $1", [fileId]);
    expect(await state.claim(fileId, 3_000)).toMatchObject({ id: fileId });
  });

  it('keeps the upload of its last try when the entry tells of another', async () => {
    const path = newPath();
    const [earlier, last] = [await storage.beginUpload(path), await storage.beginUpload(path)];
    const fileId = await insertFile(path, { uploadId: last });
    await insertEntry({ path, fileId, uploadId: earlier });
    await runDue();
    expect(await uploadsAt(path)).toEqual([last]);
    expect(await rowAt(path)).toMatchObject({ upload_id: last, lease_until: null });
  });

  it('that says Complete was sent is looked at again when Complete has had its time', async () => {
    const path = newPath();
    const uploadId = await storage.beginUpload(path);
    const fileId = await insertFile(path, { uploadId, completing: { size: 5, sha256: HELLO } });
    await insertEntry({ path, fileId, uploadId });
    await runDue();
    expect(await rowAt(path)).toMatchObject({ upload_id: null, completing: false, size: null, sha256: null });
    const [entry] = await entriesAt(path);
    expect(entry?.wait_seconds).toBeGreaterThan(600); // Ceph's lock on a Complete.
    await putObject(path, `${fileId}.1`);
    await letPass(path, 660);
    await runDue();
    expect(await readObject(path)).toBeNull();
    await letPass(path, 120);
    await runDue();
    expect(await entriesAt(path)).toEqual([]);
  });
});

describe('an object at the path', () => {
  it('is removed when a try of the file made it, and once more when it comes late', async () => {
    const path = newPath();
    const fileId = await insertFile(path, { completing: { size: 5, sha256: HELLO } });
    await insertEntry({ path, fileId });
    for (const _time of [1, 2]) {
      await putObject(path, `${fileId}.1`);
      await runDue();
      expect(await readObject(path)).toBeNull();
      expect(await entriesAt(path)).toMatchObject([{ last_error: null }]);
      await letPass(path, 120);
    }
    await runDue();
    expect(await entriesAt(path)).toEqual([]);
    expect(await rowAt(path)).toMatchObject({ completing: false, size: null });
  });

  it('is waited for when the answer to the one PUT was lost', async () => {
    const path = newPath();
    const fileId = await insertFile(path, { completing: { size: 5, sha256: HELLO } });
    await insertEntry({ path, fileId });
    await runDue();
    expect(await entriesAt(path)).toMatchObject([{ last_error: null }]);
    await putObject(path, `${fileId}.1`);
    await letPass(path, 120);
    await runDue();
    expect(await readObject(path)).toBeNull();
  });

  it.each([
    ['without a token', () => undefined],
    ['with the token of another file', () => `${randomUUID()}.1`],
    ["with a token that only begins like the file's", (fileId: string) => `${fileId}0.1`],
  ])('stays when it is one %s', async (_what, tokenOf) => {
    const path = newPath();
    const fileId = await insertFile(path);
    await putObject(path, tokenOf(fileId));
    const uploadId = await storage.beginUpload(path);
    await insertEntry({ path, fileId, uploadId });
    await runDue();
    expect(await readObject(path)).not.toBeNull();
    expect(await uploadsAt(path)).toEqual([]);
    expect(await entriesAt(path)).toEqual([]);
  });

  it('stays, with the uploads there, while another file has the path', async () => {
    const path = newPath();
    const gone = randomUUID();
    await insertFile(path, { status: 'TRANSFERRING', leaseSeconds: 3_600 });
    await putObject(path, `${gone}.1`);
    const [own, others] = [await storage.beginUpload(path), await storage.beginUpload(path)];
    await insertEntry({ path, fileId: gone, uploadId: own });
    await runDue();
    expect(await readObject(path)).not.toBeNull();
    expect(await uploadsAt(path)).toEqual([others]);
    expect(await entriesAt(path)).toMatchObject([{ last_error: expect.stringContaining('another file') }]);

    await putObject(path, `${randomUUID()}.1`);
    await letPass(path, 3_600);
    await runDue();
    expect(await entriesAt(path)).toEqual([]);
  });

  it('is removed with the upload when no row has the path', async () => {
    const path = newPath();
    const fileId = randomUUID();
    await putObject(path, `${fileId}.1`);
    await insertEntry({ path, fileId, uploadId: await storage.beginUpload(path), ageSeconds: 600 });
    await runDue();
    expect(await readObject(path)).toBeNull();
    expect(await uploadsAt(path)).toEqual([]);
    await letPass(path, 130);
    await runDue();
    expect(await entriesAt(path)).toEqual([]);
  });

  it('is not removed when a row takes the path meanwhile', async () => {
    const path = newPath();
    const fileId = randomUUID();
    await putObject(path, `${fileId}.1`);
    await insertEntry({ path, fileId });
    disturb = (request, response) => {
      if (request.method !== 'HEAD') return false;
      disturb = () => false;
      void insertFile(path, { status: 'PENDING' }).then(() => passOn(request, response));
      return true;
    };
    await runDue();
    expect(await readObject(path)).not.toBeNull();
    expect(await entriesAt(path)).toMatchObject([{ last_error: expect.stringMatching(/^TRANSFER_LOST: /) }]);
  });

  it('is not put there by a transfer that begins while a worker is at the path', async () => {
    const path = newPath();
    await insertEntry({ path });
    const purges = storage.get(PurgeRepository);
    const state = storage.get(TransferStateRepository);
    const entry = await purges.take(60_000);
    if (entry === null) throw new Error('no entry was due');
    const newFile = await insertFile(path, { status: 'PENDING' });
    expect(await state.claim(newFile, 3_000)).toBeNull();
    await purges.postpone(entry, { delayMs: 60_000, lastError: null });
    expect(await state.claim(newFile, 3_000)).toMatchObject({ id: newFile });
  });
});

describe('an upload whose id nobody knows', () => {
  it('is found at exactly this path, and looked for once more', async () => {
    const path = newPath();
    await storage.beginUpload(path);
    await storage.beginUpload(path);
    const neighbour = await storage.beginUpload(`${path}.part`);
    await insertEntry({ path, fileId: await insertFile(path) });
    await runDue();
    expect(await uploadsAt(path)).toEqual([neighbour]);
    expect(await entriesAt(path)).toHaveLength(1);
    await letPass(path, 120);
    await runDue();
    expect(await entriesAt(path)).toEqual([]);
  });

  it('stays while a DONE file has the path, because it may be that of its object', async () => {
    const path = newPath();
    const fileId = await insertFile(path, { status: 'DONE' });
    const uploadId = await storage.beginUpload(path);
    await insertEntry({ path, fileId });
    await runDue();
    expect(await uploadsAt(path)).toEqual([uploadId]);
    expect(await entriesAt(path)).toHaveLength(1);
  });
});

describe('the worker', () => {
  it('does each entry once when two of them run', async () => {
    const other = await startOther();
    const paths = Array.from({ length: 8 }, newPath);
    const uploads: string[] = [];
    for (const path of paths) {
      const uploadId = await storage.beginUpload(path);
      uploads.push(uploadId);
      await insertEntry({ path, fileId: await insertFile(path, { uploadId }), uploadId });
    }
    await Promise.all([runDue(), runDue(other)]);
    expect(aborts.toSorted()).toEqual(uploads.toSorted());
    expect(await storage.database.query('SELECT * FROM core_storage_purge')).toEqual([]);
    await other.stop();
  });

  it('comes back after 30 s, 60 s and so on to an hour while the store does not answer, and says why', async () => {
    const path = newPath();
    const uploadId = await storage.beginUpload(path);
    const fileId = await insertFile(path, { uploadId });
    await insertEntry({ path, fileId, uploadId });
    disturb = (_request, response) => {
      response.destroy();
      return true;
    };
    for (const [attempts, seconds] of [
      [1, 30],
      [2, 60],
      [3, 120],
      [20, 3_600],
    ] as const) {
      await storage.database.query('UPDATE core_storage_purge SET attempts = $1, next_attempt_at = now()', [
        attempts - 1,
      ]);
      await runDue();
      const [entry] = await entriesAt(path);
      expect(entry).toMatchObject({ attempts, last_error: expect.stringMatching(/^STORE_UNREACHABLE: /) });
      expect(entry?.wait_seconds).toBeGreaterThan(seconds - 10);
      expect(entry?.wait_seconds).toBeLessThanOrEqual(seconds);
    }
    expect(await rowAt(path)).toMatchObject({ upload_id: null, lease_token: null, lease_until: null });
    disturb = () => false;
    await letPass(path, 3_600);
    await runDue();
    expect(await entriesAt(path)).toEqual([]);
  });

  it('writes down no key and no signature', async () => {
    const other = await startOther({ S3_ACCESS_KEY_ID: 'canary-key', S3_SECRET_ACCESS_KEY: 'canary-secret' });
    const path = newPath();
    await insertEntry({ path });
    await insertEntry({ path, uploadId: 'canary-upload' });
    await runDue(other);
    await other.stop();
    const errors = (await entriesAt(path)).map(({ last_error }) => last_error);
    expect(errors).toEqual([expect.stringMatching(/^STORE_/), expect.stringMatching(/^STORE_/)]);
    expect(errors.join()).not.toMatch(/canary|signature|X-Amz/);
  });

  it('looks by itself, and what it was at when its process ends is due again at once', async () => {
    const path = newPath();
    const uploadId = await storage.beginUpload(path);
    await insertEntry({ path, fileId: await insertFile(path, { uploadId }), uploadId });
    const asked = new Promise<void>((resolve) => {
      disturb = () => {
        resolve();
        return true; // Never answered.
      };
    });
    const other = await startOther({ PURGE_INTERVAL_SECONDS: '1', TRANSFER_WORKER: 'all' });
    await asked;
    await other.stop();
    expect(await rowAt(path)).toMatchObject({ lease_until: null });
    const [entry] = await entriesAt(path);
    expect(entry?.wait_seconds).toBeLessThanOrEqual(0);
    disturb = () => false;
    await runDue();
    expect(await uploadsAt(path)).toEqual([]);
  });
});
