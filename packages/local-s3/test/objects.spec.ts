import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import {
  CopyObjectCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { send } from './support/raw-request.js';
import {
  BUCKET,
  dataFilesOf,
  refusalOf,
  startTestServer,
  type TestServer,
  temporaryFilesOf,
  uniqueKey,
  until,
} from './support/server.js';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

const put = async (Key: string, Body: string | Buffer, more: object = {}): Promise<string> => {
  const { ETag } = await server.client.send(new PutObjectCommand({ Bucket: BUCKET, Key, Body, ...more }));
  return ETag ?? '';
};
const get = (Key: string, more: object = {}) =>
  server.client.send(new GetObjectCommand({ Bucket: BUCKET, Key, ...more }));
const read = async (Key: string, more: object = {}) => (await get(Key, more)).Body?.transformToString();

describe('a key', () => {
  it.each([
    'a b+c&d=e',
    "it's (good) *!",
    'é日本語😀',
    'é in NFD',
    '100%25 %zz %2F',
    'a//b',
    '/leading',
    'folder/',
    '..a',
    '../up',
    'a/../b',
    './dot',
    'a/./b',
    'q?a=b&c;d#e[]{}<>\\^`~@:$,="|',
    'control\u0001\n\tcharacters',
    'x'.repeat(1024),
  ])('%j is stored, read and presigned as it is', async (key) => {
    await put(key, `content of ${key}`);
    expect(await read(key)).toBe(`content of ${key}`);
    const url = await getSignedUrl(server.client, new GetObjectCommand({ Bucket: BUCKET, Key: key }));
    const [, path = '', query = ''] = /^http:\/\/[^/]+([^?]+)\?(.*)$/.exec(url) ?? [];
    const { request } = await import('node:http');
    const status = await new Promise((resolve, reject) => {
      // node:http sends the path as it stands, where fetch would fold `..`.
      request({ port: server.s3.port, host: '127.0.0.1', path: `${path}?${query}` }, (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      })
        .on('error', reject)
        .end();
    });
    expect(status).toBe(200);
  });

  it('of 1025 bytes is too long', async () => {
    expect(await refusalOf(put('x'.repeat(1025), 'x'))).toEqual({ name: 'KeyTooLongError', status: 400 });
    expect((await refusalOf(put('é'.repeat(513), 'x'))).name).toBe('KeyTooLongError');
  });

  it('never leaves the data folder', async () => {
    for (const key of ['../../../../escape', '..%2f..%2fescape', '/etc/escape', '..\\..\\escape']) await put(key, 'x');
    const names = await readdir(server.dataDir, { recursive: true });
    expect(names.filter((name) => name.includes('escape'))).toEqual([]);
    for (const path of ['/../../etc/passwd', '/%2e%2e/x', '/..', '//etc/passwd', '/.%2e/%2e./x']) {
      const answer = await send(server.s3.port, { method: 'GET', path: path.replaceAll('%2e', '.') });
      expect(answer).toMatchObject({ status: 400, code: 'InvalidBucketName' });
    }
  });

  it('that is no URI or no UTF-8 is refused', async () => {
    for (const path of [`/${BUCKET}/%zz`, `/${BUCKET}/%ff`, `/${BUCKET}/%2`]) {
      expect(await send(server.s3.port, { method: 'GET', path })).toMatchObject({ status: 400, code: 'InvalidURI' });
    }
  });
});

describe('an object', () => {
  it('keeps its headers and metadata', async () => {
    const key = uniqueKey();
    const kept = {
      ContentType: 'video/mp4',
      CacheControl: 'max-age=60',
      ContentDisposition: 'attachment; filename="a.mp4"',
      ContentEncoding: 'gzip',
      ContentLanguage: 'cs',
      Metadata: { token: 'abc', 'with-dash': '1 2' },
    };
    const etag = await put(key, 'content', { ...kept, Expires: new Date('2030-01-02T03:04:05Z') });
    const head = await server.client.send(new HeadObjectCommand({ Bucket: BUCKET, Key: key }));
    expect(head).toMatchObject({ ...kept, ETag: etag, ContentLength: 7, AcceptRanges: 'bytes' });
    expect(head.ExpiresString).toBe('Wed, 02 Jan 2030 03:04:05 GMT');
    expect(Math.abs(Date.now() - (head.LastModified?.getTime() ?? 0))).toBeLessThan(5000);
    expect(etag).toBe(`"${createHash('md5').update('content').digest('hex')}"`);
    expect(head.$metadata.requestId).toMatch(/^[0-9A-F]{16}$/);
  });

  it('is binary/octet-stream unless told otherwise, and can be empty', async () => {
    const key = uniqueKey();
    const answer = await send(server.s3.port, { method: 'PUT', path: `/${BUCKET}/${key}`, body: '' });
    expect(answer.headers.etag).toBe('"d41d8cd98f00b204e9800998ecf8427e"');
    expect(await get(key)).toMatchObject({ ContentType: 'binary/octet-stream', ContentLength: 0 });
  });

  it('is gone after a delete, which can be repeated', async () => {
    const key = uniqueKey();
    await put(key, 'x');
    const remove = () => server.client.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: key }));
    expect((await remove()).$metadata.httpStatusCode).toBe(204);
    expect((await remove()).$metadata.httpStatusCode).toBe(204);
    expect(await refusalOf(get(key))).toEqual({ name: 'NoSuchKey', status: 404 });
    const head = server.client.send(new HeadObjectCommand({ Bucket: BUCKET, Key: key }));
    expect(await refusalOf(head)).toEqual({ name: 'NotFound', status: 404 });
  });

  it('refuses more than 2 KB of metadata', async () => {
    const more = { Metadata: { a: 'x'.repeat(2048) } };
    expect(await refusalOf(put(uniqueKey(), 'x', more))).toEqual({ name: 'MetadataTooLarge', status: 400 });
  });

  it.each([
    { Tagging: 'a=b' },
    { ServerSideEncryption: 'AES256' },
    { StorageClass: 'GLACIER' },
    { WebsiteRedirectLocation: '/x' },
  ])('is refused with %j, which would otherwise be dropped in silence', async (more) => {
    expect(await refusalOf(put('unsupported', 'x', more))).toEqual({ name: 'NotImplemented', status: 501 });
    expect((await refusalOf(put('unsupported', 'x', { ACL: 'public-read' }))).name).toBe(
      'AccessControlListNotSupported',
    );
    expect((await refusalOf(get('unsupported'))).name).toBe('NoSuchKey');
  });

  it('that is overwritten while it is read is read to its end', async () => {
    const key = uniqueKey('overwritten');
    const old = Buffer.alloc(24 * 1024 ** 2, 'o');
    await put(key, old);
    const files = (await dataFilesOf(server.dataDir)).length;
    const reading = await get(key);
    await put(key, 'new');
    const bytes = await reading.Body?.transformToByteArray();
    expect(old.equals(bytes ?? Buffer.alloc(0))).toBe(true);
    expect(await read(key)).toBe('new');
    await until(async () => (await dataFilesOf(server.dataDir)).length === files);
    expect(await temporaryFilesOf(server.dataDir)).toEqual([]);
  });

  it('written by many at once is one of theirs, and the others leave nothing', async () => {
    const key = uniqueKey('contended');
    const files = (await dataFilesOf(server.dataDir)).length;
    const bodies = Array.from({ length: 12 }, (_, index) => Buffer.alloc(300_000, 65 + index));
    await Promise.all(bodies.map((body) => put(key, body)));
    const content = Buffer.from((await (await get(key)).Body?.transformToByteArray()) ?? []);
    expect(bodies.some((body) => body.equals(content))).toBe(true);
    expect(await dataFilesOf(server.dataDir)).toHaveLength(files + 1);
  });
});

