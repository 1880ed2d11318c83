import { createHash, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandInput,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  PutObjectCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { send } from './support/raw-request.js';
import { BUCKET, dataFilesOf, refusalOf, startTestServer, type TestServer, uniqueKey } from './support/server.js';

const MIN_PART = 5 * 1024 ** 2;
let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

const md5 = (data: Buffer | string): string => createHash('md5').update(data).digest('hex');
const create = async (Key: string, more: Partial<CreateMultipartUploadCommandInput> = {}): Promise<string> =>
  (await server.client.send(new CreateMultipartUploadCommand({ Bucket: BUCKET, Key, ...more }))).UploadId ?? '';
const part = async (Key: string, UploadId: string, PartNumber: number, Body: Buffer | string, more: object = {}) =>
  server.client.send(new UploadPartCommand({ Bucket: BUCKET, Key, UploadId, PartNumber, Body, ...more }));
const complete = (Key: string, UploadId: string, parts: [number, string | undefined][], more: object = {}) =>
  server.client.send(
    new CompleteMultipartUploadCommand({
      Bucket: BUCKET,
      Key,
      UploadId,
      MultipartUpload: { Parts: parts.map(([PartNumber, ETag]) => ({ PartNumber, ETag })) },
      ...more,
    }),
  );
const listParts = (Key: string, UploadId: string, more: object = {}) =>
  server.client.send(new ListPartsCommand({ Bucket: BUCKET, Key, UploadId, ...more }));
const abort = (Key: string, UploadId: string) =>
  server.client.send(new AbortMultipartUploadCommand({ Bucket: BUCKET, Key, UploadId }));
const bytesOf = async (Key: string, more: object = {}): Promise<Buffer> => {
  const answer = await server.client.send(new GetObjectCommand({ Bucket: BUCKET, Key, ...more }));
  return Buffer.from((await answer.Body?.transformToByteArray()) ?? []);
};

describe('a multipart upload', () => {
  it('makes one object with its headers, its ETag and ranges across parts', async () => {
    const key = uniqueKey('multi part é+');
    const bodies = [randomBytes(MIN_PART), randomBytes(MIN_PART + 1), randomBytes(7)];
    const uploadId = await create(key, {
      ContentType: 'video/mp4',
      Metadata: { token: 't' },
      ContentDisposition: 'inline',
    });
    // Gaps between the numbers are legal.
    const numbers = [1, 7, 900];
    const etags = await Promise.all(
      bodies.map(async (body, index) => (await part(key, uploadId, numbers[index] ?? 0, body)).ETag),
    );
    const result = await complete(
      key,
      uploadId,
      etags.map((etag, index) => [numbers[index] ?? 0, etag]),
    );
    const whole = Buffer.concat(bodies);
    const etag = `"${md5(Buffer.from(bodies.map(md5).join(''), 'hex'))}-3"`;
    expect(result).toMatchObject({ Bucket: BUCKET, Key: key, ETag: etag });
    expect(result.Location).toBe(`${server.endpoint}/${BUCKET}/${encodeURIComponent(key)}`);
    const head = await server.client.send(new HeadObjectCommand({ Bucket: BUCKET, Key: key }));
    expect(head).toMatchObject({
      ETag: etag,
      ContentLength: whole.length,
      ContentType: 'video/mp4',
      Metadata: { token: 't' },
    });
    expect((await bytesOf(key)).equals(whole)).toBe(true);
    const [from, to] = [MIN_PART - 3, 2 * MIN_PART + 4];
    expect((await bytesOf(key, { Range: `bytes=${from}-${to}` })).equals(whole.subarray(from, to + 1))).toBe(true);
  });

  it('is done by lib-storage with default checksums, and read back with them', async () => {
    const key = uniqueKey();
    const Body = randomBytes(12 * 1024 ** 2);
    await new Upload({ client: server.client, params: { Bucket: BUCKET, Key: key, Body } }).done();
    expect((await bytesOf(key)).equals(Body)).toBe(true);
  });

  it('can be completed again with the same parts, and with no others', async () => {
    const key = uniqueKey();
    const uploadId = await create(key);
    const { ETag } = await part(key, uploadId, 1, 'content');
    const first = await complete(key, uploadId, [[1, ETag]]);
    expect((await complete(key, uploadId, [[1, ETag]])).ETag).toBe(first.ETag);
    expect((await refusalOf(complete(key, uploadId, [[2, ETag]]))).name).toBe('NoSuchUpload');
    expect((await refusalOf(listParts(key, uploadId))).name).toBe('NoSuchUpload');
    expect((await refusalOf(abort(key, uploadId))).name).toBe('NoSuchUpload');
    expect((await bytesOf(key)).toString()).toBe('content');
  });

  it('refused at Complete stays open and can be completed then', async () => {
    const key = uniqueKey();
    const uploadId = await create(key);
    const one = await part(key, uploadId, 1, Buffer.alloc(MIN_PART));
    const two = await part(key, uploadId, 2, 'short');
    const three = await part(key, uploadId, 3, 'end');
    const nameOf = async (parts: [number, string | undefined][]) =>
      (await refusalOf(complete(key, uploadId, parts))).name;
    expect(await nameOf([[1, '"00000000000000000000000000000000"']])).toBe('InvalidPart');
    expect(
      await nameOf([
        [1, one.ETag],
        [4, one.ETag],
      ]),
    ).toBe('InvalidPart');
    expect(
      await nameOf([
        [2, two.ETag],
        [1, one.ETag],
      ]),
    ).toBe('InvalidPartOrder');
    expect(
      await nameOf([
        [1, one.ETag],
        [1, one.ETag],
      ]),
    ).toBe('InvalidPartOrder');
    expect(
      await nameOf([
        [1, one.ETag],
        [2, two.ETag],
        [3, three.ETag],
      ]),
    ).toBe('EntityTooSmall');
    expect(await nameOf([])).toBe('MalformedXML');
    expect((await refusalOf(complete(key, uploadId, [[1, one.ETag]], { MpuObjectSize: 1 }))).name).toBe(
      'InvalidRequest',
    );
    // The parts left out go.
    const files = (await dataFilesOf(server.dataDir)).length;
    await complete(key, uploadId, [
      [1, one.ETag],
      [3, three.ETag],
    ]);
    expect((await bytesOf(key)).length).toBe(MIN_PART + 3);
    expect(await dataFilesOf(server.dataDir)).toHaveLength(files - 1);
  });

  it('keeps the last of several parts of one number', async () => {
    const key = uniqueKey();
    const uploadId = await create(key);
    const files = (await dataFilesOf(server.dataDir)).length;
    const bodies = Array.from({ length: 8 }, (_, index) => Buffer.alloc(100_000 + index, index));
    await Promise.all(bodies.map((body) => part(key, uploadId, 1, body)));
    const [listed] = (await listParts(key, uploadId)).Parts ?? [];
    expect(bodies.map((body) => `"${md5(body)}"`)).toContain(listed?.ETag);
    expect(await dataFilesOf(server.dataDir)).toHaveLength(files + 1);
    const last = await part(key, uploadId, 1, 'last');
    await complete(key, uploadId, [[1, last.ETag]]);
    expect((await bytesOf(key)).toString()).toBe('last');
  });

  it('aborted leaves nothing', async () => {
    const key = uniqueKey();
    const files = await dataFilesOf(server.dataDir);
    const uploadId = await create(key);
    const { ETag } = await part(key, uploadId, 1, 'content');
    expect((await abort(key, uploadId)).$metadata.httpStatusCode).toBe(204);
    const gone = { name: 'NoSuchUpload', status: 404 };
    expect(await refusalOf(abort(key, uploadId))).toEqual(gone);
    expect(await refusalOf(listParts(key, uploadId))).toEqual(gone);
    expect(await refusalOf(part(key, uploadId, 2, 'x'))).toEqual(gone);
    expect(await refusalOf(complete(key, uploadId, [[1, ETag]]))).toEqual(gone);
    expect(await dataFilesOf(server.dataDir)).toEqual(files);
  });

  it("belongs to its key, and its id is nobody else's", async () => {
    const uploadId = await create('one-key');
    expect((await refusalOf(part('other-key', uploadId, 1, 'x'))).name).toBe('NoSuchUpload');
    for (const bogus of ['x', '../../x', 'a/b'])
      expect((await refusalOf(part('one-key', bogus, 1, 'x'))).name).toBe('NoSuchUpload');
  });

  it('has parts numbered from 1 to 10,000', async () => {
    const key = uniqueKey();
    const uploadId = await create(key);
    for (const number of [0, 10_001, -1]) {
      expect(await refusalOf(part(key, uploadId, number, 'x'))).toEqual({ name: 'InvalidArgument', status: 400 });
    }
    const { ETag } = await part(key, uploadId, 10_000, 'x');
    await complete(key, uploadId, [[10_000, ETag]]);
    expect((await bytesOf(key)).toString()).toBe('x');
  });

  it('does not overwrite under If-None-Match: *', async () => {
    const key = uniqueKey();
    await server.client.send(new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: 'first' }));
    const uploadId = await create(key);
    const { ETag } = await part(key, uploadId, 1, 'second');
    const attempt = complete(key, uploadId, [[1, ETag]], { IfNoneMatch: '*' });
    expect(await refusalOf(attempt)).toEqual({ name: 'PreconditionFailed', status: 412 });
    expect((await bytesOf(key)).toString()).toBe('first');
    await complete(key, uploadId, [[1, ETag]]);
    expect((await bytesOf(key)).toString()).toBe('second');
  });

  it('refuses a part whose Content-MD5 differs, and a Complete that is no XML', async () => {
    const key = uniqueKey();
    const uploadId = await create(key);
    expect((await refusalOf(part(key, uploadId, 1, 'x', { ContentMD5: md5('').slice(0, 22) }))).name).toBe(
      'InvalidDigest',
    );
    const ContentMD5 = Buffer.from(md5('other'), 'hex').toString('base64');
    expect((await refusalOf(part(key, uploadId, 1, 'x', { ContentMD5 }))).name).toBe('BadDigest');
    const query = `uploadId=${uploadId}`;
    for (const body of [
      '',
      'text',
      '<CompleteMultipartUpload>',
      '<Other/>',
      '<CompleteMultipartUpload><Part/></CompleteMultipartUpload>',
    ]) {
      const answer = await send(server.s3.port, { method: 'POST', path: `/${BUCKET}/${key}`, query, body });
      expect(answer).toMatchObject({ status: 400, code: 'MalformedXML' });
    }
    expect((await listParts(key, uploadId)).Parts).toBeUndefined();
  });
});

