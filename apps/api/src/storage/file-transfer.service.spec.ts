import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createSocketServer, type Server, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CompleteMultipartUploadCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startTestStorage, type TestStorage } from '../../test/support/test-storage.js';

const MiB = 1024 * 1024;

let storage: TestStorage;
let s3: S3Client;
let workspaceId: string;
const servers: Server[] = [];

beforeAll(async () => {
  storage = await startTestStorage({ SOURCE_ALLOWED_ADDRESSES: '127.0.0.1/32, 127.0.0.2/32' });
  s3 = storage.store.createClient();
  workspaceId = await storage.database.createWorkspace();
});

afterAll(async () => {
  for (const server of servers) server.close();
  s3.destroy();
  await storage.stop();
});

async function listen(server: Server): Promise<string> {
  servers.push(server);
  server.on('connection', (socket: Socket) => {
    socket.on('error', () => {}); // Transfers that end early reset the connection.
    socket.unref();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/video.mp4`;
}

const serve = (handler: (request: IncomingMessage, response: ServerResponse) => void) => listen(createServer(handler));
const serveFile = (content: Buffer) =>
  serve((_request, response) => response.writeHead(200, { 'content-length': content.length }).end(content));

const newPath = () => `recordings/${workspaceId}/${randomUUID()}.mp4`;

function start(
  sourceUrl: string,
  path = newPath(),
  changes: { workspaceId?: string; type?: string; mimeType?: string } = {},
) {
  return storage.transfers.createAndTransfer({
    sourceUrl,
    workspaceId,
    path,
    type: 'recording-video',
    mimeType: 'video/mp4',
    ...changes,
  });
}

async function rowAt(path: string) {
  const [row] = await storage.database.query<Record<string, unknown>>(
    'SELECT * FROM core_storage_file WHERE path = $1',
    [path],
  );
  return row;
}

/** What the bucket holds below a path: objects, and multipart uploads that nobody ended. */
async function leftAt(path: string) {
  const Bucket = storage.bucket;
  const objects = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: path }));
  const uploads = await s3.send(new ListMultipartUploadsCommand({ Bucket, Prefix: path }));
  return { objects: objects.KeyCount ?? 0, uploads: uploads.Uploads?.length ?? 0 };
}

async function expectFailure(transfer: Promise<unknown>, path: string, code: string) {
  await expect(transfer).rejects.toMatchObject({ name: 'StorageError', code });
  expect(await rowAt(path)).toMatchObject({
    transfer_status: 'FAILED',
    transfer_error: expect.stringMatching(new RegExp(`^${code}: `)),
    size: null,
    lease_token: null,
    upload_id: null,
  });
  expect(await leftAt(path)).toEqual({ objects: 0, uploads: 0 });
}

describe('createAndTransfer', () => {
  it.each([
    ['one byte', 1],
    ['less than a part', 3 * MiB],
    ['exactly one part', 5 * MiB],
    ['a part and a byte', 5 * MiB + 1],
    ['several parts', 21 * MiB + 7],
  ])('stores %s byte for byte', async (_what, size) => {
    const content = randomBytes(size);
    const path = newPath();
    const file = await start(await serveFile(content), path);
    const sha256 = createHash('sha256').update(content).digest('hex');
    expect(file).toMatchObject({
      transferStatus: 'DONE',
      size: BigInt(size),
      sha256,
      path,
      bucket: storage.bucket,
      transferError: null,
    });
    const object = await s3.send(new GetObjectCommand({ Bucket: storage.bucket, Key: path }));
    expect(object.ContentType).toBe('video/mp4');
    const stored = Buffer.from((await object.Body?.transformToByteArray()) ?? []);
    expect(createHash('sha256').update(stored).digest('hex')).toBe(sha256);
    expect(await leftAt(path)).toEqual({ objects: 1, uploads: 0 });
  });

  it('stores an empty file that the source announced', async () => {
    const path = newPath();
    expect(await start(await serveFile(Buffer.alloc(0)), path)).toMatchObject({ transferStatus: 'DONE', size: 0n });
    expect(await leftAt(path)).toEqual({ objects: 1, uploads: 0 });
  });

  it('shows each state in the database while it happens', async () => {
    const path = newPath();
    let finish = () => {};
    const asked = new Promise<void>((resolve) => {
      finish = resolve;
    });
    let response: ServerResponse | undefined;
    const url = await serve((_request, answer) => {
      response = answer;
      answer.writeHead(200, { 'content-length': 10 }).write('hello');
      finish();
    });
    const transfer = start(url, path);
    await asked;
    expect(await rowAt(path)).toMatchObject({
      transfer_status: 'TRANSFERRING',
      size: null,
      finished_at: null,
      attempts: 1,
      source_url: url,
      lease_token: expect.any(String),
    });
    response?.end('world');
    expect(await transfer).toMatchObject({ transferStatus: 'DONE', size: 10n });
    expect(await rowAt(path)).toMatchObject({
      transfer_status: 'DONE',
      lease_token: null,
      finished_at: expect.any(Date),
    });
  });

  it('reports bytes as they are read', async () => {
    const content = randomBytes(6 * MiB);
    const seen: { bytes: number; totalBytes: number | null }[] = [];
    await storage.transfers.createAndTransfer(
      { sourceUrl: await serveFile(content), workspaceId, path: newPath(), type: 'recording-video' },
      { onProgress: (progress) => seen.push(progress) },
    );
    expect(seen.at(-1)).toMatchObject({ bytes: content.length, totalBytes: content.length });
    expect(seen.every(({ bytes }, index) => index === 0 || bytes > (seen[index - 1]?.bytes ?? 0))).toBe(true);
  });

  it('keeps tokens of the source out of the row', async () => {
    const path = newPath();
    await start(`${await serveFile(Buffer.from('x'))}?token=canary-token`, path);
    const row = JSON.stringify(await rowAt(path), (_key, value) => (typeof value === 'bigint' ? String(value) : value));
    expect(row).not.toContain('canary');
  });
});

describe('createAndTransfer of the same request again', () => {
  it('gives one row, one object and one download', async () => {
    let downloads = 0;
    const url = await serve((_request, response) => {
      downloads += 1;
      setTimeout(() => response.writeHead(200, { 'content-length': 5 }).end('hello'), 50);
    });
    const path = newPath();
    const files = await Promise.all(Array.from({ length: 20 }, (_, index) => start(`${url}?token=${index}`, path)));
    files.push(await start(url, path));
    expect(new Set(files.map(({ id }) => id)).size).toBe(1);
    expect(files.every(({ transferStatus }) => transferStatus === 'DONE')).toBe(true);
    expect(downloads).toBe(1);
    expect(await leftAt(path)).toEqual({ objects: 1, uploads: 0 });
  });

  it('tries a failed one again, on the same row', async () => {
    let isBroken = true;
    const url = await serve((_request, response) => {
      if (isBroken) response.writeHead(503).end();
      else response.writeHead(200, { 'content-length': 5 }).end('hello');
    });
    const path = newPath();
    await expectFailure(start(url, path), path, 'SOURCE_STATUS');
    isBroken = false;
    expect(await start(url, path)).toMatchObject({
      transferStatus: 'DONE',
      size: 5n,
      attempts: 2,
      transferError: null,
    });
  });

  it('refuses another source on a taken path, and a path whose file is deleted', async () => {
    const path = newPath();
    const file = await start(await serveFile(Buffer.from('one')), path);
    await expect(start(await serveFile(Buffer.from('two')), path)).rejects.toMatchObject({ code: 'PATH_TAKEN' });
    await storage.transfers.deleteFile(file);
    await expect(start(file.sourceUrl ?? '', path)).rejects.toMatchObject({ code: 'PATH_TAKEN' });
    expect(await storage.s3.headObject(path)).toMatchObject({ contentLength: 3 });
  });

  it('takes over a transfer whose owner died, and discards its parts', async () => {
    const content = randomBytes(6 * MiB);
    const path = newPath();
    const url = await serveFile(content);
    const uploadId = await storage.beginUpload(path);
    await storage.insertAbandoned({ workspaceId, path, sourceUrl: url, uploadId });
    expect(await leftAt(path)).toEqual({ objects: 0, uploads: 1 });
    expect(await start(url, path)).toMatchObject({ transferStatus: 'DONE', size: BigInt(content.length), attempts: 2 });
    expect(await leftAt(path)).toEqual({ objects: 1, uploads: 0 });
  });

  it.each([
    ['the store had put the object together', true],
    ['the store still has only the parts', false],
  ])('finishes one whose owner died after it sent Complete, without a download, when %s', async (_what, isComplete) => {
    const id = randomUUID();
    const path = newPath();
    let downloads = 0;
    const url = await serve((_request, response) => {
      downloads += 1;
      response.writeHead(500).end();
    });
    const uploadId = await storage.beginUpload(path, `${id}.1`);
    if (isComplete) {
      const place = { Bucket: storage.bucket, Key: path, UploadId: uploadId };
      const { Parts } = await s3.send(new ListPartsCommand(place));
      await s3.send(new CompleteMultipartUploadCommand({ ...place, MultipartUpload: { Parts } }));
    }
    const sha256 = createHash('sha256').update('hello').digest('hex');
    await storage.insertAbandoned({ id, workspaceId, path, sourceUrl: url, uploadId, completing: { size: 5, sha256 } });
    // Tries that came since and did not find out either: the object still carries the token of the first.
    await storage.database.query('UPDATE core_storage_file SET attempts = 3 WHERE id = $1', [id]);
    expect(await start(url, path)).toMatchObject({ id, transferStatus: 'DONE', size: 5n, sha256, attempts: 4 });
    expect(downloads).toBe(0);
    expect(await leftAt(path)).toEqual({ objects: 1, uploads: 0 });
  });

  it('ends without touching the row when another process took it over', async () => {
    const path = newPath();
    let closed: Promise<unknown> = Promise.resolve();
    const url = await serve((_request, response) => {
      closed = new Promise((resolve) => response.on('close', resolve));
      response.writeHead(200, { 'content-length': 10 }).write('hello');
    });
    const patience = new AbortController();
    const options = { sourceUrl: url, workspaceId, path, type: 'recording-video' };
    const transfer = storage.transfers.createAndTransfer(options, { signal: patience.signal });
    const outcome = expect(transfer).rejects.toMatchObject({ code: 'TRANSFER_GOES_ON' });
    while ((await rowAt(path))?.transfer_status !== 'TRANSFERRING') await sleep(10);
    const thief = randomUUID();
    await storage.database.query(
      "UPDATE core_storage_file SET lease_token = $1, lease_until = now() + interval '1 hour' WHERE path = $2",
      [thief, path],
    );
    await closed;
    patience.abort();
    await outcome;
    expect(await rowAt(path)).toMatchObject({ transfer_status: 'TRANSFERRING', lease_token: thief });
  });
});

describe('createAndTransfer from a bad source', () => {
  const cases: [string, (response: ServerResponse) => void, string][] = [
    ['answers 404', (response) => response.writeHead(404).end(), 'SOURCE_STATUS'],
    ['answers 403', (response) => response.writeHead(403).end(), 'SOURCE_STATUS'],
    ['redirects for ever', (response) => response.writeHead(302, { location: '/again' }).end(), 'SOURCE_REDIRECT'],
    ['breaks off in the second part', (response) => breakOff(response, 6 * MiB, 12 * MiB), 'SOURCE_TRUNCATED'],
    ['ends early', (response) => breakOff(response, 5, 10), 'SOURCE_TRUNCATED'],
    [
      'stalls in the second part',
      (response) => void response.writeHead(200, { 'content-length': 12 * MiB }).write(Buffer.alloc(6 * MiB)),
      'SOURCE_TIMEOUT',
    ],
    ['never answers', () => {}, 'SOURCE_TIMEOUT'],
    ['is empty without saying so', (response) => response.writeHead(200).end(), 'SOURCE_EMPTY'],
  ];
  it.each(cases)('fails when it %s', async (_what, handler, code) => {
    const path = newPath();
    await expectFailure(start(await serve((_request, response) => handler(response)), path), path, code);
  });

  it('fails when it sends more than it announced', async () => {
    const path = newPath();
    const server = createSocketServer((socket) =>
      socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello, and more')),
    );
    await expectFailure(start(await listen(server), path), path, 'SOURCE_PROTOCOL');
  });

  it('fails when nobody listens there', async () => {
    // The port is taken on another address, so that nobody else comes to listen on it.
    const url = (await listen(createServer())).replace('127.0.0.1', '127.0.0.2');
    const path = newPath();
    await expectFailure(start(url, path), path, 'SOURCE_UNREACHABLE');
  });

  it('fails when its address is private, and says no more than that', async () => {
    const path = newPath();
    await expectFailure(start('http://10.0.0.1/secret', path), path, 'SOURCE_ADDRESS_BLOCKED');
    expect((await rowAt(path))?.transfer_error).toBe('SOURCE_ADDRESS_BLOCKED: source address not allowed');
  });
});

describe('createAndTransfer with bad arguments', () => {
  const cases: [
    string,
    Partial<{ sourceUrl: string; path: string; type: string; mimeType: string; workspaceId: string }>,
    string,
  ][] = [
    ['a path with ..', { path: 'recordings/../x.mp4' }, 'INVALID_PATH'],
    ['a path with a control character', { path: 'recordings/\u0000.mp4' }, 'INVALID_PATH'],
    ['a path of 1,025 bytes', { path: `${'a/'.repeat(512)}b` }, 'INVALID_PATH'],
    ["another workspace's prefix", { path: `recordings/${randomUUID()}/x.mp4` }, 'INVALID_PATH'],
    ['a scheme other than http', { sourceUrl: 'ftp://files.example/x' }, 'SOURCE_URL_INVALID'],
    ['a type with spaces', { type: 'recording video' }, 'INVALID_TYPE'],
    ['a mimeType with a line break', { mimeType: 'video/mp4\r\nx: y' }, 'INVALID_MIME_TYPE'],
    ['a workspaceId that is no UUID', { workspaceId: 'mine' }, 'WORKSPACE_NOT_FOUND'],
  ];
  it.each(cases)('refuses %s and makes no row', async (_what, changes, code) => {
    const [before] = await storage.database.query<{ count: string }>('SELECT count(*) FROM core_storage_file');
    const { sourceUrl = 'https://files.example/x', path = newPath(), ...rest } = changes;
    await expect(start(sourceUrl, path, rest)).rejects.toMatchObject({ name: 'StorageError', code });
    expect(await storage.database.query('SELECT count(*) FROM core_storage_file')).toEqual([before]);
  });

  it('refuses a workspace that does not exist', async () => {
    const unknown = randomUUID();
    const transfer = start('https://files.example/x', `recordings/${unknown}/x.mp4`, { workspaceId: unknown });
    await expect(transfer).rejects.toMatchObject({ code: 'WORKSPACE_NOT_FOUND' });
  });
});

describe('a cancelled transfer', () => {
  it('cleans up, fails its row and closes the source', async () => {
    const path = newPath();
    let closed: Promise<unknown> = Promise.resolve();
    const url = await serve((_request, response) => {
      closed = new Promise((resolve) => response.on('close', resolve));
      response.writeHead(200, { 'content-length': 20 * MiB }).write(Buffer.alloc(12 * MiB));
    });
    const transfer = storage.transfers.createAndTransfer({
      sourceUrl: url,
      workspaceId,
      path,
      type: 'recording-video',
    });
    const outcome = expectFailure(transfer, path, 'TRANSFER_CANCELLED');
    while ((await rowAt(path))?.upload_id == null) await sleep(10);
    const file = await storage.files.findByPath({ workspaceId, bucket: storage.bucket, path });
    if (file !== null) await storage.transfers.cancelTransfer(file);
    await outcome;
    await closed;
  });
});

describe('getSignedUrl', () => {
  it('gives a URL that reads the file, with ranges', async () => {
    const file = await start(await serveFile(Buffer.from('hello')));
    const url = await storage.transfers.getSignedUrl(file);
    const answer = await fetch(url, { headers: { range: 'bytes=1-3' } });
    expect([answer.status, await answer.text()]).toEqual([206, 'ell']);
    expect(new URL(url).searchParams.get('X-Amz-Expires')).toBe('3600');
    expect(answer.headers.get('content-disposition')).toMatch(/^inline/);
  });

  it('judges the object it is given', async () => {
    const file = await start(await serveFile(Buffer.from('hello')));
    const refused = (changes: object, expiresIn?: number) =>
      storage.transfers.getSignedUrl({ ...file, ...changes }, expiresIn);
    for (const transferStatus of ['PENDING', 'TRANSFERRING', 'FAILED']) {
      await expect(refused({ transferStatus })).rejects.toMatchObject({ code: 'FILE_NOT_READY' });
    }
    await expect(refused({ deletedAt: new Date() })).rejects.toMatchObject({ code: 'FILE_DELETED' });
    for (const expiresIn of [0, -1, 1.5, Number.NaN, 604_801]) {
      await expect(refused({}, expiresIn)).rejects.toMatchObject({ code: 'INVALID_EXPIRY' });
    }
    for (const expiresIn of [1, 604_800]) expect(await refused({}, expiresIn)).toContain(`X-Amz-Expires=${expiresIn}`);
  });

  it('makes types that can run scripts a download, whatever is asked', async () => {
    const path = `uploads/${workspaceId}/${randomUUID()}.svg`;
    const file = await start(await serveFile(Buffer.from('<svg/>')), path, { mimeType: 'image/svg+xml' });
    const { url } = await storage.transfers.presign(file, { disposition: 'inline', filename: 'Schéma "a".svg' });
    const { headers } = await fetch(url);
    expect(headers.get('content-disposition')).toMatch(
      /^attachment; filename="Sch\?ma .*filename\*=UTF-8''Sch%C3%A9ma/,
    );
    expect(headers.get('content-type')).toBe('application/octet-stream');
    const plain = await fetch(await storage.s3.getSignedUrl(path));
    expect(plain.headers.get('content-disposition')).toBe('attachment');
  });
});

describe('deleteFile', () => {
  it('hides, then removes for good, with the same stale object', async () => {
    const path = newPath();
    const file = await start(await serveFile(Buffer.from('hello')), path);
    await storage.transfers.deleteFile(file);
    expect(await rowAt(path)).toMatchObject({ deleted_at: expect.any(Date) });
    expect(await leftAt(path)).toEqual({ objects: 1, uploads: 0 });
    await storage.transfers.deleteFile(file, true);
    expect(await rowAt(path)).toBeUndefined();
    expect(await leftAt(path)).toEqual({ objects: 0, uploads: 0 });
    await storage.transfers.deleteFile(file, true);
  });

  it('can be taken back while it is soft', async () => {
    const path = newPath();
    const file = await start(await serveFile(Buffer.from('hello')), path);
    await storage.transfers.deleteFile(file);
    const restored = await storage.files.restore({ workspaceId, id: file.id });
    expect(restored).toMatchObject({ id: file.id, deletedAt: null, transferStatus: 'DONE' });
    expect(await storage.files.restore({ workspaceId: randomUUID(), id: file.id })).toBeNull();
    await storage.database.query(
      "UPDATE core_storage_file SET deleted_at = now(), lease_until = now() + interval '1 minute' WHERE id = $1",
      [file.id],
    );
    await expect(storage.files.restore({ workspaceId, id: file.id })).rejects.toMatchObject({ code: 'FILE_BUSY' });
  });

  it('leaves no DONE row when its object may be gone already', async () => {
    const path = newPath();
    const file = await start(await serveFile(Buffer.from('hello')), path);
    const locked = "UPDATE core_storage_file SET bucket = 'no-such-bucket' WHERE id = $1";
    await storage.database.query(locked, [file.id]);
    await expect(storage.transfers.deleteFile(file, true)).rejects.toMatchObject({ code: 'BUCKET_NOT_FOUND' });
    await expect(storage.files.restore({ workspaceId, id: file.id })).rejects.toMatchObject({ code: 'FILE_BUSY' });
    expect(await rowAt(path)).toMatchObject({
      transfer_status: 'FAILED',
      transfer_error: expect.stringMatching(/^FILE_DELETED: /),
    });
  });

  it('keeps the row when its lease ran out meanwhile and another took the file', async () => {
    const path = newPath();
    const file = await start(await serveFile(Buffer.from('hello')), path);
    await storage.database.query(`CREATE FUNCTION steal() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      UPDATE core_storage_file SET lease_token = gen_random_uuid() WHERE id = NEW.id; RETURN NULL; END $$`);
    await storage.database.query(`CREATE TRIGGER steal AFTER UPDATE ON core_storage_file FOR EACH ROW
      WHEN (NEW.id = '${file.id}' AND NEW.lease_token IS NOT NULL AND pg_trigger_depth() = 0) EXECUTE FUNCTION steal()`);
    await expect(storage.transfers.deleteFile(file, true)).rejects.toMatchObject({ code: 'FILE_BUSY' });
    expect(await rowAt(path)).toMatchObject({ id: file.id });
  });

  it('ends the transfer under way and leaves nothing', async () => {
    const path = newPath();
    const url = await serve(
      (_request, response) =>
        void response.writeHead(200, { 'content-length': 20 * MiB }).write(Buffer.alloc(12 * MiB)),
    );
    const transfer = start(url, path);
    const outcome = expect(transfer).rejects.toMatchObject({ code: 'TRANSFER_CANCELLED' });
    let row = await rowAt(path);
    while (row?.upload_id == null) {
      await sleep(10);
      row = await rowAt(path);
    }
    const file = await storage.files.findById({ workspaceId, id: String(row.id) });
    if (file === null) throw new Error('the row is gone too early');
    await storage.transfers.deleteFile(file, true);
    await outcome;
    expect(await rowAt(path)).toBeUndefined();
    expect(await leftAt(path)).toEqual({ objects: 0, uploads: 0 });
  });
});

describe('uploadStream', () => {
  it('stores a stream and tells its size', async () => {
    const path = `uploads/${randomUUID()}.bin`;
    const content = randomBytes(11 * MiB);
    const result = await storage.s3.uploadStream({
      path,
      body: Readable.from([content]),
      contentType: 'application/octet-stream',
    });
    expect(result).toEqual({ path, bucket: storage.bucket, size: content.length });
    expect(await storage.s3.headObject(path)).toEqual({
      contentLength: content.length,
      contentType: 'application/octet-stream',
      lastModified: expect.any(Date),
    });
  });

  it('gives the error of a stream that breaks, and leaves nothing', async () => {
    const path = `uploads/${randomUUID()}.bin`;
    const body = Readable.from(
      (async function* () {
        yield randomBytes(6 * MiB);
        throw new Error('the disk is gone');
      })(),
    );
    await expect(storage.s3.uploadStream({ path, body, contentType: 'video/mp4' })).rejects.toThrow('the disk is gone');
    expect(await leftAt(path)).toEqual({ objects: 0, uploads: 0 });
  });

  it('survives a stream that breaks before it is read', async () => {
    const body = new Readable({ read() {} });
    body.destroy(new Error('never opened'));
    const upload = storage.s3.uploadStream({ path: `uploads/${randomUUID()}`, body, contentType: 'video/mp4' });
    await expect(upload).rejects.toThrow('never opened');
  });

  it('refuses bad paths, buckets and types before any request, in every method', async () => {
    const body = () => Readable.from(['x']);
    for (const path of ['../x', 'a\u0000b', '', 'a//b']) {
      for (const call of [
        () => storage.s3.uploadStream({ path, body: body(), contentType: 'video/mp4' }),
        () => storage.s3.getSignedUrl(path),
        () => storage.s3.headObject(path),
        () => storage.s3.deleteObject(path),
      ]) {
        await expect(call()).rejects.toMatchObject({ code: 'INVALID_PATH' });
      }
    }
    const bucket = 'arn:aws:s3:us-east-1:123456789012:accesspoint/x';
    for (const call of [
      () => storage.s3.uploadStream({ path: 'a', body: body(), contentType: 'video/mp4', bucket }),
      () => storage.s3.getSignedUrl('a', 60, bucket),
      () => storage.s3.headObject('a', bucket),
      () => storage.s3.deleteObject('a', bucket),
    ]) {
      await expect(call()).rejects.toMatchObject({ code: 'BUCKET_NOT_ALLOWED' });
    }
    const upload = storage.s3.uploadStream({ path: 'a', body: body(), contentType: 'video' });
    await expect(upload).rejects.toMatchObject({ code: 'INVALID_MIME_TYPE' });
  });

  it('says which object is missing, and that deleting it again is no error', async () => {
    await expect(storage.s3.headObject('uploads/none.bin')).rejects.toMatchObject({
      code: 'OBJECT_NOT_FOUND',
      message: expect.stringContaining('uploads/none.bin'),
    });
    await storage.s3.deleteObject('uploads/none.bin');
  });
});

/** Announces `length` bytes, sends `sent` of them and breaks the connection. */
function breakOff(response: ServerResponse, sent: number, length: number): void {
  response.writeHead(200, { 'content-length': length });
  response.write(Buffer.alloc(sent), () => response.socket?.end());
}