describe('a range', () => {
  const key = 'ranged';
  beforeAll(() => put(key, '0123456789'));

  it.each<[string, string, string]>([
    ['bytes=2-4', '234', 'bytes 2-4/10'],
    ['bytes=7-', '789', 'bytes 7-9/10'],
    ['bytes=-3', '789', 'bytes 7-9/10'],
    ['bytes=8-99', '89', 'bytes 8-9/10'],
    ['bytes=-99', '0123456789', 'bytes 0-9/10'],
  ])('%s', async (Range, content, ContentRange) => {
    const answer = await get(key, { Range });
    expect([answer.$metadata.httpStatusCode, await answer.Body?.transformToString(), answer.ContentRange]).toEqual([
      206,
      content,
      ContentRange,
    ]);
  });

  it.each(['bytes=10-', 'bytes=99-100', 'bytes=-0'])('%s is not satisfiable', async (Range) => {
    expect(await refusalOf(get(key, { Range }))).toEqual({ name: 'InvalidRange', status: 416 });
    const raw = await send(server.s3.port, { method: 'GET', path: `/${BUCKET}/${key}`, headers: { range: Range } });
    expect(raw.headers['content-range']).toBe('bytes */10');
  });

  it.each(['bytes=0-1,3-4', 'bytes=5-2', 'lines=1-2', 'bytes=a-b'])('%s is ignored', async (Range) => {
    const answer = await get(key, { Range });
    expect([answer.$metadata.httpStatusCode, answer.ContentLength]).toEqual([200, 10]);
  });

  it('is served under If-Range of this very object only', async () => {
    const { ETag = '', LastModified } = await get(key);
    const status = async (ifRange: string): Promise<number> => {
      const headers = { range: 'bytes=0-1', 'if-range': ifRange };
      return (await send(server.s3.port, { method: 'GET', path: `/${BUCKET}/${key}`, headers })).status;
    };
    expect(await status(ETag)).toBe(206);
    expect(await status('"other"')).toBe(200);
    expect(await status(`W/${ETag}`)).toBe(200);
    expect(await status(LastModified?.toUTCString() ?? '')).toBe(206);
    expect(await status(new Date(0).toUTCString())).toBe(200);
  });
});