describe('the checksum of a multipart object', () => {
  const upload = async (key: string, type: 'COMPOSITE' | 'FULL_OBJECT', bodies: Buffer[]) => {
    const uploadId = await create(key, { ChecksumAlgorithm: 'CRC32', ChecksumType: type });
    const Parts = [];
    for (const [index, body] of bodies.entries()) {
      const { ETag, ChecksumCRC32 } = await part(key, uploadId, index + 1, body, { ChecksumAlgorithm: 'CRC32' });
      Parts.push({ PartNumber: index + 1, ETag, ChecksumCRC32 });
    }
    return { uploadId, MultipartUpload: { Parts } };
  };
  const bodies = [randomBytes(MIN_PART), randomBytes(MIN_PART), randomBytes(12_345)];
  const crcOf = (data: Buffer): Buffer => {
    const digest = Buffer.alloc(4);
    digest.writeUInt32BE(crc32(data));
    return digest;
  };

  it('is one over the parts, or over all bytes when the client wants it so', async () => {
    for (const type of ['COMPOSITE', 'FULL_OBJECT'] as const) {
      const key = uniqueKey();
      const { uploadId, MultipartUpload } = await upload(key, type, bodies);
      const result = await complete(key, uploadId, [], { MultipartUpload });
      const expected =
        type === 'FULL_OBJECT'
          ? crcOf(Buffer.concat(bodies)).toString('base64')
          : `${crcOf(Buffer.concat(bodies.map(crcOf))).toString('base64')}-3`;
      expect(result.ChecksumCRC32).toBe(expected);
      const head = await server.client.send(
        new HeadObjectCommand({ Bucket: BUCKET, Key: key, ChecksumMode: 'ENABLED' }),
      );
      expect(head).toMatchObject({ ChecksumCRC32: expected, ChecksumType: type });
      expect((await bytesOf(key)).equals(Buffer.concat(bodies))).toBe(true);
    }
  });

  it("is compared with the client's", async () => {
    const key = uniqueKey();
    const { uploadId, MultipartUpload } = await upload(key, 'FULL_OBJECT', bodies);
    const claim = (ChecksumCRC32: string) =>
      complete(key, uploadId, [], { MultipartUpload, ChecksumCRC32, ChecksumType: 'FULL_OBJECT' });
    expect((await refusalOf(claim('AAAAAA=='))).name).toBe('BadDigest');
    await claim(crcOf(Buffer.concat(bodies)).toString('base64'));
  });
});

