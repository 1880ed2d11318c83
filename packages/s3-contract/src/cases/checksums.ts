import { createHash } from 'node:crypto';
import { ChecksumAlgorithm, GetObjectCommand, PutObjectCommand, type PutObjectCommandInput } from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { type CaseContext, streamOf } from '../case-context.js';
import { api, type ContractCase, ERROR_LIST, guide, inArea, MEASURED } from '../contract.js';
import { must, refused, refusedAnswer, same, sameBytes } from '../expectations.js';
import { fullPart } from '../upload-under-test.js';
import type { RawAnswer } from '../wire/raw-connection.js';
import { EMPTY_SHA256, sha256 } from '../wire/signature-v4.js';

const INTEGRITY = guide('checking-object-integrity');
const STREAMING = api('sigv4-streaming');
const TRAILERS = api('sigv4-streaming-trailers');
const HEADER_AUTH = api('sig-v4-header-based-auth');

const TEXT = 'the bytes that are summed';
const digest = (algorithm: string, text: string): string => createHash(algorithm).update(text).digest('base64');
/** Of TEXT and of another text, computed with the SDK's own code. */
const WRONG_CRC32 = 'AAAAAA==';

const FIELDS = {
  CRC32: 'ChecksumCRC32',
  CRC32C: 'ChecksumCRC32C',
  CRC64NVME: 'ChecksumCRC64NVME',
  SHA1: 'ChecksumSHA1',
  SHA256: 'ChecksumSHA256',
} as const;

function kept(name: keyof typeof FIELDS): Omit<ContractCase, 'area'> {
  return {
    id: `sums.${name.toLowerCase()}`,
    title: `a ${name} sent by the SDK is stored and comes back with ChecksumMode`,
    source: INTEGRITY,
    run: async (s3) => {
      const put = await s3.put('object', TEXT, { ChecksumAlgorithm: ChecksumAlgorithm[name] });
      const head = await s3.head('object', { ChecksumMode: 'ENABLED' });
      must(head[FIELDS[name]] !== undefined, 'stored, but HEAD does not return it');
      same(put[FIELDS[name]], head[FIELDS[name]], 'checksum in the answer to PutObject');
    },
  };
}

function refuses(id: string, sums: Partial<PutObjectCommandInput>, what: string): Omit<ContractCase, 'area'> {
  return {
    id: `sums.${id}`,
    title: `${what} that is not of the body is BadDigest, and nothing is stored`,
    source: api('API_PutObject'),
    run: async (s3) => {
      await refused(s3.put('object', TEXT, sums), 400, 'BadDigest', 'XAmzContentChecksumMismatch');
      await refused(s3.head('object'), 404);
    },
  };
}

/** A body in aws-chunked coding without signatures, and its trailer. */
function unsignedChunks(chunks: readonly string[], trailer: string): string {
  const framed = chunks.map((chunk) => `${Buffer.byteLength(chunk).toString(16)}\r\n${chunk}\r\n`);
  return `${framed.join('')}0\r\n${trailer}\r\n`;
}

function putWithTrailer(s3: CaseContext, crc32: string, trailer = `x-amz-checksum-crc32:${crc32}\r\n`) {
  return s3.raw({
    method: 'PUT',
    name: 'object',
    payloadHash: 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
    headers: {
      'content-encoding': 'aws-chunked',
      'x-amz-decoded-content-length': String(Buffer.byteLength(TEXT)),
      'x-amz-trailer': 'x-amz-checksum-crc32',
    },
    body: unsignedChunks([TEXT.slice(0, 10), TEXT.slice(10)], trailer),
  });
}

interface SignedChunks {
  readonly chunks: readonly string[];
  /** Sent in place of the last chunk of data, under the signature of the true one. */
  readonly tampered?: string;
  readonly decodedLength?: number;
  readonly trailer?: string;
}