describe('a condition', () => {
  const past = new Date(Date.now() - 60_000);
  const future = new Date(Date.now() + 60_000);

  it('decides a read', async () => {
    const key = uniqueKey();
    const etag = await put(key, 'x');
    const failed = { name: 'PreconditionFailed', status: 412 };
    expect(await read(key, { IfMatch: etag })).toBe('x');
    expect(await refusalOf(get(key, { IfMatch: '"other"' }))).toEqual(failed);
    expect(await read(key, { IfNoneMatch: '"other"' })).toBe('x');
    expect((await refusalOf(get(key, { IfNoneMatch: etag }))).status).toBe(304);
    expect(await read(key, { IfModifiedSince: past })).toBe('x');
    expect((await refusalOf(get(key, { IfModifiedSince: future }))).status).toBe(304);
    expect(await read(key, { IfUnmodifiedSince: future })).toBe('x');
    expect(await refusalOf(get(key, { IfUnmodifiedSince: past }))).toEqual(failed);
    expect(await read(key, { IfMatch: etag, IfUnmodifiedSince: past })).toBe('x');
    const head = server.client.send(new HeadObjectCommand({ Bucket: BUCKET, Key: key, IfMatch: '"other"' }));
    expect((await refusalOf(head)).status).toBe(412);
  });

  it('decides a write', async () => {
    const key = uniqueKey();
    expect((await refusalOf(put(key, 'x', { IfMatch: '"other"' }))).name).toBe('NoSuchKey');
    const etag = await put(key, 'first', { IfNoneMatch: '*' });
    expect(await refusalOf(put(key, 'second', { IfNoneMatch: '*' }))).toEqual({
      name: 'PreconditionFailed',
      status: 412,
    });
    expect((await refusalOf(put(key, 'second', { IfMatch: '"other"' }))).name).toBe('PreconditionFailed');
    expect((await refusalOf(put(key, 'second', { IfNoneMatch: etag }))).name).toBe('NotImplemented');
    expect(await read(key)).toBe('first');
    await put(key, 'second', { IfMatch: etag });
    expect(await read(key)).toBe('second');
  });

  it('lets exactly one of many writers in', async () => {
    const key = uniqueKey();
    const results = await Promise.allSettled(
      Array.from({ length: 8 }, (_, index) => put(key, `${index}`, { IfNoneMatch: '*' })),
    );
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });
});

describe('overrides of a presigned GET', () => {
  it('replace the headers of the object', async () => {
    const key = uniqueKey();
    await put(key, 'x', { ContentType: 'text/html' });
    const url = await getSignedUrl(
      server.client,
      new GetObjectCommand({
        Bucket: BUCKET,
        Key: key,
        ResponseContentType: 'application/octet-stream',
        ResponseContentDisposition: 'attachment; filename="a b.bin"',
        ResponseCacheControl: 'no-store',
        ResponseContentEncoding: 'identity',
        ResponseContentLanguage: 'de',
        ResponseExpires: new Date('2030-01-01T00:00:00Z'),
      }),
    );
    const { headers } = await fetch(url);
    expect(Object.fromEntries(headers)).toMatchObject({
      'content-type': 'application/octet-stream',
      'content-disposition': 'attachment; filename="a b.bin"',
      'cache-control': 'no-store',
      'content-encoding': 'identity',
      'content-language': 'de',
      expires: 'Tue, 01 Jan 2030 00:00:00 GMT',
    });
  });

  it.each(['a\r\nx: y', '日本'])('cannot be %j', async (ResponseContentDisposition) => {
    const key = uniqueKey();
    await put(key, 'x');
    expect((await refusalOf(get(key, { ResponseContentDisposition }))).name).toBe('InvalidArgument');
  });
});