describe('a copy of multipart objects', () => {
  it('is one piece with the MD5 of its bytes, and can be a part', async () => {
    const key = uniqueKey();
    const bodies = [randomBytes(MIN_PART), randomBytes(100)];
    const uploadId = await create(key);
    const etags = [];
    for (const [index, body] of bodies.entries()) etags.push((await part(key, uploadId, index + 1, body)).ETag);
    await complete(
      key,
      uploadId,
      etags.map((etag, index) => [index + 1, etag]),
    );
    const whole = Buffer.concat(bodies);
    const CopySource = `${BUCKET}/${key}`;
    const copy = await server.client.send(new CopyObjectCommand({ Bucket: BUCKET, Key: `${key}-copy`, CopySource }));
    expect(copy.CopyObjectResult?.ETag).toBe(`"${md5(whole)}"`);
    expect((await bytesOf(`${key}-copy`)).equals(whole)).toBe(true);

    const target = `${key}-part`;
    const UploadId = await create(target);
    const copyPart = (CopySourceRange: string) =>
      server.client.send(
        new UploadPartCopyCommand({
          Bucket: BUCKET,
          Key: target,
          UploadId,
          PartNumber: 1,
          CopySource,
          CopySourceRange,
        }),
      );
    expect((await refusalOf(copyPart(`bytes=0-${whole.length}`))).name).toBe('InvalidArgument');
    const copied = await copyPart(`bytes=10-${whole.length - 11}`);
    await complete(target, UploadId, [[1, copied.CopyPartResult?.ETag]]);
    expect((await bytesOf(target)).equals(whole.subarray(10, -10))).toBe(true);
  });
});

