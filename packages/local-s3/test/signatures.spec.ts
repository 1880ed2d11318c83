import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { headOf, type RawRequest, send, sendBytes, sign } from './support/raw-request.js';
import { BUCKET, clientOf, refusalOf, startTestServer, type TestServer } from './support/server.js';

const KEY = 'signed/object.txt';
let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
  await server.client.send(new PutObjectCommand({ Bucket: BUCKET, Key: KEY, Body: 'content' }));
  await server.client.send(new PutObjectCommand({ Bucket: BUCKET, Key: `${KEY}2`, Body: 'other' }));
});
afterAll(() => server.stop());

describe('the Authorization header', () => {
  const get: RawRequest = { method: 'GET', path: `/${BUCKET}/${KEY}` };

  it('lets a rightly signed request through', async () => {
    expect(await send(server.s3.port, get)).toMatchObject({ status: 200, body: 'content' });
  });

  it.each<[string, Partial<RawRequest>, number, string]>([
    ['an unknown access key', { accessKeyId: 'AKIAOTHER' }, 403, 'InvalidAccessKeyId'],
    ['another secret', { secretAccessKey: 'other' }, 403, 'SignatureDoesNotMatch'],
    ['another region', { region: 'eu-west-3' }, 400, 'AuthorizationHeaderMalformed'],
    ['a clock 16 minutes slow', { time: new Date(Date.now() - 16 * 60_000) }, 403, 'RequestTimeTooSkewed'],
    ['a clock 16 minutes fast', { time: new Date(Date.now() + 16 * 60_000) }, 403, 'RequestTimeTooSkewed'],
    ['a payload hash of another form', { payloadHash: 'abc' }, 400, 'InvalidArgument'],
    ['a session token nobody gave out', { headers: { 'x-amz-security-token': 'x' } }, 400, 'InvalidToken'],
  ])('refuses %s', async (_, change, status, code) => {
    expect(await send(server.s3.port, { ...get, ...change })).toMatchObject({ status, code });
  });

  it('accepts a clock 14 minutes off', async () => {
    const time = new Date(Date.now() - 14 * 60_000);
    expect((await send(server.s3.port, { ...get, time })).status).toBe(200);
  });

  it('names the right region', async () => {
    const answer = await send(server.s3.port, { ...get, region: 'eu-west-3' });
    expect(answer.body).toContain('<Region>us-east-1</Region>');
    expect(answer.headers['x-amz-bucket-region']).toBe('us-east-1');
  });

  it('refuses a request whose method, path, query or signed header was changed', async () => {
    const { port } = server.s3;
    const { headers } = sign(port, { ...get, query: 'versionId=null', headers: { 'x-amz-meta-a': '1' } });
    const target = `${get.path}?versionId=null`;
    const answerTo = async (method: string, to: string, change: Record<string, string> = {}) =>
      (await sendBytes(port, headOf(method, to, { ...headers, ...change }), method)).status;
    expect(await answerTo('GET', target)).toBe(200);
    expect(await answerTo('HEAD', target)).toBe(403);
    expect(await answerTo('GET', target.replace('object', 'Object'))).toBe(403);
    expect(await answerTo('GET', `${target}&x=1`)).toBe(403);
    expect(await answerTo('GET', target.replace('null', 'nul1'))).toBe(403);
    expect(await answerTo('GET', target, { 'x-amz-meta-a': '2' })).toBe(403);
    expect(await answerTo('GET', target, { host: 'localhost:1' })).toBe(403);
  });

  it('refuses x-amz-* headers that were not signed', async () => {
    const { port } = server.s3;
    const { headers } = sign(port, get);
    const answer = await sendBytes(port, headOf('GET', get.path, { ...headers, 'x-amz-meta-added': '1' }));
    expect(answer).toMatchObject({ status: 403, code: 'AccessDenied' });
    expect(answer.body).toContain('<HeadersNotSigned>x-amz-meta-added</HeadersNotSigned>');
  });

  it('refuses a request without credentials, and other mechanisms', async () => {
    const { port } = server.s3;
    const host = { host: `127.0.0.1:${port}` };
    expect(await sendBytes(port, headOf('GET', get.path, host))).toMatchObject({ status: 403, code: 'AccessDenied' });
    const basic = headOf('GET', get.path, { ...host, authorization: 'Basic eDp5' });
    expect(await sendBytes(port, basic)).toMatchObject({ status: 400, code: 'InvalidRequest' });
  });

  it('is told by the SDK under the names of S3', async () => {
    const list = (config: Parameters<typeof clientOf>[1]) =>
      refusalOf(clientOf(server.endpoint, config).send(new ListObjectsV2Command({ Bucket: BUCKET })));
    const credentials = { accessKeyId: 'AKIAOTHER', secretAccessKey: 'x' };
    expect(await list({ credentials })).toEqual({ name: 'InvalidAccessKeyId', status: 403 });
    expect(await list({ systemClockOffset: 3_600_000 })).toEqual({ name: 'RequestTimeTooSkewed', status: 403 });
    // The Date of the refusal sets the client right for its next request.
    const skewed = clientOf(server.endpoint, { systemClockOffset: 3_600_000 });
    await refusalOf(skewed.send(new ListObjectsV2Command({ Bucket: BUCKET })));
    expect((await skewed.send(new ListObjectsV2Command({ Bucket: BUCKET }))).KeyCount).toBe(2);
  });
});