describe('a copy', () => {
  it('has the bytes and headers of its source, or headers of its own', async () => {
    const key = uniqueKey('source é+');
    await put(key, 'content', { ContentType: 'text/plain', Metadata: { a: '1' } });
    const copy = (Key: string, more: object = {}) =>
      server.client.send(
        new CopyObjectCommand({
          Bucket: BUCKET,
          Key,
          CopySource: encodeURI(`/${BUCKET}/${key}`).replaceAll('+', '%2B'),
          ...more,
        }),
      );
    await copy('copy-a');
    expect(await get('copy-a')).toMatchObject({ ContentType: 'text/plain', Metadata: { a: '1' } });
    await copy('copy-b', { MetadataDirective: 'REPLACE', ContentType: 'text/html', Metadata: { b: '2' } });
    expect(await get('copy-b')).toMatchObject({ ContentType: 'text/html', Metadata: { b: '2' } });
    expect((await refusalOf(copy(key))).name).toBe('InvalidRequest');
    expect((await refusalOf(copy('copy-c', { CopySourceIfMatch: '"other"' }))).name).toBe('PreconditionFailed');
    expect((await refusalOf(copy('copy-c', { CopySourceIfModifiedSince: new Date(Date.now() + 60_000) }))).name).toBe(
      'PreconditionFailed',
    );
    await copy(key, { MetadataDirective: 'REPLACE', Metadata: { c: '3' } });
    await server.client.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: key }));
    expect(await read('copy-a')).toBe('content');
  });

  it('needs a source', async () => {
    const copy = (CopySource: string) =>
      server.client.send(new CopyObjectCommand({ Bucket: BUCKET, Key: 'x', CopySource }));
    expect((await refusalOf(copy(`${BUCKET}/missing`))).name).toBe('NoSuchKey');
    expect((await refusalOf(copy('no-such-bucket/x'))).name).toBe('NoSuchBucket');
    expect((await refusalOf(copy('nothing'))).name).toBe('InvalidArgument');
  });
});

describe('a bulk delete', () => {
  it('names what it deleted, whatever the keys', async () => {
    const keys = [' leading and trailing ', 'a&b<c>"d\'', 'line\nfeed\r', '&amp;', 'é😀'];
    for (const key of keys) await put(key, 'x');
    const Objects = [...keys, 'never-there'].map((Key) => ({ Key }));
    const { Deleted } = await server.client.send(new DeleteObjectsCommand({ Bucket: BUCKET, Delete: { Objects } }));
    expect(Deleted?.map(({ Key }) => Key)).toEqual([...keys, 'never-there']);
    for (const key of keys) expect((await refusalOf(get(key))).name).toBe('NoSuchKey');
  });

  it('can be quiet', async () => {
    await put('quietly', 'x');
    const Delete = { Quiet: true, Objects: [{ Key: 'quietly' }] };
    expect((await server.client.send(new DeleteObjectsCommand({ Bucket: BUCKET, Delete }))).Deleted).toBeUndefined();
    expect((await refusalOf(get('quietly'))).name).toBe('NoSuchKey');
  });

  it.each<[string, Record<string, string>, string]>([
    ['<Delete><Object><Key>a</Key></Object></Delete>', {}, 'InvalidRequest'],
    ['<Delete></Delete>', { md5: '' }, 'MalformedXML'],
    ['<Delete><Object>', { md5: '' }, 'MalformedXML'],
    ['<!DOCTYPE x [<!ENTITY e "a">]><Delete><Object><Key>&e;</Key></Object></Delete>', { md5: '' }, 'MalformedXML'],
    [`<Delete>${'<Object><Key>a</Key></Object>'.repeat(1001)}</Delete>`, { md5: '' }, 'MalformedXML'],
  ])('refuses %.60s', async (body, { md5 }, code) => {
    const headers: Record<string, string> =
      md5 === undefined ? {} : { 'content-md5': createHash('md5').update(body).digest('base64') };
    const answer = await send(server.s3.port, { method: 'POST', path: `/${BUCKET}`, query: 'delete', body, headers });
    expect(answer.code).toBe(code);
  });
});
