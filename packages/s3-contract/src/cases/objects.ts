import { createHash } from 'node:crypto';
import {
  type DeletedObject,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { type CaseContext, streamOf } from '../case-context.js';
import { sendContentMd5 } from '../content-md5.js';
import { api, guide, inArea, MEASURED } from '../contract.js';
import { must, refused, refusedAnswer, same, sameBytes } from '../expectations.js';

const DELETE_MANY = api('API_DeleteObjects');
const METADATA = guide('UsingMetadata');

function deleteMany(s3: CaseContext, keys: readonly string[], Quiet?: boolean) {
  const Objects = keys.map((Key) => ({ Key }));
  const client = sendContentMd5(s3.newClient({ requestChecksumCalculation: 'WHEN_REQUIRED' }));
  return client.send(new DeleteObjectsCommand({ Bucket: s3.bucket, Delete: { Objects, Quiet } }));
}

const keysOf = (deleted: readonly DeletedObject[] = []): string[] => deleted.map(({ Key }) => Key ?? '').sort();

async function isThere(s3: CaseContext, name: string): Promise<boolean> {
  const Prefix = s3.key(name);
  const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket: s3.bucket, Prefix }));
  return Contents.some(({ Key }) => Key === Prefix);
}

export const OBJECT_CASES = inArea('objects', [
  {
    id: 'objects.put-get',
    title: 'GetObject gives back what PutObject stored',
    source: api('API_GetObject'),
    run: async (s3) => {
      const body = Buffer.from('all bytes \0\r\n\xff', 'latin1');
      await s3.put('object', body, { ContentType: 'video/mp4' });
      const got = await s3.read('object');
      sameBytes(got.bytes, body);
      same([got.ContentType, got.ContentLength], ['video/mp4', body.length], 'type and length');
    },
  },
  {
    id: 'objects.head',
    title: 'HeadObject gives length, type, ETag and time, and no body',
    source: api('API_HeadObject'),
    run: async (s3) => {
      const before = Date.now();
      const { ETag } = await s3.put('object', 'twelve bytes', { ContentType: 'text/plain' });
      const head = await s3.head('object');
      same([head.ContentLength, head.ContentType, head.ETag], [12, 'text/plain', ETag], 'length, type, ETag');
      const off = Math.abs((head.LastModified?.getTime() ?? 0) - before);
      must(off < 60_000, `Last-Modified is ${Math.round(off / 1000)} s off`);
    },
  },
  {
    id: 'objects.head-is-silent',
    title: 'HEAD announces the length, sends no byte of it, and the connection goes on',
    source: 'https://www.rfc-editor.org/rfc/rfc9110#section-9.3.2 and measured: swift-2.30, ceph-16.2',
    run: async (s3) => {
      await s3.put('object', 'twelve bytes');
      const connection = await s3.connect();
      await connection.write(s3.signedHead({ method: 'HEAD', name: 'object' }).head);
      const head = await connection.answer('HEAD');
      await connection.write(s3.signedHead({ method: 'GET', name: 'object' }).head);
      const got = await connection.answer('GET');
      same([head.status, head.headers['content-length']], [200, '12'], 'status and length of HEAD');
      same(got.body.toString(), 'twelve bytes', 'GET on the same connection');
    },
  },
  {
    id: 'objects.etag-is-md5',
    title: 'the ETag of a PutObject is the quoted MD5 of the bytes',
    source: api('API_Object'),
    run: async (s3) => {
      const { ETag } = await s3.put('object', 'hello');
      same(ETag, `"${createHash('md5').update('hello').digest('hex')}"`, 'ETag');
    },
  },
  {
    id: 'objects.zero-bytes',
    title: 'an object may have no bytes',
    source: api('API_PutObject'),
    run: async (s3) => {
      await s3.put('object', '');
      const got = await s3.read('object');
      same([got.bytes.length, got.ContentLength], [0, 0], 'length');
      same((await s3.head('object')).ETag, '"d41d8cd98f00b204e9800998ecf8427e"', 'ETag');
    },
  },
  {
    id: 'objects.zero-bytes-default-client',
    title: "an object without bytes, with the SDK's own checksums",
    source: api('API_PutObject'),
    run: async (s3) => {
      await s3.defaults.send(new PutObjectCommand({ ...s3.at('object'), Body: '' }));
      same((await s3.head('object')).ContentLength, 0, 'length');
    },
  },
  {
    id: 'objects.12-mib',
    title: 'a body of 12 MiB comes back byte by byte',
    source: api('API_PutObject'),
    run: async (s3) => {
      const body = Buffer.alloc(12 * 1024 ** 2, 'a few bytes that do not divide it evenly ');
      await s3.put('object', body);
      sameBytes((await s3.read('object')).bytes, body);
    },
  },
  {
    id: 'objects.stream',
    title: 'a stream of known length is stored with UNSIGNED-PAYLOAD',
    source: MEASURED,
    run: async (s3) => {
      await s3.put('object', '', { Body: streamOf('one ', 'two'), ContentLength: 7 });
      same(await s3.text('object'), 'one two', 'content');
    },
  },
  {
    id: 'objects.overwrite',
    title: 'after PutObject over an object every GET reads the new one (20 rounds)',
    source: guide('Welcome'),
    run: async (s3) => {
      for (let round = 0; round < 20; round += 1) {
        await s3.put('object', `round ${round}`);
        same(await s3.text('object'), `round ${round}`, 'content right after PutObject');
      }
    },
  },
  {
    id: 'objects.list-after-write',
    title: 'a listing right after PutObject and DeleteObject shows it (10 rounds)',
    source: guide('Welcome'),
    run: async (s3) => {
      for (let round = 0; round < 10; round += 1) {
        await s3.put('object');
        same(await isThere(s3, 'object'), true, 'listed right after PutObject');
        await s3.send(new DeleteObjectCommand(s3.at('object')));
        same(await isThere(s3, 'object'), false, 'listed right after DeleteObject');
      }
    },
  },
  {
    id: 'objects.overwrite-drops-metadata',
    title: 'PutObject over an object replaces its metadata and headers as well',
    source: METADATA,
    run: async (s3) => {
      await s3.put('object', 'one', { Metadata: { old: '1' }, CacheControl: 'no-store' });
      await s3.put('object', 'two', { Metadata: { new: '2' } });
      const { Metadata, CacheControl } = await s3.head('object');
      same([Metadata, CacheControl], [{ new: '2' }, undefined], 'metadata and Cache-Control');
    },
  },
  {
    id: 'objects.metadata',
    title: 'x-amz-meta-* come back on GET and HEAD',
    source: METADATA,
    run: async (s3) => {
      const Metadata = { job: '0b7e-4f', 'with-dash': 'a b=c; d' };
      await s3.put('object', 'x', { Metadata });
      same((await s3.head('object')).Metadata, Metadata, 'metadata on HEAD');
      same((await s3.read('object')).Metadata, Metadata, 'metadata on GET');
    },
  },
  {
    id: 'objects.metadata-lower-case',
    title: 'names of metadata are stored in lower case',
    source: METADATA,
    run: async (s3) => {
      const head = { method: 'PUT', name: 'object', body: 'x' };
      const put = await s3.raw({ ...head, unsignedHeaders: {}, headers: { 'x-amz-meta-mixed': 'Value' } });
      same(put.status, 200, 'PUT');
      const got = await s3.raw({ method: 'GET', name: 'object' });
      same(got.headers['x-amz-meta-mixed'], 'Value', 'x-amz-meta-mixed');
      await s3.put('other', 'x', { Metadata: { MiXed: 'Value' } });
      same((await s3.head('other')).Metadata, { mixed: 'Value' }, 'metadata');
    },
  },
  {
    id: 'objects.metadata-too-large',
    title: 'more than 2 KB of metadata is refused',
    source: METADATA,
    run: async (s3) => {
      // Just above the limit: 4 KB do not fit into ext4's extended attributes, and Swift on ext4 then takes its disk for full.
      const Metadata = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`m${index}`, 'v'.repeat(110)]));
      await refused(s3.put('object', 'x', { Metadata }), 400, 'MetadataTooLarge');
    },
  },
  {
    id: 'objects.system-headers',
    title: 'Cache-Control, Content-Disposition, -Encoding, -Language and Expires are kept',
    source: METADATA,
    run: async (s3) => {
      const sent = {
        CacheControl: 'max-age=60',
        ContentDisposition: 'attachment; filename="a b.txt"',
        ContentEncoding: 'gzip',
        ContentLanguage: 'de',
      };
      const Expires = new Date('2031-05-06T07:08:09Z');
      await s3.put('object', 'x', { ...sent, Expires });
      const { CacheControl, ContentDisposition, ContentEncoding, ContentLanguage, ExpiresString } =
        await s3.head('object');
      same({ CacheControl, ContentDisposition, ContentEncoding, ContentLanguage }, sent, 'headers');
      same(Date.parse(ExpiresString ?? ''), Expires.getTime(), 'Expires');
    },
  },
  {
    id: 'objects.default-type',
    title: 'without a Content-Type it is binary/octet-stream',
    source: METADATA,
    run: async (s3) => {
      await s3.raw({ method: 'PUT', name: 'object', body: 'x' });
      same((await s3.head('object')).ContentType, 'binary/octet-stream', 'Content-Type');
    },
  },
  {
    id: 'objects.response-overrides',
    title: 'response-* of a signed GET replace the stored headers',
    source: api('API_GetObject'),
    run: async (s3) => {
      await s3.put('object', 'x', { ContentType: 'text/html', CacheControl: 'no-store' });
      const asked = { ContentType: 'text/plain', ContentDisposition: 'attachment', CacheControl: 'max-age=5' };
      const got = await s3.read('object', {
        ResponseContentType: asked.ContentType,
        ResponseContentDisposition: asked.ContentDisposition,
        ResponseCacheControl: asked.CacheControl,
      });
      const { ContentType, ContentDisposition, CacheControl } = got;
      same({ ContentType, ContentDisposition, CacheControl }, asked, 'headers');
    },
  },
  {
    id: 'objects.delete',
    title: 'DeleteObject answers 204, then the object is gone',
    source: api('API_DeleteObject'),
    run: async (s3) => {
      await s3.put('object');
      const { $metadata } = await s3.send(new DeleteObjectCommand(s3.at('object')));
      same($metadata.httpStatusCode, 204, 'status');
      await refused(s3.read('object'), 404, 'NoSuchKey');
    },
  },
  {
    id: 'objects.delete-missing',
    title: 'DeleteObject of what is not there answers 204 as well',
    source: api('API_DeleteObject'),
    run: async (s3) => {
      const { $metadata } = await s3.send(new DeleteObjectCommand(s3.at('never')));
      same($metadata.httpStatusCode, 204, 'status');
    },
  },
  {
    id: 'objects.delete-many',
    title: 'DeleteObjects removes what is there and counts what is not as deleted',
    source: DELETE_MANY,
    run: async (s3) => {
      await Promise.all([s3.put('a'), s3.put('b'), s3.put('kept')]);
      const keys = [s3.key('a'), s3.key('b'), s3.key('never')];
      const { Deleted, Errors } = await deleteMany(s3, keys);
      same([keysOf(Deleted), Errors ?? []], [keys, []], 'deleted and errors');
      await refused(s3.read('a'), 404, 'NoSuchKey');
      same(await s3.text('kept'), 'kept', 'the object that was not named');
    },
  },
  {
    id: 'objects.delete-many-quiet',
    title: 'DeleteObjects with Quiet names errors alone',
    source: DELETE_MANY,
    run: async (s3) => {
      await s3.put('a');
      const { Deleted, Errors } = await deleteMany(s3, [s3.key('a')], true);
      same([Deleted ?? [], Errors ?? []], [[], []], 'deleted and errors');
      await refused(s3.read('a'), 404, 'NoSuchKey');
    },
  },
  {
    id: 'objects.delete-many-escaped',
    title: 'DeleteObjects takes keys that XML must escape',
    source: DELETE_MANY,
    run: async (s3) => {
      const names = ['a&b', '<c>', `d"e'f`, 'g &amp; h', 'é'];
      await Promise.all(names.map((name) => s3.put(name)));
      const keys = names.map((name) => s3.key(name));
      const { Deleted } = await deleteMany(s3, keys);
      same(keysOf(Deleted), [...keys].sort(), 'deleted');
      for (const name of names) await refused(s3.head(name), 404);
    },
  },
  {
    id: 'objects.delete-many-default-client',
    title: "DeleteObjects with the SDK's own CRC32 in place of Content-MD5",
    source: DELETE_MANY,
    run: async (s3) => {
      await s3.put('a');
      const Delete = { Objects: [{ Key: s3.key('a') }] };
      await s3.defaults.send(new DeleteObjectsCommand({ Bucket: s3.bucket, Delete }));
      await refused(s3.read('a'), 404, 'NoSuchKey');
    },
  },
  {
    id: 'objects.delete-many-1001',
    title: 'DeleteObjects with more than 1,000 keys is refused',
    source: DELETE_MANY,
    run: async (s3) => {
      await s3.put('key-0');
      const keys = Array.from({ length: 1001 }, (_, index) => `${s3.prefix}key-${index}`);
      await refused(deleteMany(s3, keys), 400, 'MalformedXML');
      same(await s3.text('key-0'), 'key-0', 'an object named in the refused request');
    },
  },
  {
    id: 'objects.delete-many-unprotected',
    title: 'DeleteObjects without Content-MD5 or checksum is refused',
    source: DELETE_MANY,
    run: async (s3) => {
      await s3.put('a');
      const body = `<Delete><Object><Key>${s3.key('a')}</Key></Object></Delete>`;
      refusedAnswer(
        await s3.raw({ method: 'POST', query: 'delete', body }),
        400,
        'InvalidRequest',
        'MissingContentMD5',
      );
      same(await s3.text('a'), 'a', 'the object');
    },
  },
  {
    id: 'objects.delete-many-malformed',
    title: 'DeleteObjects with broken XML is MalformedXML',
    source: DELETE_MANY,
    run: async (s3) => {
      const body = '<Delete><Object><Key>a</Key></Object>';
      const md5 = createHash('md5').update(body).digest('base64');
      const answer = await s3.raw({ method: 'POST', query: 'delete', body, headers: { 'content-md5': md5 } });
      refusedAnswer(answer, 400, 'MalformedXML');
    },
  },
]);