describe('lists of uploads and parts', () => {
  it('page through the parts', async () => {
    const key = uniqueKey();
    const uploadId = await create(key);
    for (const number of [5, 1, 3, 2, 9]) await part(key, uploadId, number, `part ${number}`);
    const seen: (number | undefined)[] = [];
    let PartNumberMarker: string | undefined;
    for (let page = 0; page < 3; page += 1) {
      const answer = await listParts(key, uploadId, { MaxParts: 2, PartNumberMarker });
      seen.push(...(answer.Parts ?? []).map(({ PartNumber }) => PartNumber));
      expect(answer.IsTruncated).toBe(page < 2);
      PartNumberMarker = answer.NextPartNumberMarker;
    }
    expect(seen).toEqual([1, 2, 3, 5, 9]);
    const [first] = (await listParts(key, uploadId)).Parts ?? [];
    expect(first).toMatchObject({ PartNumber: 1, Size: 6, ETag: `"${md5('part 1')}"` });
  });

  it('page through the uploads by key and id, under a prefix', async () => {
    const prefix = uniqueKey('lists');
    const expected: string[] = [];
    for (const name of ['b', 'a 1+é', 'b', 'c/d', 'c/e'])
      expected.push(`${prefix}/${name} ${await create(`${prefix}/${name}`)}`);
    await create(`${prefix}-other`);
    const seen: string[] = [];
    let markers: { KeyMarker?: string; UploadIdMarker?: string } = {};
    for (;;) {
      const answer = await server.client.send(
        new ListMultipartUploadsCommand({ Bucket: BUCKET, Prefix: `${prefix}/`, MaxUploads: 1, ...markers }),
      );
      seen.push(...(answer.Uploads ?? []).map(({ Key, UploadId }) => `${Key} ${UploadId}`));
      if (!answer.IsTruncated) break;
      markers = { KeyMarker: answer.NextKeyMarker, UploadIdMarker: answer.NextUploadIdMarker };
    }
    expect(seen).toEqual([expected[1], expected[0], expected[2], expected[3], expected[4]]);

    const list = (more: object) =>
      server.client.send(new ListMultipartUploadsCommand({ Bucket: BUCKET, Prefix: `${prefix}/`, ...more }));
    // A key marker without an id is the end of that key.
    expect((await list({ KeyMarker: `${prefix}/b` })).Uploads?.map(({ Key }) => Key)).toEqual([
      `${prefix}/c/d`,
      `${prefix}/c/e`,
    ]);
    const rolledUp = await list({ Delimiter: '/', EncodingType: 'url' });
    expect(rolledUp.CommonPrefixes).toEqual([{ Prefix: `${prefix}/c/` }]);
    expect(rolledUp.Uploads?.[0]?.Key).toBe(`${prefix}/a%201%2B%C3%A9`);
  });
});