describe('a presigned URL', () => {
  const presign = (expiresIn = 60, signingDate = new Date()): Promise<string> =>
    getSignedUrl(server.client, new GetObjectCommand({ Bucket: BUCKET, Key: KEY, ResponseContentType: 'video/mp4' }), {
      expiresIn,
      signingDate,
    });
  const answerTo = async (url: string | URL, init?: RequestInit): Promise<[number, string | undefined]> => {
    const answer = await fetch(url, init);
    return [answer.status, /<Code>(\w+)<\/Code>/.exec(await answer.text())?.[1]];
  };

  it('opens the object and overrides its type', async () => {
    const answer = await fetch(await presign());
    expect([answer.status, answer.headers.get('content-type'), await answer.text()]).toEqual([
      200,
      'video/mp4',
      'content',
    ]);
  });

  it.each([
    'X-Amz-Algorithm',
    'X-Amz-Credential',
    'X-Amz-Date',
    'X-Amz-Expires',
    'X-Amz-SignedHeaders',
    'X-Amz-Signature',
  ])('is refused without %s', async (name) => {
    const url = new URL(await presign());
    url.searchParams.delete(name);
    expect(await answerTo(url)).toEqual([400, 'AuthorizationQueryParametersError']);
  });

  it.each<[string, (url: URL) => void, number, string]>([
    [
      'the key',
      (url) => {
        url.pathname += '2';
      },
      403,
      'SignatureDoesNotMatch',
    ],
    ['an override', (url) => url.searchParams.set('response-content-type', 'text/html'), 403, 'SignatureDoesNotMatch'],
    ['an added override', (url) => url.searchParams.set('response-expires', '0'), 403, 'SignatureDoesNotMatch'],
    ['a dropped parameter', (url) => url.searchParams.delete('x-id'), 403, 'SignatureDoesNotMatch'],
    ['the expiry', (url) => url.searchParams.set('X-Amz-Expires', '61'), 403, 'SignatureDoesNotMatch'],
    ['the signature', (url) => url.searchParams.set('X-Amz-Signature', 'a'.repeat(64)), 403, 'SignatureDoesNotMatch'],
    [
      'the signed headers',
      (url) => url.searchParams.set('X-Amz-SignedHeaders', 'host;x'),
      403,
      'SignatureDoesNotMatch',
    ],
    [
      'the host left unsigned',
      (url) => url.searchParams.set('X-Amz-SignedHeaders', 'date'),
      403,
      'SignatureDoesNotMatch',
    ],
    [
      'the algorithm',
      (url) => url.searchParams.set('X-Amz-Algorithm', 'AWS4'),
      400,
      'AuthorizationQueryParametersError',
    ],
    ['a duplicate', (url) => url.searchParams.append('X-Amz-Expires', '60'), 400, 'AuthorizationQueryParametersError'],
    ['an expiry of 0', (url) => url.searchParams.set('X-Amz-Expires', '0'), 400, 'AuthorizationQueryParametersError'],
    [
      'an expiry of 604801',
      (url) => url.searchParams.set('X-Amz-Expires', '604801'),
      400,
      'AuthorizationQueryParametersError',
    ],
    [
      'an expiry of words',
      (url) => url.searchParams.set('X-Amz-Expires', 'soon'),
      400,
      'AuthorizationQueryParametersError',
    ],
    [
      'another date',
      (url) => url.searchParams.set('X-Amz-Date', '20200101T000000Z'),
      400,
      'AuthorizationQueryParametersError',
    ],
  ])('is refused with a change to %s', async (_, change, status, code) => {
    const url = new URL(await presign());
    change(url);
    expect(await answerTo(url)).toEqual([status, code]);
  });

  it('is good for its method only', async () => {
    expect((await answerTo(await presign(), { method: 'DELETE' }))[0]).toBe(403);
    expect((await fetch(await presign(), { method: 'HEAD' })).status).toBe(403);
  });

  it('ends with its time and does not start before it', async () => {
    const expired = await fetch(await presign(60, new Date(Date.now() - 61_000)));
    expect(expired.status).toBe(403);
    expect(await expired.text()).toMatch(/<Code>AccessDenied<\/Code><Message>Request has expired<\/Message>/);
    expect(await answerTo(await presign(60, new Date(Date.now() - 50_000)))).toEqual([200, undefined]);
    expect(await answerTo(await presign(60, new Date(Date.now() + 16 * 60_000)))).toEqual([403, 'AccessDenied']);
    expect(await answerTo(await presign(604_800))).toEqual([200, undefined]);
  });

  it('cannot be used together with an Authorization header', async () => {
    expect(await answerTo(await presign(), { headers: { authorization: 'AWS4-HMAC-SHA256 x' } })).toEqual([
      400,
      'InvalidArgument',
    ]);
  });

  it('refuses another region and another key', async () => {
    const sign = (config: Parameters<typeof clientOf>[1]) =>
      getSignedUrl(clientOf(server.endpoint, config), new GetObjectCommand({ Bucket: BUCKET, Key: KEY }));
    expect(await answerTo(await sign({ region: 'eu-west-3' }))).toEqual([400, 'AuthorizationQueryParametersError']);
    const credentials = { accessKeyId: 'AKIAOTHER', secretAccessKey: 'x' };
    expect(await answerTo(await sign({ credentials }))).toEqual([403, 'InvalidAccessKeyId']);
  });

  it('takes an upload from plain fetch', async () => {
    const client = clientOf(server.endpoint, { requestChecksumCalculation: 'WHEN_REQUIRED' });
    const put = new PutObjectCommand({
      Bucket: BUCKET,
      Key: 'by-fetch',
      Metadata: { a: 'é' },
      ContentType: 'text/plain',
    });
    const answer = await fetch(await getSignedUrl(client, put), { method: 'PUT', body: 'from a browser' });
    expect(answer.status).toBe(200);
    const stored = await client.send(new GetObjectCommand({ Bucket: BUCKET, Key: 'by-fetch' }));
    expect(await stored.Body?.transformToString()).toBe('from a browser');
  });

  it('made with the default checksums is held to the checksum of nothing that it carries', async () => {
    const url = await getSignedUrl(server.client, new PutObjectCommand({ Bucket: BUCKET, Key: 'default-checksum' }));
    expect(url).toContain('x-amz-checksum-crc32=AAAAAA%3D%3D');
    expect(await answerTo(url, { method: 'PUT', body: 'x' })).toEqual([400, 'BadDigest']);
  });
});