/** Sends a body whose chunks are signed one by one, each signature over the one before. */
async function putSignedChunks(
  s3: CaseContext,
  { chunks, tampered, decodedLength, trailer }: SignedChunks,
): Promise<RawAnswer> {
  const size = chunks.reduce((sum, chunk) => sum + Buffer.byteLength(chunk), 0);
  const frame = (data: string, signature: string): string =>
    `${Buffer.byteLength(data).toString(16)};chunk-signature=${signature}\r\n${data}`;
  const framing = [...chunks, ''].map((chunk) => Buffer.byteLength(frame(chunk, '0'.repeat(64))) + 2);
  const trailerBytes = trailer === undefined ? 0 : Buffer.byteLength(`${trailer}\r\nx-amz-trailer-signature:\r\n`) + 64;
  const length = framing.reduce((sum, bytes) => sum + bytes, 0) + trailerBytes;
  const { head, signature, timestamp, scope, sign } = s3.signedHead({
    method: 'PUT',
    name: 'object',
    payloadHash: `STREAMING-AWS4-HMAC-SHA256-PAYLOAD${trailer === undefined ? '' : '-TRAILER'}`,
    headers: {
      'content-encoding': 'aws-chunked',
      'x-amz-decoded-content-length': String(decodedLength ?? size),
      ...(trailer === undefined ? {} : { 'x-amz-trailer': trailer.split(':')[0] ?? '' }),
    },
    unsignedHeaders: { 'content-length': String(length) },
  });
  let previous = signature;
  const body = [...chunks, ''].map((chunk, index) => {
    const lines = ['AWS4-HMAC-SHA256-PAYLOAD', timestamp, scope, previous, EMPTY_SHA256, sha256(chunk)];
    previous = sign(lines.join('\n'));
    const isTampered = tampered !== undefined && index === chunks.length - 1;
    const end = chunk === '' && trailer !== undefined ? '' : '\r\n';
    return `${frame(isTampered ? tampered : chunk, previous)}${end}`;
  });
  if (trailer !== undefined) {
    const lines = ['AWS4-HMAC-SHA256-TRAILER', timestamp, scope, previous, sha256(`${trailer}\n`)];
    body.push(`${trailer}\r\nx-amz-trailer-signature:${sign(lines.join('\n'))}\r\n\r\n`);
  }
  return s3.rawBytes(`${head}${body.join('')}`, 'PUT');
}

/** What the SDK itself computes for a text. */
async function crc32Of(s3: CaseContext, text: string): Promise<string> {
  let value = '';
  const client = s3.newClient({});
  client.middlewareStack.add(
    (next) => (args) => {
      value = (args.request as { headers: Record<string, string> }).headers['x-amz-checksum-crc32'] ?? '';
      return next(args);
    },
    { step: 'build', priority: 'low', name: 'readChecksum' },
  );
  await client.send(new PutObjectCommand({ ...s3.at('summed'), Body: text }));
  return value;
}

/** A composite checksum that the client follows through parts and Complete. */
async function multipartSum(s3: CaseContext, name: 'CRC32' | 'SHA256', type: 'COMPOSITE' | 'FULL_OBJECT') {
  const settings = { ChecksumAlgorithm: ChecksumAlgorithm[name], ChecksumType: type };
  const upload = await s3.upload('object', settings);
  const more = { ChecksumAlgorithm: ChecksumAlgorithm[name] };
  const parts = [await upload.part(1, fullPart('a'), more), await upload.part(2, 'end', more)];
  const field = FIELDS[name];
  must(
    parts.every((part) => part[field] !== undefined),
    `UploadPart returns no ${name}`,
  );
  const done = await upload.complete(parts, { ChecksumType: type });
  const head = await s3.head('object', { ChecksumMode: 'ENABLED' });
  same(head[field], done[field], `${name} on HEAD and of Complete`);
  return { value: head[field] ?? '', type: head.ChecksumType };
}

