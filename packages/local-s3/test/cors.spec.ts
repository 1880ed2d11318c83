import { createHash } from 'node:crypto';
import {
  CreateBucketCommand,
  DeleteBucketCorsCommand,
  GetBucketCorsCommand,
  GetObjectCommand,
  PutBucketCorsCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type RawAnswer, send } from './support/raw-request.js';
import { BUCKET, refusalOf, startTestServer, type TestServer } from './support/server.js';

const RULES = [
  {
    ID: 'app',
    AllowedOrigins: ['https://app.example.com', 'https://*.preview.example.com'],
    AllowedMethods: ['GET', 'HEAD', 'PUT'],
    AllowedHeaders: ['content-type', 'x-amz-*'],
    ExposeHeaders: ['ETag', 'Content-Range'],
    MaxAgeSeconds: 3600,
  },
  { AllowedOrigins: ['*'], AllowedMethods: ['GET'] },
];
let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
  await server.client.send(new PutObjectCommand({ Bucket: BUCKET, Key: 'object', Body: 'content' }));
  await server.client.send(new PutBucketCorsCommand({ Bucket: BUCKET, CORSConfiguration: { CORSRules: RULES } }));
  await server.client.send(new CreateBucketCommand({ Bucket: 'without-rules' }));
});
afterAll(() => server.stop());

const preflight = (origin: string, method: string, headers?: string, bucket = BUCKET): Promise<Response> =>
  fetch(`${server.endpoint}/${bucket}/object`, {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': method,
      ...(headers === undefined ? {} : { 'access-control-request-headers': headers }),
    },
  });

describe('a preflight', () => {
  it('is answered by the rule that fits, without a signature', async () => {
    const answer = await preflight('https://app.example.com', 'PUT', 'Content-Type, X-Amz-Meta-Token');
    expect(answer.status).toBe(200);
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      'access-control-allow-origin': 'https://app.example.com',
      'access-control-allow-credentials': 'true',
      'access-control-allow-methods': 'GET, HEAD, PUT',
      'access-control-allow-headers': 'content-type, x-amz-meta-token',
      'access-control-expose-headers': 'ETag, Content-Range',
      'access-control-max-age': '3600',
      vary: 'Origin, Access-Control-Request-Headers, Access-Control-Request-Method',
    });
  });

  it('of any origin is answered by * and without credentials', async () => {
    const answer = await preflight('https://stranger.example', 'GET');
    expect(answer.headers.get('access-control-allow-origin')).toBe('*');
    expect(answer.headers.has('access-control-allow-credentials')).toBe(false);
  });

  it.each<[string, string, string | undefined, number]>([
    ['https://one.preview.example.com', 'PUT', undefined, 200],
    ['https://preview.example.com', 'PUT', undefined, 403],
    ['http://app.example.com', 'PUT', undefined, 403],
    ['https://app.example.com.evil.example', 'PUT', undefined, 403],
    ['https://app.example.com', 'DELETE', undefined, 403],
    ['https://app.example.com', 'PUT', 'authorization', 403],
    ['https://app.example.com', 'PUT', 'content-type-x', 403],
  ])('from %s for %s with %s is %i', async (origin, method, headers, status) => {
    const answer = await preflight(origin, method, headers);
    expect(answer.status).toBe(status);
    expect(answer.headers.has('access-control-allow-origin')).toBe(status === 200);
    if (status === 403) expect(await answer.text()).toContain('<Code>AccessForbidden</Code>');
  });

  it('of a bucket without rules, or of none, is forbidden', async () => {
    for (const bucket of ['without-rules', 'no-such-bucket']) {
      const answer = await preflight('https://app.example.com', 'GET', undefined, bucket);
      expect([answer.status, /<Code>(\w+)/.exec(await answer.text())?.[1]]).toEqual([403, 'AccessForbidden']);
    }
    const bare = await fetch(`${server.endpoint}/${BUCKET}/object`, { method: 'OPTIONS' });
    expect(bare.status).toBe(400);
  });
});

