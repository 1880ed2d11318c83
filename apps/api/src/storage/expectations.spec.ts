import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { GetObjectCommand, HeadObjectCommand, ListMultipartUploadsCommand, type S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startTestStorage, type TestStorage } from '../../test/support/test-storage.js';
import type { RemoteFile } from './transfer/source-opener.js';

const MiB = 1024 * 1024;
const MP4_BEGINNING = Buffer.from('00000020667479706d703432000000006d70343269736f6d', 'hex');
const LOGIN_PAGE = Buffer.from('\n <!-- sign in --> <!DOCTYPE html><html><body>Please sign in</body></html>');

let storage: TestStorage;
let s3: S3Client;
let workspaceId: string;
const servers: Server[] = [];

beforeAll(async () => {
  storage = await startTestStorage();
  s3 = storage.store.createClient();
  workspaceId = await storage.database.createWorkspace();
});

afterAll(async () => {
  for (const server of servers) server.close().closeAllConnections();
  s3.destroy();
  await storage.stop();
});

async function serve(handler: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server = createServer(handler);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/video.mp4`;
}

const serveFile = (content: Buffer, headers: Record<string, string> = {}) =>
  serve((_request, response) => response.writeHead(200, { 'content-length': content.length, ...headers }).end(content));

const newPath = () => `recordings/${workspaceId}/${randomUUID()}.mp4`;
const sha256Of = (content: Buffer) => createHash('sha256').update(content).digest('hex');
const video = (size: number) => Buffer.concat([MP4_BEGINNING, randomBytes(size - MP4_BEGINNING.length)]);

const transfer = (sourceUrl: string, options: Partial<RemoteFile> = {}) =>
  storage.transfers.createAndTransfer({
    sourceUrl,
    workspaceId,
    path: newPath(),
    type: 'recording-video',
    mimeType: 'video/mp4',
    ...options,
  });

async function readObject(path: string): Promise<Buffer> {
  const { Body } = await s3.send(new GetObjectCommand({ Bucket: storage.bucket, Key: path }));
  return Buffer.from((await Body?.transformToByteArray()) ?? []);
}

async function expectNothingAt(path: string) {
  const uploads = await s3.send(new ListMultipartUploadsCommand({ Bucket: storage.bucket, Prefix: path }));
  expect(uploads.Uploads ?? []).toEqual([]);
  const head = s3.send(new HeadObjectCommand({ Bucket: storage.bucket, Key: path }));
  await expect(head).rejects.toMatchObject({ $metadata: { httpStatusCode: 404 } });
}

describe('what a file is expected to be', () => {
  it('lets the right file pass, whatever the case of its checksum', async () => {
    const content = video(6 * MiB);
    const expected = { size: content.length, sha256: sha256Of(content).toUpperCase(), type: 'video/mp4' };
    await expect(transfer(await serveFile(content), { expected })).resolves.toMatchObject({ transferStatus: 'DONE' });
  });

  it.each<[string, Partial<RemoteFile>, string]>([
    ['another size', { expected: { size: 1 } }, 'SOURCE_SIZE_MISMATCH'],
    ['another checksum', { expected: { sha256: '0'.repeat(64) } }, 'SOURCE_CHECKSUM_MISMATCH'],
    ['another type', { expected: { type: 'image/*' } }, 'SOURCE_TYPE_MISMATCH'],
    ['more bytes than allowed', { maxBytes: 1_000 }, 'SOURCE_TOO_LARGE'],
  ])('refuses %s, in one PUT and in parts, with or without a length', async (_what, options, code) => {
    for (const size of [100_000, 6 * MiB]) {
      const content = video(size);
      const chunked = await serve((_request, response) => {
        response.write(content.subarray(0, size / 2));
        response.end(content.subarray(size / 2));
      });
      for (const url of [await serveFile(content), chunked]) {
        const path = newPath();
        await expect(transfer(url, { ...options, path })).rejects.toMatchObject({ code });
        await expectNothingAt(path);
      }
    }
  });

  it('refuses a login page where a video is to be stored, unless nobody said what it is', async () => {
    const url = await serveFile(LOGIN_PAGE, { 'content-type': 'video/mp4' });
    await expect(transfer(url)).rejects.toMatchObject({
      code: 'SOURCE_TYPE_MISMATCH',
      message: 'source is a web page, perhaps a login page, and video/mp4 was expected',
    });
    await expect(transfer(url, { mimeType: 'text/html' })).resolves.toMatchObject({ transferStatus: 'DONE' });
    const expected = { type: 'application/zip' };
    await expect(transfer(url, { mimeType: 'application/zip', expected })).rejects.toMatchObject({
      code: 'SOURCE_TYPE_MISMATCH',
    });
  });

  it.each(['none', 'utf-8', 'identity'])(
    'looks at bytes that are said to be coded as %s, which is no coding',
    async (coding) => {
      const url = await serveFile(LOGIN_PAGE, { 'content-encoding': coding });
      await expect(transfer(url)).rejects.toMatchObject({ code: 'SOURCE_TYPE_MISMATCH' });
    },
  );

  it('takes a coded body as it comes, unless its type is insisted on', async () => {
    const url = await serveFile(gzipSync(LOGIN_PAGE), { 'content-encoding': 'gzip' });
    await expect(transfer(url)).resolves.toMatchObject({ transferStatus: 'DONE' });
    const expected = { type: 'video/mp4' };
    await expect(transfer(url, { expected })).rejects.toMatchObject({ code: 'SOURCE_TYPE_MISMATCH' });
  });

  it.each<[string, Partial<RemoteFile>]>([
    ['maxBytes', { maxBytes: 0 }],
    ['expected.size', { expected: { size: 1.5 } }],
    ['expected.sha256', { expected: { sha256: 'abc' } }],
    ['expected.type', { expected: { type: 'video' } }],
    ['sourceHeaders', { sourceHeaders: { Host: 'elsewhere' } }],
    ['object.storageClass', { object: { storageClass: 'cold storage' } }],
  ])('names %s when it is wrong, before a row is made', async (field, options) => {
    const path = newPath();
    await expect(transfer('http://127.0.0.1:9999/', { ...options, path })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining(field),
    });
    const rows = await storage.database.query('SELECT id FROM core_storage_file WHERE path = $1', [path]);
    expect(rows).toEqual([]);
  });

  it('takes a body whose end nothing marks when it is told to, and the row says so', async () => {
    const url = await serve((_request, response) => {
      response.shouldKeepAlive = false;
      response.useChunkedEncodingByDefault = false;
      response.writeHead(200).end('all that came');
    });
    await expect(transfer(url)).rejects.toMatchObject({ code: 'SOURCE_LENGTH_UNPROVEN' });
    const file = await transfer(url, { allowUnprovenLength: true });
    expect(file).toMatchObject({ transferStatus: 'DONE', size: 13n, lengthVerified: false });
    expect(await transfer(await serveFile(video(100)))).toMatchObject({ lengthVerified: true });
  });
});

describe('a link that expires', () => {
  /** Serves ranges while the token is the one of the hour; cuts each answer after `cutAfter` bytes. */
  async function serveExpiring(content: Buffer, cutAfter: number) {
    const state = { token: 'first', asked: [] as string[], etag: '"v1"' };
    const url = await serve((request, response) => {
      const token = new URL(request.url ?? '', 'http://x').searchParams.get('token') ?? '';
      const { range = '', authorization = '' } = request.headers;
      state.asked.push(`${token} ${range} ${authorization}`.trim());
      if (token !== state.token) return response.writeHead(403).end();
      const start = Number(/^bytes=(\d+)-/.exec(range)?.[1] ?? 0);
      const end = Math.min(content.length, start + cutAfter);
      const headers = { etag: state.etag, 'accept-ranges': 'bytes', 'content-length': content.length - start };
      const contentRange = `bytes ${start}-${content.length - 1}/${content.length}`;
      response.writeHead(range ? 206 : 200, { ...headers, ...(range ? { 'content-range': contentRange } : {}) });
      response.write(content.subarray(start, end), () => end < content.length && response.destroy());
      state.token = 'second'; // From now on the first link is too old.
      return end === content.length ? response.end() : undefined;
    });
    return { url: `${url}?token=first`, freshUrl: `${url}?token=second`, state };
  }

  it('goes on from its exact byte by the fresh one, with the fresh headers', async () => {
    const content = video(8 * MiB);
    const { url, freshUrl, state } = await serveExpiring(content, 6 * MiB);
    const asked: string[] = [];
    storage.transfers.refreshSourcesOf('expiring-video', async (file) => {
      asked.push(file.path);
      return { sourceUrl: freshUrl, sourceHeaders: { authorization: 'Bearer fresh' } };
    });
    const path = newPath();
    const options = { path, type: 'expiring-video', sourceHeaders: { Authorization: 'Bearer old' } };
    expect(await transfer(url, options)).toMatchObject({ transferStatus: 'DONE', sha256: sha256Of(content) });
    expect(sha256Of(await readObject(path))).toBe(sha256Of(content));
    expect(asked).toEqual([path]);
    const start = /bytes=(\d+)-/.exec(state.asked.at(-1) ?? '')?.[1];
    expect(state.asked).toEqual([
      'first  Bearer old',
      `first bytes=${start}- Bearer old`,
      `second bytes=${start}- Bearer fresh`,
    ]);
    expect(() => storage.transfers.refreshSourcesOf('expiring-video', async () => ({ sourceUrl: url }))).toThrow();
  });

  it('fails when the fresh one leads to another version, when it is refused too, and when none is to be had', async () => {
    const content = video(8 * MiB);
    const changed = await serveExpiring(content, 6 * MiB);
    storage.transfers.refreshSourcesOf('changed-video', async () => {
      changed.state.etag = '"v2"';
      return { sourceUrl: changed.freshUrl };
    });
    await expect(transfer(changed.url, { type: 'changed-video' })).rejects.toMatchObject({ code: 'SOURCE_CHANGED' });
    const refused = await serveExpiring(content, 6 * MiB);
    storage.transfers.refreshSourcesOf('refused-video', async () => ({ sourceUrl: refused.url }));
    await expect(transfer(refused.url, { type: 'refused-video' })).rejects.toMatchObject({ code: 'SOURCE_STATUS' });
    expect(refused.state.asked.length).toBeLessThan(6);
    const lost = await serveExpiring(content, 6 * MiB);
    storage.transfers.refreshSourcesOf('lost-video', async () => {
      throw new Error('token=canary');
    });
    await expect(transfer(lost.url, { type: 'lost-video' })).rejects.toMatchObject({
      code: 'SOURCE_STATUS',
      message: 'source answered 403, and no fresh link was to be had',
    });
    const rows = await storage.database.query('SELECT transfer_error FROM core_storage_file WHERE type = $1', [
      'lost-video',
    ]);
    expect(JSON.stringify(rows)).not.toContain('canary');
  });

  it('may not lead into the network', async () => {
    storage.transfers.refreshSourcesOf('inward-video', async () => ({ sourceUrl: 'http://169.254.169.254/latest/' }));
    const { url } = await serveExpiring(video(8 * MiB), 6 * MiB);
    await expect(transfer(url, { type: 'inward-video' })).rejects.toMatchObject({ code: 'SOURCE_ADDRESS_BLOCKED' });
  });
});

describe('a source that begins anew', () => {
  it('has the checksum of the whole file in its row', async () => {
    const content = video(MiB);
    let answers = 0;
    const url = await serve((_request, response) => {
      answers += 1;
      response.writeHead(200, { 'content-length': content.length });
      if (answers > 1) response.end(content);
      else response.write(content.subarray(0, content.length / 2), () => response.destroy());
    });
    expect(await transfer(url)).toMatchObject({ transferStatus: 'DONE', sha256: sha256Of(content) });
    expect(answers).toBe(2);
  });
});

describe('createFromStream', () => {
  const create = (body: Readable, path = newPath(), options = {}) =>
    storage.transfers.createFromStream({ body, workspaceId, path, type: 'avatar', mimeType: 'image/png', ...options });

  it('stores a stream of this process, tracked by a row without a source', async () => {
    for (const size of [0, 1, 5 * MiB, 11 * MiB]) {
      const content = randomBytes(size);
      const file = await create(Readable.from(content.length > 0 ? [content.subarray(0, 1), content.subarray(1)] : []));
      expect(file).toMatchObject({
        transferStatus: 'DONE',
        size: BigInt(size),
        sha256: sha256Of(content),
        sourceUrl: null,
      });
      expect(sha256Of(await readObject(file.path))).toBe(sha256Of(content));
    }
  });

  it('keeps how the object is to be served', async () => {
    const object = { cacheControl: 'max-age=60', contentDisposition: 'attachment; filename="a.png"' };
    const { path } = await create(Readable.from(['x']), newPath(), { object });
    const head = await s3.send(new HeadObjectCommand({ Bucket: storage.bucket, Key: path }));
    expect(head).toMatchObject({ CacheControl: object.cacheControl, ContentDisposition: object.contentDisposition });
  });

  it('fails with the error of the stream, leaves nothing, and the path may be tried again', async () => {
    const path = newPath();
    const broken = Readable.from(
      (async function* () {
        yield randomBytes(6 * MiB);
        throw new Error('the upload was cut');
      })(),
    );
    await expect(create(broken, path)).rejects.toThrow('the upload was cut');
    await expectNothingAt(path);
    expect(await create(Readable.from(['again']), path)).toMatchObject({ transferStatus: 'DONE', attempts: 2 });
    const third = Readable.from(['third']);
    await expect(create(third, path)).rejects.toMatchObject({ code: 'PATH_TAKEN' });
    expect(third.destroyed).toBe(true);
  });

  it('refuses what is expected to be something else', async () => {
    const expected = { size: 4, sha256: sha256Of(Buffer.from('abcd')) };
    await expect(create(Readable.from(['abcd']), newPath(), { expected })).resolves.toBeDefined();
    await expect(create(Readable.from(['abc']), newPath(), { expected })).rejects.toMatchObject({
      code: 'SOURCE_SIZE_MISMATCH',
    });
    await expect(create(Readable.from(['abce']), newPath(), { expected })).rejects.toMatchObject({
      code: 'SOURCE_CHECKSUM_MISMATCH',
    });
    await expect(create(Readable.from([LOGIN_PAGE]))).rejects.toMatchObject({ code: 'SOURCE_TYPE_MISMATCH' });
  });
});

describe('progress', () => {
  it('is written at most once a second, and told with rate and time left', async () => {
    const content = video(2 * MiB);
    const url = await serve(async (_request, response) => {
      response.writeHead(200, { 'content-length': content.length });
      for (let sent = 0; sent < content.length; sent += content.length / 32) {
        response.write(content.subarray(sent, sent + content.length / 32));
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      response.end();
    });
    await storage.database.query(`CREATE TABLE row_updates (at TIMESTAMPTZ DEFAULT clock_timestamp(), bytes BIGINT)`);
    await storage.database.query(`CREATE FUNCTION note_update() RETURNS trigger LANGUAGE plpgsql AS
      'BEGIN INSERT INTO row_updates (bytes) VALUES (NEW.bytes_transferred); RETURN NEW; END'`);
    await storage.database.query(`CREATE TRIGGER note_update AFTER UPDATE ON core_storage_file
      FOR EACH ROW EXECUTE FUNCTION note_update()`);
    const told: { bytesPerSecond: number | null; secondsLeft: number | null }[] = [];
    const path = newPath();
    const request = { sourceUrl: url, workspaceId, path, type: 'recording-video', mimeType: 'video/mp4' };
    await storage.transfers.createAndTransfer(request, { onProgress: (progress) => told.push(progress) });
    await storage.database.query('DROP TRIGGER note_update ON core_storage_file');
    const updates = await storage.database.query<{ at: Date; bytes: string | null }>(
      'SELECT * FROM row_updates ORDER BY at',
    );
    // What is written of progress: another number of bytes than in the update before.
    const during = updates.filter(
      ({ bytes }, index) => bytes !== null && bytes !== updates[index - 1]?.bytes && Number(bytes) < content.length,
    );
    expect(during.length).toBeGreaterThanOrEqual(2);
    expect(during.length).toBeLessThanOrEqual(4);
    for (const [index, { at }] of during.entries()) {
      const before = during[index - 1];
      if (before !== undefined) expect(at.getTime() - before.at.getTime()).toBeGreaterThan(900);
    }
    // Claim, completing, DONE, and what is said of progress: nothing else is written.
    expect(updates.length - during.length).toBeLessThanOrEqual(4);
    const middle = told[Math.floor(told.length / 2)];
    expect(middle?.bytesPerSecond).toBeGreaterThan(content.length / 10);
    expect(middle?.secondsLeft).toBeGreaterThan(0);
    expect(told.length).toBeLessThanOrEqual(16);
  });
});