export const CHECKSUM_CASES = inArea('checksums', [
  {
    id: 'sums.md5',
    title: 'a Content-MD5 of the body is accepted',
    source: api('API_PutObject'),
    run: async (s3) => {
      await s3.put('object', TEXT, { ContentMD5: digest('md5', TEXT) });
      same(await s3.text('object'), TEXT, 'content');
    },
  },
  refuses('md5-wrong', { ContentMD5: digest('md5', 'other') }, 'a Content-MD5'),
  {
    id: 'sums.md5-malformed',
    title: 'a Content-MD5 that is no MD5 is InvalidDigest',
    source: ERROR_LIST,
    run: async (s3) => {
      await refused(s3.put('object', TEXT, { ContentMD5: 'bm90IGFuIG1kNQ==' }), 400, 'InvalidDigest');
      await refused(s3.head('object'), 404);
    },
  },
  {
    id: 'sums.md5-keeps-old',
    title: 'a refused body leaves the object that was there',
    source: MEASURED,
    run: async (s3) => {
      await s3.put('object', 'old');
      await refused(s3.put('object', TEXT, { ContentMD5: digest('md5', 'other') }), 400, 'BadDigest');
      same(await s3.text('object'), 'old', 'content');
    },
  },
  {
    id: 'sums.md5-part',
    title: 'a part with a wrong Content-MD5 is BadDigest and is not listed',
    source: api('API_UploadPart'),
    run: async (s3) => {
      const upload = await s3.upload('object');
      await upload.part(1, TEXT, { ContentMD5: digest('md5', TEXT) });
      await refused(upload.part(2, TEXT, { ContentMD5: digest('md5', 'other') }), 400, 'BadDigest');
      const { Parts = [] } = await upload.list();
      same(
        Parts.map(({ PartNumber }) => PartNumber),
        [1],
        'parts listed',
      );
    },
  },
  {
    id: 'sums.payload-hash-wrong',
    title: 'a body that x-amz-content-sha256 was not signed for is refused',
    source: HEADER_AUTH,
    run: async (s3) => {
      const answer = await s3.raw({ method: 'PUT', name: 'object', body: TEXT, payloadHash: sha256('other') });
      refusedAnswer(answer, 400, 'XAmzContentSHA256Mismatch', 'BadDigest');
      await refused(s3.head('object'), 404);
    },
  },
  {
    id: 'sums.unsigned-payload',
    title: 'UNSIGNED-PAYLOAD is accepted in place of a hash',
    source: HEADER_AUTH,
    run: async (s3) => {
      const answer = await s3.raw({ method: 'PUT', name: 'object', body: TEXT, payloadHash: 'UNSIGNED-PAYLOAD' });
      same(answer.status, 200, 'status');
      same(await s3.text('object'), TEXT, 'content');
    },
  },
  {
    id: 'sums.payload-hash-missing',
    title: 'a signed request without x-amz-content-sha256 is refused',
    source: HEADER_AUTH,
    run: async (s3) => {
      const { head } = s3.signedHead({ method: 'GET', name: 'object' });
      const answer = await s3.rawBytes(head.replace(/x-amz-content-sha256: \w+\r\n/, ''));
      must([400, 403].includes(answer.status), `${answer.status} ${answer.code}`);
    },
  },
  kept('CRC32'),
  kept('CRC32C'),
  kept('CRC64NVME'),
  kept('SHA1'),
  kept('SHA256'),
  refuses('crc32-wrong', { ChecksumCRC32: WRONG_CRC32 }, 'a CRC32'),
  refuses('sha256-wrong', { ChecksumSHA256: digest('sha256', 'other') }, 'a SHA256'),
  {
    id: 'sums.two-headers',
    title: 'two checksum headers in one request are refused',
    source: INTEGRITY,
    run: async (s3) => {
      const headers = {
        'x-amz-checksum-sha1': digest('sha1', TEXT),
        'x-amz-checksum-sha256': digest('sha256', TEXT),
      };
      const answer = await s3.raw({ method: 'PUT', name: 'object', body: TEXT, headers });
      refusedAnswer(answer, 400, 'InvalidRequest');
    },
  },
  {
    id: 'sums.hidden-without-mode',
    title: 'HEAD without ChecksumMode gives no checksum',
    source: api('API_HeadObject'),
    run: async (s3) => {
      await s3.put('object', TEXT, { ChecksumAlgorithm: 'SHA256' });
      same((await s3.head('object')).ChecksumSHA256, undefined, 'ChecksumSHA256');
    },
  },
  {
    id: 'sums.default-client',
    title: "PutObject and GetObject with the SDK's own checksums",
    source: INTEGRITY,
    run: async (s3) => {
      await s3.defaults.send(new PutObjectCommand({ ...s3.at('object'), Body: TEXT }));
      const got = await s3.defaults.send(new GetObjectCommand(s3.at('object')));
      same(await got.Body?.transformToString(), TEXT, 'content');
    },
  },
  {
    id: 'sums.default-client-stream',
    title: "PutObject of a stream with the SDK's own checksum in a trailer",
    source: TRAILERS,
    run: async (s3) => {
      const Body = streamOf(TEXT);
      await s3.defaults.send(new PutObjectCommand({ ...s3.at('object'), Body, ContentLength: TEXT.length }));
      same(await s3.text('object'), TEXT, 'content');
    },
  },
  {
    id: 'sums.default-client-part-stream',
    title: "UploadPart of a stream with the SDK's own checksum in a trailer",
    source: TRAILERS,
    run: async (s3) => {
      const upload = await s3.upload('object', { client: s3.defaults });
      const part = await upload.part(1, streamOf(TEXT), { ContentLength: TEXT.length });
      await upload.complete([part]);
      same(await s3.text('object'), TEXT, 'content');
    },
  },
  {
    id: 'sums.default-client-multipart',
    title: 'a multipart object of the default client is read back by it, its checksum being of parts',
    source: INTEGRITY,
    run: async (s3) => {
      const upload = await s3.upload('object', { client: s3.defaults });
      await upload.complete([await upload.part(1, fullPart('a')), await upload.part(2, 'end')]);
      const got = await s3.defaults.send(new GetObjectCommand(s3.at('object')));
      sameBytes(
        (await got.Body?.transformToByteArray()) ?? Buffer.alloc(0),
        Buffer.concat([fullPart('a'), Buffer.from('end')]),
      );
    },
  },
  ...(['required', 'default'] as const).map((kind) => ({
    id: `sums.lib-storage-${kind}`,
    title: `lib-storage uploads a stream in parts, ${kind === 'required' ? 'checksums where demanded' : "with the SDK's own"}`,
    source: MEASURED,
    run: async (s3: CaseContext) => {
      const body = Buffer.concat([fullPart('a'), fullPart('b'), Buffer.from('end')]);
      const client = kind === 'required' ? s3.client : s3.defaults;
      const params = { ...s3.at('object'), Body: streamOf(body) };
      await new Upload({ client, params, leavePartsOnError: true, partSize: 5 * 1024 ** 2 }).done();
      sameBytes((await s3.read('object')).bytes, body);
    },
  })),
  {
    id: 'sums.trailer',
    title: 'an aws-chunked body with a right CRC32 in its trailer is stored without the framing',
    source: TRAILERS,
    run: async (s3) => {
      const answer = await putWithTrailer(s3, await crc32Of(s3, TEXT));
      same([answer.status, answer.code], [200, ''], 'status and code');
      same(await s3.text('object'), TEXT, 'content');
      same((await s3.head('object')).ContentEncoding ?? '', '', 'Content-Encoding');
    },
  },
  {
    id: 'sums.trailer-wrong',
    title: 'an aws-chunked body with a wrong CRC32 in its trailer is BadDigest',
    source: TRAILERS,
    run: async (s3) => {
      refusedAnswer(await putWithTrailer(s3, WRONG_CRC32), 400, 'BadDigest', 'XAmzContentChecksumMismatch');
      await refused(s3.head('object'), 404);
    },
  },
  {
    id: 'sums.trailer-missing',
    title: 'an announced trailer that does not come is refused',
    source: TRAILERS,
    run: async (s3) => {
      const answer = await putWithTrailer(s3, '', '');
      must(answer.status === 400, `${answer.status} ${answer.code}`);
      await refused(s3.head('object'), 404);
    },
  },
  {
    id: 'sums.signed-chunks',
    title: 'a body of signed chunks is stored without the framing',
    source: STREAMING,
    run: async (s3) => {
      const answer = await putSignedChunks(s3, { chunks: ['a'.repeat(65536), 'the end'] });
      same([answer.status, answer.code], [200, ''], 'status and code');
      same(await s3.text('object'), `${'a'.repeat(65536)}the end`, 'content');
    },
  },
  {
    id: 'sums.signed-chunks-tampered',
    title: 'a chunk that its signature was not made for is SignatureDoesNotMatch',
    source: STREAMING,
    run: async (s3) => {
      const answer = await putSignedChunks(s3, { chunks: ['a'.repeat(65536), 'the end'], tampered: 'the and' });
      refusedAnswer(answer, 403, 'SignatureDoesNotMatch');
      await refused(s3.head('object'), 404);
    },
  },
  {
    id: 'sums.signed-chunks-trailer',
    title: 'signed chunks with a signed trailer are stored',
    source: TRAILERS,
    run: async (s3) => {
      const trailer = `x-amz-checksum-sha256:${digest('sha256', TEXT)}`;
      const answer = await putSignedChunks(s3, { chunks: [TEXT], trailer });
      same([answer.status, answer.code], [200, ''], 'status and code');
      same(await s3.text('object'), TEXT, 'content');
    },
  },
  {
    id: 'sums.decoded-length-wrong',
    title: 'chunks of another length than x-amz-decoded-content-length are refused',
    source: STREAMING,
    run: async (s3) => {
      const answer = await putSignedChunks(s3, { chunks: [TEXT], decodedLength: TEXT.length + 1 });
      must(answer.status === 400, `${answer.status} ${answer.code}`);
      await refused(s3.head('object'), 404);
    },
  },
  {
    id: 'sums.composite',
    title: 'parts with SHA256 make a composite checksum that ends in the number of parts',
    source: INTEGRITY,
    run: async (s3) => {
      const { value, type } = await multipartSum(s3, 'SHA256', 'COMPOSITE');
      must(value.endsWith('-2'), `the checksum is ${value || 'missing'}`);
      same(type, 'COMPOSITE', 'ChecksumType');
    },
  },
  {
    id: 'sums.full-object',
    title: 'parts with CRC32 of type FULL_OBJECT make the CRC32 of the whole',
    source: INTEGRITY,
    run: async (s3) => {
      const { value, type } = await multipartSum(s3, 'CRC32', 'FULL_OBJECT');
      const whole = await s3.put('whole', Buffer.concat([fullPart('a'), Buffer.from('end')]), {
        ChecksumAlgorithm: 'CRC32',
      });
      same([value, type], [whole.ChecksumCRC32, 'FULL_OBJECT'], 'CRC32 and its type');
    },
  },
  {
    id: 'sums.part-gap',
    title: 'parts with checksums must be numbered 1, 2, 3: a gap is InvalidPartOrder',
    source: api('API_CompletedPart'),
    run: async (s3) => {
      const upload = await s3.upload('object', { ChecksumAlgorithm: 'SHA256' });
      const more = { ChecksumAlgorithm: ChecksumAlgorithm.SHA256 };
      const parts = [await upload.part(1, fullPart('a'), more), await upload.part(3, 'end', more)];
      await refused(upload.complete(parts), 400, 'InvalidPartOrder');
      await refused(s3.head('object'), 404);
    },
  },
  {
    id: 'sums.complete-part-wrong',
    title: 'Complete that names another checksum for a part is refused, and the upload survives',
    source: api('API_CompleteMultipartUpload'),
    run: async (s3) => {
      const upload = await s3.upload('object', { ChecksumAlgorithm: 'SHA256' });
      const part = await upload.part(1, TEXT, { ChecksumAlgorithm: 'SHA256' });
      const wrong = { ...part, ChecksumSHA256: digest('sha256', 'other') };
      await refused(upload.complete([wrong]), 400, 'InvalidPart', 'BadDigest', 'InvalidRequest');
      await upload.complete([part]);
      same(await s3.text('object'), TEXT, 'content');
    },
  },
]);