describe('an actual answer', () => {
  const url = (Key: string) => getSignedUrl(server.client, new GetObjectCommand({ Bucket: BUCKET, Key }));
  const read = async (key: string, origin: string): Promise<Response> => fetch(await url(key), { headers: { origin } });

  it('carries the headers of the rule', async () => {
    const { headers } = await read('object', 'https://app.example.com');
    expect(headers.get('access-control-allow-origin')).toBe('https://app.example.com');
    expect(headers.get('access-control-expose-headers')).toBe('ETag, Content-Range');
    expect(headers.get('vary')).toContain('Origin');
  });

  it('carries them on errors too', async () => {
    const missing = await read('missing', 'https://app.example.com');
    expect([missing.status, missing.headers.get('access-control-allow-origin')]).toEqual([
      404,
      'https://app.example.com',
    ]);
    const tampered = await fetch(`${await url('object')}0`, { headers: { origin: 'https://app.example.com' } });
    expect([tampered.status, tampered.headers.get('access-control-allow-origin')]).toEqual([
      403,
      'https://app.example.com',
    ]);
  });

  it('carries none where no rule fits', async () => {
    const put = new PutObjectCommand({ Bucket: BUCKET, Key: 'put' });
    const answer = await fetch(await getSignedUrl(server.client, put), {
      method: 'PUT',
      headers: { origin: 'https://stranger.example' },
    });
    expect(answer.headers.has('access-control-allow-origin')).toBe(false);
    const plain = await fetch(await url('object'));
    expect(plain.headers.has('access-control-allow-origin')).toBe(false);
  });
});

describe('the rules', () => {
  const put = (rule: string, md5?: string): Promise<RawAnswer> => {
    const body = `<CORSConfiguration>${rule}</CORSConfiguration>`;
    const headers = { 'content-md5': md5 ?? createHash('md5').update(body).digest('base64') };
    return send(server.s3.port, { method: 'PUT', path: '/without-rules', query: 'cors', body, headers });
  };

  it('come back as they were put', async () => {
    const { CORSRules } = await server.client.send(new GetBucketCorsCommand({ Bucket: BUCKET }));
    expect(CORSRules).toEqual(RULES);
  });

  it('can be deleted', async () => {
    const get = () => server.client.send(new GetBucketCorsCommand({ Bucket: 'without-rules' }));
    const CORSConfiguration = { CORSRules: RULES };
    await server.client.send(new PutBucketCorsCommand({ Bucket: 'without-rules', CORSConfiguration }));
    expect((await get()).CORSRules).toHaveLength(2);
    await server.client.send(new DeleteBucketCorsCommand({ Bucket: 'without-rules' }));
    expect(await refusalOf(get())).toEqual({ name: 'NoSuchCORSConfiguration', status: 404 });
  });

  const origin = '<AllowedOrigin>*</AllowedOrigin>';
  const method = '<AllowedMethod>GET</AllowedMethod>';
  it.each([
    ['', 'MalformedXML'],
    [`<CORSRule>${origin}</CORSRule>`, 'MalformedXML'],
    [`<CORSRule>${method}</CORSRule>`, 'MalformedXML'],
    [`<CORSRule>${origin}${method}<MaxAgeSeconds>x</MaxAgeSeconds></CORSRule>`, 'MalformedXML'],
    [`<CORSRule>${origin}<AllowedMethod>PATCH</AllowedMethod></CORSRule>`, 'InvalidRequest'],
    [`<CORSRule>${method}<AllowedOrigin>https://*.*.x</AllowedOrigin></CORSRule>`, 'InvalidRequest'],
    [`<CORSRule>${origin}${method}<AllowedHeader>*-*</AllowedHeader></CORSRule>`, 'InvalidRequest'],
    [`<CORSRule>${origin}${method}<ExposeHeader>x-*</ExposeHeader></CORSRule>`, 'InvalidRequest'],
    [`<CORSRule>${origin}${method}<ExposeHeader>a&#10;b</ExposeHeader></CORSRule>`, 'InvalidRequest'],
    [`<CORSRule>${origin}${method}</CORSRule>`.repeat(101), 'MalformedXML'],
  ])('cannot be %.90s', async (rule, code) => {
    expect((await put(rule)).code).toBe(code);
  });

  it('need a Content-MD5 or a checksum, and the right one', async () => {
    expect((await put(`<CORSRule>${origin}${method}</CORSRule>`, 'CY9rzUYh03PK3k6DJie09g==')).code).toBe('BadDigest');
    const body = `<CORSConfiguration><CORSRule>${origin}${method}</CORSRule></CORSConfiguration>`;
    const answer = await send(server.s3.port, { method: 'PUT', path: '/without-rules', query: 'cors', body });
    expect(answer.code).toBe('InvalidRequest');
  });
});
