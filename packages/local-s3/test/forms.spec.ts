import { createHmac } from 'node:crypto';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { connectTo, type RawAnswer, readAnswer } from './support/raw-request.js';
import {
  ACCESS_KEY_ID,
  BUCKET,
  dataFilesOf,
  refusalOf,
  SECRET_ACCESS_KEY,
  startTestServer,
  type TestServer,
  uniqueKey,
} from './support/server.js';

const BOUNDARY = 'the-boundary';
let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

/** The fields of a signed form for `key`, with more conditions and fields. */
function formFor(key: string, more: Record<string, string> = {}): Record<string, string> {
  const timestamp = new Date().toISOString().replace(/[-:]|\.\d{3}/g, '');
  const day = timestamp.slice(0, 8);
  const fields: Record<string, string> = {
    key,
    'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
    'X-Amz-Credential': `${ACCESS_KEY_ID}/${day}/us-east-1/s3/aws4_request`,
    'X-Amz-Date': timestamp,
    ...more,
  };
  const conditions = Object.entries(fields).map(([name, value]) => ['eq', `$${name}`, value]);
  const expiration = new Date(Date.now() + 60_000).toISOString();
  return signed(fields, JSON.stringify({ expiration, conditions }));
}

function signed(fields: Record<string, string>, policy: string): Record<string, string> {
  const Policy = Buffer.from(policy).toString('base64');
  const day = (fields['X-Amz-Date'] ?? '').slice(0, 8);
  const signingKey = [day, 'us-east-1', 's3', 'aws4_request'].reduce<Buffer | string>(
    (previous, text) => createHmac('sha256', previous).update(text).digest(),
    `AWS4${SECRET_ACCESS_KEY}`,
  );
  return { ...fields, Policy, 'X-Amz-Signature': createHmac('sha256', signingKey).update(Policy).digest('hex') };
}

const field = (name: string, value: string): string =>
  `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
const file = (content: string, name = 'a.txt'): string =>
  `--${BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="${name}"\r\nContent-Type: text/plain\r\n\r\n${content}\r\n`;
const END = `--${BOUNDARY}--\r\n`;
const written = (fields: Record<string, string>): string =>
  Object.entries(fields)
    .map(([name, value]) => field(name, value))
    .join('');

/** Sends a body in pieces of `step` bytes, each in a packet of its own. */
async function post(body: string, options: { step?: number; contentType?: string } = {}): Promise<RawAnswer> {
  const socket = await connectTo(server.s3.port);
  socket.setNoDelay(true);
  const type = options.contentType ?? `multipart/form-data; boundary=${BOUNDARY}`;
  const head = `POST /${BUCKET} HTTP/1.1\r\nHost: 127.0.0.1:${server.s3.port}\r\nContent-Type: ${type}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n`;
  socket.write(head);
  const bytes = Buffer.from(body);
  const step = options.step ?? bytes.length;
  for (let start = 0; start < bytes.length; start += step) {
    await new Promise<void>((resolve) => socket.write(bytes.subarray(start, start + step), () => resolve()));
  }
  try {
    return await readAnswer(socket);
  } finally {
    socket.destroy();
  }
}

const contentOf = async (Key: string): Promise<string | undefined> =>
  (await server.client.send(new GetObjectCommand({ Bucket: BUCKET, Key }))).Body?.transformToString();

describe('a form', () => {
  it.each([1, 2, 3, 7, 100])('is read in pieces of %i bytes', async (step) => {
    const key = uniqueKey();
    const content = `line\r\n--${BOUNDARY.slice(0, -1)}\r\n--\r\n-`;
    expect(await post(written(formFor(key)) + file(content) + END, { step })).toMatchObject({ status: 204 });
    expect(await contentOf(key)).toBe(content);
  });

  it('may have a preamble, a quoted boundary and fields behind the file, which are ignored', async () => {
    const key = uniqueKey();
    const body = `preamble\r\n${written(formFor(key))}${file('content')}${field('x-amz-meta-late', '1')}${END}`;
    const contentType = `multipart/form-data; charset=utf-8; boundary="${BOUNDARY}"`;
    expect(await post(body, { contentType })).toMatchObject({ status: 204 });
    expect(await contentOf(key)).toBe('content');
  });

  it('names the key by the file, without its folders', async () => {
    const folder = uniqueKey();
    // biome-ignore lint/suspicious/noTemplateCurlyInString: S3's own variable.
    const fields = formFor(`${folder}/${'${filename}'}`);
    const expiration = new Date(Date.now() + 60_000).toISOString();
    const conditions = ['key', 'x-amz-algorithm', 'x-amz-credential', 'x-amz-date'].map((name) => [
      'starts-with',
      `$${name}`,
      '',
    ]);
    const form = signed(fields, JSON.stringify({ expiration, conditions }));
    expect(await post(written(form) + file('content', 'C:\\folder\\a.txt') + END)).toMatchObject({ status: 204 });
    expect(await contentOf(`${folder}/a.txt`)).toBe('content');
  });

  it.each([
    [
      'that ends before its last boundary',
      (key: string) => written(formFor(key)) + file('content'),
      'MalformedPOSTRequest',
    ],
    ['without a file', (key: string) => written(formFor(key)) + END, 'InvalidArgument'],
    ['without a key', () => written(formFor('')) + file('content') + END, 'InvalidArgument'],
    ['with a key of 1,025 bytes', () => written(formFor('k'.repeat(1025))) + file('content') + END, 'KeyTooLongError'],
    [
      'with fields of more than 20 KB',
      (key: string) => written(formFor(key, { 'x-ignore-much': 'x'.repeat(21_000) })) + file('content') + END,
      'MaxPostPreDataLengthExceeded',
    ],
    [
      'that asks for tags',
      (key: string) => written(formFor(key, { tagging: '<Tagging/>' })) + file('content') + END,
      'NotImplemented',
    ],
    [
      'whose field cannot be a header',
      (key: string) => written(formFor(key, { 'x-amz-meta-a': 'b\r\nc: d' })) + file('content') + END,
      'InvalidArgument',
    ],
  ] as const)('%s is refused, and leaves no bytes', async (_, bodyFor, code) => {
    const key = uniqueKey();
    const before = await dataFilesOf(server.dataDir);
    expect(await post(bodyFor(key))).toMatchObject({ code });
    expect((await refusalOf(contentOf(key))).name).toBe('NoSuchKey');
    expect(await dataFilesOf(server.dataDir)).toEqual(before);
  });

  it('with a policy that is no JSON is InvalidPolicyDocument', async () => {
    const answer = await post(written(signed(formFor(uniqueKey()), '{')) + file('x') + END);
    expect(answer).toMatchObject({ status: 400, code: 'InvalidPolicyDocument' });
  });
});
