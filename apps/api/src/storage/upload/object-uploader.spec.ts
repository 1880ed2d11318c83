import { createHash, randomBytes, randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import {
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { kindOf, openStoreWay, type StoreWay } from '../../../test/support/store-way.js';
import { startTestStorage, type TestStorage } from '../../../test/support/test-storage.js';
import type { ByteSource } from '../source/byte-source.js';
import { StorageError } from '../storage.errors.js';
import { ObjectUploader, type WriteRequest } from './object-uploader.js';
import { PartBufferPool } from './part-buffer-pool.js';
import type { StoredPart } from './stored-part.js';
import { StreamSource } from './stream-source.js';

const MiB = 1024 * 1024;
const PART = 5 * MiB;
const QUEUE = 2;

let storage: TestStorage;
let s3: S3Client;
let way: StoreWay;
let uploader: ObjectUploader;

function onStore(variables: Record<string, string> = {}) {
  beforeAll(async () => {
    way = await openStoreWay(() => storage.store.variables.S3_ENDPOINT);
    const settings = { S3_ENDPOINT: way.endpoint, S3_QUEUE_SIZE: String(QUEUE), S3_STORE: 'local-s3', ...variables };
    storage = await startTestStorage(settings);
    s3 = storage.store.createClient();
    uploader = storage.get(ObjectUploader);
  });
  afterAll(async () => {
    s3.destroy();
    await storage.stop();
    way.close();
  });
  beforeEach(() => way.reset());
}

/** A stream of 64 KiB chunks, as most come. */
function streamOf(content: Buffer, options: { isLengthTold?: boolean } = {}): ByteSource {
  const chunks = Array.from({ length: Math.ceil(content.length / 65_536) }, (_, index) =>
    content.subarray(index * 65_536, (index + 1) * 65_536),
  );
  return new StreamSource(Readable.from(chunks), { length: options.isLengthTold === false ? null : content.length });
}

function write(source: ByteSource, changes: Partial<WriteRequest> = {}) {
  const request: WriteRequest = {
    bucket: storage.bucket,
    key: `objects/${randomUUID()}`,
    source,
    contentType: 'video/mp4',
    token: `${randomUUID()}.1`,
    ...changes,
  };
  return { key: request.key, token: request.token, written: uploader.write(request) };
}

/** What the object is, read past the way. */
async function read(key: string) {
  const object = await s3.send(new GetObjectCommand({ Bucket: storage.bucket, Key: key }));
  return { ...object, content: Buffer.from((await object.Body?.transformToByteArray()) ?? []) };
}

async function expectContent(key: string, content: Buffer) {
  const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
  expect(sha256((await read(key)).content)).toBe(sha256(content));
  expect(await leftAt(key)).toEqual({ objects: 1, uploads: 0 });
}

async function leftAt(key: string) {
  const place = { Bucket: storage.bucket, Prefix: key };
  const objects = await s3.send(new ListObjectsV2Command(place));
  const uploads = await s3.send(new ListMultipartUploadsCommand(place));
  return { objects: objects.KeyCount ?? 0, uploads: uploads.Uploads?.length ?? 0 };
}

async function expectNothingLeft(key: string) {
  expect(await leftAt(key)).toEqual({ objects: 0, uploads: 0 });
  expect(storage.get(PartBufferPool).bytes.held).toBe(0);
}

const seen = (kind: string) => way.seen.filter((other) => other === kind).length;

/** Answers the first `times` requests of a kind by itself. */
function answer(kind: string, times: number, act: (response: ServerResponse, request: IncomingMessage) => void) {
  let left = times;
  way.disturb = (request, response) => {
    if (kindOf(request) !== kind || left === 0) return false;
    left -= 1;
    request.resume();
    act(response, request);
    return true;
  };
}

const refuse = (status: number, code: string) => (response: ServerResponse) =>
  void response.writeHead(status, { 'content-type': 'application/xml' }).end(`<Error><Code>${code}</Code></Error>`);

/** An answer to HEAD, or with a body to GET. */
function showObject(response: ServerResponse, size: number, token: string, body?: Buffer) {
  response.writeHead(200, { 'content-length': size, 'x-amz-meta-transfer-token': token }).end(body);
}

describe('an object', () => {
  onStore();

  it.each([
    ['nothing', 0],
    ['one byte', 1],
    ['a part less one', PART - 1],
    ['a part', PART],
    ['a part and one', PART + 1],
    ['two parts', 2 * PART],
    ['several parts', 3 * PART + 7],
  ])('of %s has the bytes of its source, whether their number was told or not', async (_what, size) => {
    const content = randomBytes(size);
    for (const isLengthTold of [true, false]) {
      const { key, token, written } = write(streamOf(content, { isLengthTold }));
      expect(await written).toEqual({ size, etag: expect.any(String) });
      await expectContent(key, content);
      expect((await read(key)).Metadata).toEqual({ 'transfer-token': token });
    }
    expect(storage.get(PartBufferPool).bytes.held).toBe(0);
  });

  it('is one request where the file fits into a part, and in parts where not', async () => {
    await write(streamOf(randomBytes(1_000))).written;
    expect(way.seen).toEqual(['put', 'get']);
    way.reset();
    await write(streamOf(randomBytes(100_000))).written;
    expect(way.seen).toEqual(['put', 'head', 'get', 'get']);
    way.reset();
    await write(streamOf(randomBytes(PART + 1))).written;
    expect(way.seen).toEqual(['create', 'part', 'part', 'complete', 'head', 'get', 'get']);
  });

  it('has its bytes in order when reads end out of order, and no more is read or sent at once than wanted', async () => {
    const content = randomBytes(9 * PART + 3);
    const source = new SideBySideSource(content, 3);
    let sending = 0;
    let mostSending = 0;
    way.disturb = (request, response) => {
      if (kindOf(request) !== 'part') return false;
      sending += 1;
      mostSending = Math.max(mostSending, sending);
      response.on('close', () => {
        sending -= 1;
      });
      return false;
    };
    const { key, written } = write(source);
    await written;
    await expectContent(key, content);
    expect(source.mostReading).toBe(3);
    expect(mostSending).toBeLessThanOrEqual(QUEUE);
  });

  it('has no part read or sent further ahead of one that the store has not taken than the queue is long', async () => {
    const content = randomBytes(9 * PART + 3);
    const source = new SideBySideSource(content, 3);
    const firstTaken = Promise.withResolvers<void>();
    const partOf = ({ url = '' }: IncomingMessage) =>
      Number(new URL(url, 'http://store').searchParams.get('partNumber'));
    way.delay = (request) => (partOf(request) === 1 ? firstTaken.promise : undefined);
    const sent: number[] = [];
    way.disturb = (request) => {
      if (kindOf(request) === 'part') sent.push(partOf(request));
      return false;
    };
    const taken: number[] = [];
    let ahead: { sent: number[]; begun: number } | undefined;
    const onPart = async ({ number }: StoredPart) => {
      taken.push(number);
      if (taken.length !== QUEUE) return;
      // Longer than a part takes that nothing holds back.
      for (let looks = 0; looks < 10; looks += 1) await leftAt('objects/');
      ahead = { sent: [...sent], begun: source.begun };
      firstTaken.resolve();
    };
    const { key, written } = write(source, { hooks: { onPart } });
    await written;
    await expectContent(key, content);
    expect(ahead?.sent.sort()).toEqual([1, 2, 3]);
    // The reads that the source has use for come on top of the queue.
    expect(ahead?.begun).toBe(QUEUE + 3);
  });

  it('is kept as the options say', async () => {
    const headers: Record<string, unknown>[] = [];
    way.disturb = (request) => {
      if (['put', 'create'].includes(kindOf(request))) headers.push(request.headers);
      return false;
    };
    const object = {
      storageClass: 'STANDARD',
      tags: { purpose: 'a & b' },
      cacheControl: 'max-age=60',
      contentDisposition: 'inline; filename="a.mp4"',
    };
    answer('put', 1, (response, request) => {
      headers.push(request.headers);
      refuse(501, 'NotImplemented')(response);
    });
    await expect(write(streamOf(randomBytes(5)), { object }).written).rejects.toMatchObject({
      code: 'STORE_UNREACHABLE',
    });
    expect(headers).toEqual([
      expect.objectContaining({
        'x-amz-storage-class': 'STANDARD',
        'x-amz-tagging': 'purpose=a+%26+b',
        'cache-control': 'max-age=60',
        'content-disposition': 'inline; filename="a.mp4"',
      }),
    ]);
  });

  it('that another put there is left alone, whether in one request or in parts', async () => {
    for (const size of [5, PART + 1]) {
      const key = `objects/${randomUUID()}`;
      await s3.send(new PutObjectCommand({ Bucket: storage.bucket, Key: key, Body: 'theirs' }));
      const { written } = write(streamOf(randomBytes(size)), { key });
      await expect(written).rejects.toMatchObject({ code: 'OBJECT_EXISTS' });
      await expectContent(key, Buffer.from('theirs'));
    }
  });

  it('that an earlier try of the same file put there late is replaced', async () => {
    for (const size of [5, PART + 1]) {
      const content = randomBytes(size);
      const id = randomUUID();
      const { key, written } = write(streamOf(randomBytes(7)), { token: `${id}.1` });
      await written;
      await write(streamOf(content), { key, token: `${id}.2` }).written;
      await expectContent(key, content);
    }
  });
});

describe('the owner of an upload', () => {
  onStore();

  it('is told the id before the first part, and the number of bytes before the object is made', async () => {
    const told: unknown[] = [];
    const hooks = {
      onUploadId: async (id: string) => void told.push([id, ...way.seen]),
      beforeObject: async (bytes: number) => void told.push([bytes, ...way.seen]),
    };
    await write(streamOf(randomBytes(PART + 1)), { hooks }).written;
    expect(told).toEqual([
      [expect.any(String), 'create'],
      [PART + 1, 'create', 'part', 'part'],
    ]);
  });

  it.each([
    ['in one request', 5],
    ['in parts', PART + 1],
  ])('can end it at the last moment: %s', async (_what, size) => {
    const onDiscarded = jest.fn();
    const error = new StorageError('SOURCE_CHECKSUM_MISMATCH', 'not these bytes');
    const hooks = { beforeObject: () => Promise.reject(error), onDiscarded };
    const { key, written } = write(streamOf(randomBytes(size)), { hooks });
    await expect(written).rejects.toBe(error);
    await expectNothingLeft(key);
    expect(onDiscarded).toHaveBeenCalledTimes(size > PART ? 1 : 0);
    expect(way.seen).not.toContain('put');
  });

  it('whose file another took over sends nothing any more', async () => {
    const lost = new StorageError('TRANSFER_LOST', 'taken over');
    let requests = 0;
    const beforeObject = async () => {
      requests = way.seen.length;
      throw lost;
    };
    await expect(write(streamOf(randomBytes(PART + 1)), { hooks: { beforeObject } }).written).rejects.toBe(lost);
    expect(way.seen.slice(requests)).toEqual([]);
  });

  it.each([
    ['while the source stalls', 'read'],
    ['while parts are on their way', 'part'],
  ])('can cancel it %s: source and parts are gone', async (_what, when) => {
    const cancel = new AbortController();
    const source = new StalledSource(randomBytes(PART), 3 * PART);
    if (when === 'read') source.onStall = () => cancel.abort(reason);
    const reason = new StorageError('TRANSFER_CANCELLED', 'enough');
    const onDiscarded = jest.fn();
    if (when === 'part') answer('part', 9, () => cancel.abort(reason));
    const hooks = { onDiscarded };
    const { key, written } = write(source, { signal: cancel.signal, hooks });
    await expect(written).rejects.toBe(reason);
    await expectNothingLeft(key);
    expect(source.destroyed).toBe(reason);
    expect(onDiscarded).toHaveBeenCalledTimes(1);
  });

  it('is not told that all is gone while a PUT that got no answer may still land', async () => {
    const cancel = new AbortController();
    const reason = new StorageError('TRANSFER_CANCELLED', 'enough');
    const onDiscarded = jest.fn();
    answer('put', 1, () => cancel.abort(reason));
    const hooks = { onDiscarded };
    const { written } = write(streamOf(randomBytes(5)), { signal: cancel.signal, hooks });
    await expect(written).rejects.toBe(reason);
    expect(onDiscarded).not.toHaveBeenCalled();
  });
});

describe('a source', () => {
  onStore();

  it.each([
    ['ends early, in its only part', 10, 20, 'SOURCE_TRUNCATED'],
    ['ends early, at the end of a part', 2 * PART, 3 * PART, 'SOURCE_TRUNCATED'],
    ['goes on past its length, in a part', 30, 20, 'SOURCE_PROTOCOL'],
    ['goes on past its length, after whole parts', 3 * PART, 2 * PART, 'SOURCE_PROTOCOL'],
  ])('that %s makes no object', async (_what, size, length, code) => {
    const { key, written } = write(new SideBySideSource(randomBytes(size), 1, length));
    await expect(written).rejects.toMatchObject({ code });
    await expectNothingLeft(key);
  });

  it('that breaks gives its own error', async () => {
    const source = streamOf(randomBytes(3 * PART));
    const broken = new Error('the cable');
    let parts = 0;
    way.disturb = (request) => {
      if (kindOf(request) === 'part') parts += 1;
      if (parts === 1) source.destroy(broken);
      return false;
    };
    const { key, written } = write(source);
    await expect(written).rejects.toBe(broken);
    await expectNothingLeft(key);
  });

  it('that takes its time to stop is waited for before the Abort', async () => {
    const source = new StalledSource(randomBytes(PART), 3 * PART);
    let seenAtStop: string[] | undefined;
    const stop = source.destroy.bind(source);
    source.destroy = (reason) => {
      setTimeout(() => {
        seenAtStop ??= [...way.seen];
        stop(reason);
      }, 100);
    };
    answer('part', 9, refuse(403, 'AccessDenied'));
    const { key, written } = write(source);
    await expect(written).rejects.toMatchObject({ code: 'STORE_ACCESS_DENIED' });
    expect(seenAtStop).toEqual(['create', 'part']);
    expect(seen('abort')).toBeGreaterThan(0);
    await expectNothingLeft(key);
  });
});

describe('a store', () => {
  onStore();
  const content = randomBytes(2 * PART + 9);

  it.each<[string, string, number, (response: ServerResponse, request: IncomingMessage) => void]>([
    ['slows parts down', 'part', 5, refuse(503, 'SlowDown')],
    ['fails with parts', 'part', 5, refuse(500, 'InternalError')],
    ['wants fewer requests', 'part', 5, refuse(429, 'TooManyRequests')],
    ['cuts parts off', 'part', 5, (response) => response.destroy()],
    ['cannot begin the upload yet', 'create', 3, refuse(503, 'SlowDown')],
    ['refuses a signature for its clock', 'part', 2, refuse(403, 'RequestTimeTooSkewed')],
    ['cannot complete yet', 'complete', 2, refuse(503, 'SlowDown')],
    ['cuts the looks at the object off', 'head', 3, (response) => response.destroy()],
    ['says no more than that to the bytes of the object', 'get', 3, refuse(500, 'InternalError')],
  ])('that %s for a while gets the whole object', async (_what, kind, times, act) => {
    answer(kind, times, act);
    const { key, written } = write(streamOf(content));
    expect(await written).toMatchObject({ size: content.length });
    await expectContent(key, content);
  });

  it.each<[string, string, (response: ServerResponse) => void, object, number]>([
    ['refuses a part', 'part', refuse(403, 'AccessDenied'), { code: 'STORE_ACCESS_DENIED' }, QUEUE],
    [
      'forgot the upload',
      'part',
      refuse(404, 'NoSuchUpload'),
      { code: 'UPLOAD_FAILED', message: expect.stringContaining('expired, or somebody aborted it') },
      QUEUE,
    ],
    [
      'gives a part no ETag',
      'part',
      (response) => void response.end(),
      { code: 'UPLOAD_FAILED', message: expect.stringContaining('no ETag') },
      QUEUE,
    ],
    [
      'gives an upload no id',
      'create',
      (response) => void response.end('<InitiateMultipartUploadResult></InitiateMultipartUploadResult>'),
      { code: 'UPLOAD_FAILED', message: expect.stringContaining('no id') },
      1,
    ],
    ['refuses to complete', 'complete', refuse(400, 'InvalidPart'), { code: 'UPLOAD_FAILED' }, 1],
  ])('that %s is not asked again, and nothing is left', async (_what, kind, act, error, most) => {
    answer(kind, 99, act);
    const { key, written } = write(streamOf(content));
    await expect(written).rejects.toMatchObject(error);
    await expectNothingLeft(key);
    expect(seen(kind)).toBeLessThanOrEqual(most);
  });

  it.each<[string, (response: ServerResponse) => void]>([
    [
      'an error with status 200',
      (response) => void response.end('<?xml version="1.0"?>\n<Error><Code>Busy</Code></Error>\n'),
    ],
    ['a page of a proxy', (response) => void response.setHeader('content-type', 'text/html').end('<html>hello</html>')],
    ['nothing', (response) => void response.end()],
  ])('that answers Complete with %s is asked again', async (_what, act) => {
    answer('complete', 1, act);
    const { key, written } = write(streamOf(content));
    expect(await written).toMatchObject({ size: content.length });
    await expectContent(key, content);
    expect(seen('complete')).toBe(2);
  });

  it('whose answer to Complete is lost is asked by HEAD, and neither completed again nor aborted', async () => {
    way.swallow = (request) => kindOf(request) === 'complete';
    const { key, written } = write(streamOf(content));
    expect(await written).toMatchObject({ size: content.length });
    await expectContent(key, content);
    expect([seen('complete'), seen('abort')]).toEqual([1, 0]);
  });

  it.each<[string, string, (response: ServerResponse, token: string) => void]>([
    ['shows the object of another in place of ours', 'head', (response) => showObject(response, 100_000, 'theirs.1')],
    ['shows another size', 'head', (response, token) => showObject(response, 99_999, token)],
    ['cannot read the bytes of the object it shows', 'get', refuse(404, 'NoSuchKey')],
  ])('that %s is not believed', async (_what, kind, act) => {
    const token = `${randomUUID()}.1`;
    answer(kind, 99, (response) => act(response, token));
    const { written } = write(streamOf(content.subarray(0, 100_000)), { token });
    await expect(written).rejects.toMatchObject({ code: 'UPLOAD_FAILED' });
  });

  it.each<[string, (response: ServerResponse, token: string) => void]>([
    ['cannot read a small object', refuse(404, 'NoSuchKey')],
    ['breaks a small object', (response, token) => showObject(response, 100, token, Buffer.alloc(100))],
    ['cuts a small object short', (response, token) => showObject(response, 99, token, content.subarray(0, 99))],
  ])('that %s is not believed', async (_what, act) => {
    const token = `${randomUUID()}.1`;
    answer('get', 99, (response) => act(response, token));
    const { key, written } = write(streamOf(content.subarray(0, 100)), { token });
    await expect(written).rejects.toMatchObject({ code: 'UPLOAD_FAILED' });
    expect(await leftAt(key)).toEqual({ objects: 0, uploads: 0 });
  });

  it.each([
    ['once', 1],
    ['always', 99],
  ])('whose answer to Create is lost %s is left with no upload that nobody knows', async (_what, times) => {
    let lost = times;
    way.swallow = (request) => kindOf(request) === 'create' && lost-- > 0;
    const theirs = `objects/${randomUUID()}`;
    await storage.beginUpload(theirs);
    const { key, written } = write(streamOf(content));
    if (times === 1) await written;
    else await expect(written).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' });
    expect(await leftAt(key)).toEqual({ objects: times === 1 ? 1 : 0, uploads: 0 });
    expect(await leftAt(theirs)).toEqual({ objects: 0, uploads: 1 });
  });

  it('whose answer to Create is lost keeps the upload of the next owner', async () => {
    way.swallow = (request) => kindOf(request) === 'create';
    const key = `objects/${randomUUID()}`;
    const hooks = {
      assertOwned: async () => Promise.reject(new StorageError('TRANSFER_LOST', 'another owner has the file')),
      onUnanswered: jest.fn(),
    };
    const { written } = write(streamOf(content), { key, hooks });
    await storage.beginUpload(key);
    await expect(written).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' });
    expect((await leftAt(key)).uploads).toBeGreaterThan(0);
    expect(seen('abort')).toBe(0);
    expect(hooks.onUnanswered).toHaveBeenCalledTimes(1);
  });

  it.each<[string, number, number]>([
    ['is aborted', 0, 0],
    ['is told of where it cannot be aborted', 99, 1],
  ])('that has begun an upload when the transfer is cancelled: it %s', async (_what, refusals, told) => {
    const cancel = new AbortController();
    way.delay = async (request) => {
      if (kindOf(request) === 'create') cancel.abort(new StorageError('TRANSFER_CANCELLED', 'enough'));
    };
    answer('abort', refusals, refuse(503, 'SlowDown'));
    const hooks = { onUploadId: jest.fn<() => Promise<void>>(), onUnanswered: jest.fn() };
    const { key, written } = write(streamOf(content), { hooks, signal: cancel.signal });
    await expect(written).rejects.toMatchObject({ code: 'TRANSFER_CANCELLED' });
    expect(hooks.onUploadId).not.toHaveBeenCalled();
    expect((await leftAt(key)).uploads).toBe(told);
    expect(hooks.onUnanswered).toHaveBeenCalledTimes(told);
  });

  it('whose first answer to Create is lost before a cancel is left with no upload that nobody knows', async () => {
    const cancel = new AbortController();
    let creates = 0;
    way.swallow = (request) => kindOf(request) === 'create' && ++creates === 1;
    way.delay = async (request) => {
      if (kindOf(request) === 'create' && creates === 1) cancel.abort(new StorageError('TRANSFER_CANCELLED', 'enough'));
    };
    const { key, written } = write(streamOf(content), { signal: cancel.signal });
    await expect(written).rejects.toMatchObject({ code: 'TRANSFER_CANCELLED' });
    expect(creates).toBe(2);
    await expectNothingLeft(key);
  });

  it('whose answer to a PUT is lost is not taken for one that has an object of others', async () => {
    let lost = 3;
    way.swallow = (request) => kindOf(request) === 'put' && lost-- > 0;
    const { key, written } = write(streamOf(content.subarray(0, 100)));
    expect(await written).toMatchObject({ size: 100 });
    await expectContent(key, content.subarray(0, 100));
  });
});

describe('one hash a part', () => {
  describe.each([
    ['crc32', 'x-amz-checksum-crc32', 'UNSIGNED-PAYLOAD'],
    ['md5', 'content-md5', 'UNSIGNED-PAYLOAD'],
    ['sha256', undefined, expect.stringMatching(/^[0-9a-f]{64}$/)],
  ])('%s', (integrity, header, payloadHash) => {
    onStore({ S3_PART_INTEGRITY: integrity });

    it('goes with it, alone, and has the store refuse a byte that changed on its way', async () => {
      const hashes: unknown[] = [];
      let damages = 2;
      way.disturb = ({ headers }) => {
        const names = Object.keys(headers).filter(
          (name) => /checksum|md5/.test(name) && name !== 'x-amz-checksum-algorithm',
        );
        if (headers['content-length'] !== undefined && Number(headers['content-length']) > 1_000) {
          hashes.push([names, headers['x-amz-content-sha256'], headers.expect]);
        }
        return false;
      };
      way.damage = (request, chunk) => {
        if (!['part', 'put'].includes(kindOf(request)) || damages === 0) return chunk;
        damages -= 1;
        const changed = Buffer.from(chunk);
        changed.writeUInt8(changed.readUInt8(0) ^ 1, 0);
        return changed;
      };
      for (const size of [5_000, PART + 5_000]) {
        const content = randomBytes(size);
        const { key, written } = write(streamOf(content));
        await written;
        await expectContent(key, content);
      }
      expect(damages).toBe(0);
      expect(hashes).toHaveLength(5);
      for (const hash of hashes) expect(hash).toEqual([header === undefined ? [] : [header], payloadHash, undefined]);
    });
  });
});

describe('a store that has no conditional PUT', () => {
  onStore({ S3_STORE: 'swift' });

  it.each([0, 1, 5_000, PART])('gets %d bytes as one part, which an upload id fences', async (size) => {
    const content = randomBytes(size);
    const { key, written } = write(streamOf(content));
    await written;
    expect(way.seen.filter((kind) => !['head', 'get'].includes(kind))).toEqual(['create', 'part', 'complete']);
    await expectContent(key, content);
  });
});

describe('a store that overwrites without a word', () => {
  onStore({ S3_STORE: 'ceph' });

  it('is looked at before Complete: an object of another is left alone', async () => {
    const key = `objects/${randomUUID()}`;
    await s3.send(new PutObjectCommand({ Bucket: storage.bucket, Key: key, Body: 'theirs' }));
    await expect(write(streamOf(randomBytes(PART + 1)), { key }).written).rejects.toMatchObject({
      code: 'OBJECT_EXISTS',
    });
    await expectContent(key, Buffer.from('theirs'));
    expect(seen('complete')).toBe(0);
  });
});

describe('limits', () => {
  onStore({ S3_MAX_PARTS: '2', TRANSFER_MEMORY_BYTES: String(PART + 1) });

  it('refuses an unknown length where the part numbers end, with the figure', async () => {
    const { key, written } = write(streamOf(randomBytes(2 * PART + 1), { isLengthTold: false }));
    await expect(written).rejects.toMatchObject({
      code: 'UPLOAD_TOO_LARGE',
      message: expect.stringMatching(/10485760 bytes.*S3_PART_SIZE_BYTES/),
    });
    await expectNothingLeft(key);
  });

  it('takes an unknown length that ends with the last part', async () => {
    const content = randomBytes(2 * PART);
    const { key, written } = write(streamOf(content, { isLengthTold: false }));
    await written;
    await expectContent(key, content);
  });

  it('refuses parts that do not fit into memory before anything is sent', async () => {
    const { written } = write(streamOf(randomBytes(2 * PART + 1)));
    await expect(written).rejects.toMatchObject({
      code: 'UPLOAD_TOO_LARGE',
      message: expect.stringMatching(/6291456 bytes.*5242881 bytes.*TRANSFER_MEMORY_BYTES/),
    });
    expect(way.seen).toEqual([]);
  });

  it('lets many uploads through one buffer', async () => {
    const contents = Array.from({ length: 6 }, () => randomBytes(PART + 1));
    const uploads = contents.map((content) => write(streamOf(content)));
    for (const [index, { key, written }] of uploads.entries()) {
      await written;
      await expectContent(key, contents[index] as Buffer);
    }
  });
});

/** Several reads at once, which end in the opposite order. It may hold another number of bytes than it says. */
class SideBySideSource implements ByteSource {
  readonly contentEncoding = null;
  readonly isLengthVerified = true;
  readonly version = null;
  readonly length: number;
  mostReading = 0;
  begun = 0;
  private position = 0;
  private waiting: (() => void)[] = [];

  constructor(
    private readonly content: Buffer,
    readonly readsAtOnce: number,
    length = content.length,
  ) {
    this.length = length;
  }

  async read(buffer: Buffer): Promise<number> {
    const bytes = this.content.subarray(this.position, this.position + buffer.length);
    this.position += bytes.length;
    this.begun += 1;
    await new Promise<void>((resolve) => {
      this.waiting.push(resolve);
      this.mostReading = Math.max(this.mostReading, this.waiting.length);
      setImmediate(() => this.waiting.pop()?.());
    });
    bytes.copy(buffer);
    return bytes.length;
  }

  destroy() {}
}

/** Gives its first bytes and then nothing more. */
class StalledSource implements ByteSource {
  readonly contentEncoding = null;
  readonly isLengthVerified = true;
  readonly version = null;
  readonly readsAtOnce = 1;
  destroyed: Error | undefined;
  onStall = () => {};
  private isRead = false;
  private readonly failed = Promise.withResolvers<number>();

  constructor(
    private readonly content: Buffer,
    readonly length: number,
  ) {
    this.failed.promise.catch(() => {}); // Fails whether or not somebody reads.
  }

  async read(buffer: Buffer): Promise<number> {
    if (!this.isRead) {
      this.isRead = true;
      return this.content.copy(buffer);
    }
    this.onStall();
    return await this.failed.promise;
  }

  destroy(reason: Error) {
    this.destroyed ??= reason;
    this.failed.reject(reason);
  }
}
