import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { ChecksumAlgorithm, GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { connectTo, headOf, type RawAnswer, readAnswer, send, sendBytes, sign } from './support/raw-request.js';
import {
  BUCKET,
  clientOf,
  dataFilesOf,
  refusalOf,
  startTestServer,
  type TestServer,
  uniqueKey,
  until,
} from './support/server.js';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

const contentOf = async (key: string): Promise<string | undefined> => {
  const answer = await server.client.send(new GetObjectCommand({ Bucket: BUCKET, Key: key }));
  return answer.Body?.transformToString();
};

describe('the digests of a body', () => {
  const put = (headers: Record<string, string>, payloadHash?: string): Promise<RawAnswer> =>
    send(server.s3.port, { method: 'PUT', path: `/${BUCKET}/digests`, body: 'content', headers, payloadHash });

  it.each<[string, Record<string, string>, string | undefined, string]>([
    ['another x-amz-content-sha256', {}, 'a'.repeat(64), 'XAmzContentSHA256Mismatch'],
    ['another Content-MD5', { 'content-md5': 'CY9rzUYh03PK3k6DJie09g==' }, undefined, 'BadDigest'],
    ['a Content-MD5 that is none', { 'content-md5': 'x' }, undefined, 'InvalidDigest'],
    ['another x-amz-checksum-crc32', { 'x-amz-checksum-crc32': 'AAAAAA==' }, undefined, 'BadDigest'],
    ['an x-amz-checksum-sha256 that is none', { 'x-amz-checksum-sha256': 'x' }, undefined, 'InvalidRequest'],
    ['two checksums', { 'x-amz-checksum-crc32': 'A', 'x-amz-checksum-sha1': 'A' }, undefined, 'InvalidRequest'],
    ['an unknown streaming form', {}, 'STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD', 'NotImplemented'],
  ])('refuse %s and store nothing', async (_, headers, payloadHash, code) => {
    expect((await put(headers, payloadHash)).code).toBe(code);
    expect(await refusalOf(contentOf('digests'))).toEqual({ name: 'NoSuchKey', status: 404 });
    expect(await dataFilesOf(server.dataDir)).toEqual([]);
  });

  it('accept what is right, and UNSIGNED-PAYLOAD', async () => {
    const md5 = createHash('md5').update('content').digest('base64');
    expect((await put({ 'content-md5': md5 })).status).toBe(200);
    expect((await put({}, 'UNSIGNED-PAYLOAD')).status).toBe(200);
  });

  it.each(
    Object.values(ChecksumAlgorithm).filter((name) =>
      ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'].includes(name),
    ),
  )('are made with %s by the SDK, kept and given back', async (algorithm) => {
    const Key = uniqueKey();
    // The check values of the CRC catalogue: cbf43926, e3069283, ae8b14860a799888.
    const known: Record<string, string> = { CRC32: 'y/Q5Jg==', CRC32C: '4waSgw==', CRC64NVME: 'rosUhgp5mIg=' };
    const ChecksumCRC64NVME = algorithm === 'CRC64NVME' ? known.CRC64NVME : undefined;
    const stored = await server.client.send(
      new PutObjectCommand({ Bucket: BUCKET, Key, Body: '123456789', ChecksumAlgorithm: algorithm, ChecksumCRC64NVME }),
    );
    const name = `Checksum${algorithm}` as const;
    const read = await server.client.send(new GetObjectCommand({ Bucket: BUCKET, Key, ChecksumMode: 'ENABLED' }));
    expect(read[name as 'ChecksumCRC32']).toBe(stored[name as 'ChecksumCRC32']);
    expect(read[name as 'ChecksumCRC32']).toBe(
      known[algorithm] ?? createHash(algorithm).update('123456789').digest('base64'),
    );
  });
});

describe('an aws-chunked body', () => {
  it('sent by the SDK as a stream with a trailer is stored decoded', async () => {
    const chunks = [Buffer.alloc(70_000, 'a'), Buffer.alloc(1, 'b'), Buffer.alloc(200_000, 'c')];
    const Key = uniqueKey();
    const stored = await server.client.send(
      new PutObjectCommand({
        Bucket: BUCKET,
        Key,
        Body: Readable.from(chunks),
        ContentLength: 270_001,
        ContentEncoding: 'gzip',
      }),
    );
    const read = await server.client.send(new GetObjectCommand({ Bucket: BUCKET, Key }));
    expect(await read.Body?.transformToString()).toBe(Buffer.concat(chunks).toString());
    expect(read.ContentEncoding).toBe('gzip');
    expect(stored.ETag).toBe(`"${createHash('md5').update(Buffer.concat(chunks)).digest('hex')}"`);
    expect(stored.ChecksumCRC32).toBeDefined();
  });

  const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

  /** Chunks of 'hello ' and 'world', each signed over the signature before it. */
  const sendSigned = (
    key: string,
    options: { chunk?: string; trailer?: string; length?: number } = {},
  ): Promise<RawAnswer> => {
    const withTrailer = options.trailer !== undefined;
    const request = sign(server.s3.port, {
      method: 'PUT',
      path: `/${BUCKET}/${key}`,
      payloadHash: `STREAMING-AWS4-HMAC-SHA256-PAYLOAD${withTrailer ? '-TRAILER' : ''}`,
      headers: {
        'content-encoding': 'aws-chunked',
        'x-amz-decoded-content-length': String(options.length ?? 11),
        ...(withTrailer ? { 'x-amz-trailer': 'x-amz-checksum-sha256' } : {}),
      },
    });
    let previous = request.signature;
    let body = '';
    for (const chunk of ['hello ', 'world', '']) {
      previous = request.sign(
        ['AWS4-HMAC-SHA256-PAYLOAD', request.timestamp, request.scope, previous, sha256(''), sha256(chunk)].join('\n'),
      );
      const sent = chunk === 'world' ? (options.chunk ?? chunk) : chunk;
      body += `${chunk.length.toString(16)};chunk-signature=${previous}\r\n${sent}${chunk === '' ? '' : '\r\n'}`;
    }
    if (withTrailer) {
      const trailer = `x-amz-checksum-sha256:${createHash('sha256').update('hello world').digest('base64')}\n`;
      const signature = request.sign(
        ['AWS4-HMAC-SHA256-TRAILER', request.timestamp, request.scope, previous, sha256(trailer)].join('\n'),
      );
      body += `${trailer.trim()}\r\nx-amz-trailer-signature:${options.trailer || signature}\r\n`;
    }
    body += '\r\n';
    const head = headOf('PUT', `/${BUCKET}/${key}`, { ...request.headers, 'content-length': String(body.length) });
    return sendBytes(server.s3.port, head + body, 'PUT');
  };

  it('with signed chunks is verified chunk by chunk', async () => {
    const key = uniqueKey();
    expect((await sendSigned(key)).status).toBe(200);
    expect(await contentOf(key)).toBe('hello world');
    expect(await sendSigned(key, { chunk: 'World' })).toMatchObject({ status: 403, code: 'SignatureDoesNotMatch' });
    expect(await contentOf(key)).toBe('hello world');
  });

  it('with a signed trailer is verified to its end', async () => {
    const key = uniqueKey();
    expect((await sendSigned(key, { trailer: '' })).status).toBe(200);
    expect(await contentOf(key)).toBe('hello world');
    const other = uniqueKey();
    expect(await sendSigned(other, { trailer: 'b'.repeat(64) })).toMatchObject({
      status: 403,
      code: 'SignatureDoesNotMatch',
    });
    expect((await refusalOf(contentOf(other))).name).toBe('NoSuchKey');
  });

  it('of another length than it said is refused', async () => {
    const key = uniqueKey();
    expect((await sendSigned(key, { length: 12 })).code).toBe('IncompleteBody');
    expect((await sendSigned(key, { length: 10 })).code).toBe('IncompleteBody');
    expect((await refusalOf(contentOf(key))).name).toBe('NoSuchKey');
  });

  it.each(['zz\r\nhello\r\n0\r\n\r\n', '5\r\nhello0\r\n\r\n', '5\r\nhello\r\n', '5\r\nhello\r\n0\r\n\r\nmore'])(
    'with broken framing is refused: %j',
    async (body) => {
      const answer = await send(server.s3.port, {
        method: 'PUT',
        path: `/${BUCKET}/framing`,
        body,
        payloadHash: 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
        headers: { 'content-encoding': 'aws-chunked', 'x-amz-decoded-content-length': '5' },
      });
      expect(answer).toMatchObject({ status: 400, code: 'IncompleteBody' });
    },
  );
});

describe('the length of a body', () => {
  it('must be told', async () => {
    const { port } = server.s3;
    const { headers } = sign(port, { method: 'PUT', path: `/${BUCKET}/no-length`, payloadHash: 'UNSIGNED-PAYLOAD' });
    const head = headOf('PUT', `/${BUCKET}/no-length`, { ...headers, 'transfer-encoding': 'chunked' });
    const answer = await sendBytes(port, `${head}5\r\nhello\r\n0\r\n\r\n`, 'PUT');
    expect(answer).toMatchObject({ status: 411, code: 'MissingContentLength' });
  });

  it('can be 5 GiB and no more, which is said before any byte of it is read', async () => {
    const answer = async (length: number): Promise<RawAnswer> => {
      const { head } = sign(server.s3.port, {
        method: 'PUT',
        path: `/${BUCKET}/too-large`,
        payloadHash: 'UNSIGNED-PAYLOAD',
        headers: { 'content-length': String(length), expect: '100-continue' },
      });
      return sendBytes(server.s3.port, head, 'PUT');
    };
    expect(await answer(5 * 1024 ** 3 + 1)).toMatchObject({ status: 400, code: 'EntityTooLarge' });
    const before = await dataFilesOf(server.dataDir);
    expect((await answer(5 * 1024 ** 3)).status).toBe(100);
    await until(async () => (await dataFilesOf(server.dataDir)).length === before.length);
  });

  it('cut short leaves no object and no file', async () => {
    const before = await dataFilesOf(server.dataDir);
    const { port } = server.s3;
    const { head } = sign(port, {
      method: 'PUT',
      path: `/${BUCKET}/cut`,
      payloadHash: 'UNSIGNED-PAYLOAD',
      headers: { 'content-length': String(8 * 1024 ** 2) },
    });
    const socket = await connectTo(port);
    socket.write(head);
    socket.write(Buffer.alloc(3 * 1024 ** 2));
    await until(async () => (await dataFilesOf(server.dataDir)).length > before.length);
    socket.destroy();
    await until(async () => (await dataFilesOf(server.dataDir)).length === before.length);
    expect((await refusalOf(contentOf('cut'))).name).toBe('NoSuchKey');
  });
});

describe('a refusal before the body', () => {
  it('asks for no body when the client waits for 100-continue', async () => {
    const { port } = server.s3;
    const request = (secretAccessKey: string | undefined) =>
      sign(port, {
        method: 'PUT',
        path: `/${BUCKET}/expecting`,
        body: 'content',
        headers: { 'content-length': '7', expect: '100-continue' },
        secretAccessKey,
      }).head;
    expect(await sendBytes(port, request('wrong'), 'PUT')).toMatchObject({
      status: 403,
      code: 'SignatureDoesNotMatch',
    });

    const socket = await connectTo(port);
    socket.write(request(undefined));
    expect((await readAnswer(socket)).status).toBe(100);
    socket.write('content');
    expect((await readAnswer(socket)).status).toBe(200);
    socket.destroy();
    expect(await contentOf('expecting')).toBe('content');
  });

  it('is seen as an S3 error by a client in the middle of 32 MiB', async () => {
    const client = clientOf(server.endpoint, {
      credentials: { accessKeyId: 'AKIALOCALTEST', secretAccessKey: 'wrong' },
      requestChecksumCalculation: 'WHEN_REQUIRED',
    });
    const Body = Buffer.alloc(32 * 1024 ** 2);
    expect(await refusalOf(client.send(new PutObjectCommand({ Bucket: BUCKET, Key: 'big', Body })))).toEqual({
      name: 'SignatureDoesNotMatch',
      status: 403,
    });
    client.destroy();
  });

  it('keeps the connection for the next request when there is no body', async () => {
    const { port } = server.s3;
    const socket = await connectTo(port);
    socket.write(sign(port, { method: 'GET', path: `/${BUCKET}/nothing-here` }).head);
    expect((await readAnswer(socket)).status).toBe(404);
    socket.write(sign(port, { method: 'HEAD', path: `/${BUCKET}` }).head);
    expect((await readAnswer(socket, 'HEAD')).status).toBe(200);
    socket.destroy();
  });
});
