import { GetObjectCommand, S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { describe, expect, it } from '@jest/globals';
import { type GetUrl, GetUrlSigner } from './get-url-signer.js';

const KEYS = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' };
const NOON = new Date('2026-03-01T12:34:56.789Z');

const KEYS_OF_OBJECTS = [
  'a',
  'workspace/recordings/video.mp4',
  'a b/c  d.txt',
  'a+b=c&d?e#f;g:h@i,j$k',
  "quotes'(and)*bang!~tilde",
  'ünï/日本語/😀.mp4',
  'e\u0301/\u00e9',
  '100%/%41/%2F',
  '"<>^`{|}[]\\',
  'a//b',
  '/leading',
  'trailing/',
  'dots.../.hidden',
  'x'.repeat(250),
];

const ENDPOINTS: readonly S3ClientConfig[] = [
  { endpoint: 'http://127.0.0.1:9000', forcePathStyle: true },
  { endpoint: 'http://localhost', forcePathStyle: true },
  { endpoint: 'https://Store.Example.com:443', forcePathStyle: true },
  { endpoint: 'https://store.example.com:8443/base/path', forcePathStyle: true },
  { endpoint: 'http://[::1]:9000', forcePathStyle: true },
  { endpoint: 'https://store.example.com', forcePathStyle: false },
  { endpoint: 'http://store.example.com:9000', forcePathStyle: false },
  { endpoint: 'https://s3.eu-west-3.amazonaws.com', forcePathStyle: false },
  {},
];

describe('signs to the byte as the SDK does', () => {
  it.each(KEYS_OF_OBJECTS)('the key %j', async (key) => {
    await expectSame({ endpoint: 'http://127.0.0.1:9000', forcePathStyle: true }, { key });
    await expectSame({ endpoint: 'https://store.example.com', forcePathStyle: false }, { key });
  });

  it.each(ENDPOINTS)('the endpoint %j', async (config) => {
    for (const bucket of ['bucket', 'bucket.with.dots', 'bucket-1']) await expectSame(config, { bucket });
  });

  it.each(['us-east-1', 'eu-central-1', 'gra', 'garage'])('the region %s', async (region) => {
    await expectSame({ region, endpoint: 'https://store.example.com' }, {});
  });

  it.each(['token', 'a+b/c==', 'x/+='.repeat(200)])('a session token: %j', async (sessionToken) => {
    await expectSame({ credentials: { ...KEYS, sessionToken } }, {});
  });

  it.each<Partial<GetUrl>>([
    { contentType: 'application/octet-stream' },
    { contentDisposition: 'inline' },
    { contentDisposition: `attachment; filename="a 'b' (c)*.mp4"; filename*=UTF-8''%C3%A9!~.mp4` },
    { contentDisposition: 'attachment; filename="x;y=z&q"', contentType: 'text/plain; charset=utf-8' },
  ])('the headers of the answer %j', (request) => expectSame({}, request));

  it.each([1, 60, 3_600, 604_800])('a life of %d seconds', (expiresIn) => expectSame({}, { expiresIn }));

  it('the days before and after midnight, in any order', async () => {
    const client = createClient({});
    const signer = new GetUrlSigner(client);
    for (const date of [
      '2026-12-31T23:59:59.999Z',
      '2027-01-01T00:00:00.000Z',
      '2026-12-31T23:59:59.001Z',
      '2028-02-29T00:00:01Z',
    ]) {
      await expectSameUrl(signer, client, { signingDate: new Date(date) });
    }
    client.destroy();
  });

  it('keys that change, each day key with its own secret', async () => {
    let keys: typeof KEYS & { sessionToken?: string } = KEYS;
    const client = createClient({ credentials: async () => ({ ...keys, expiration: new Date(0) }) });
    const signer = new GetUrlSigner(client);
    for (const next of [
      { ...KEYS, sessionToken: 'first' },
      { ...KEYS, secretAccessKey: 'another secret', sessionToken: 'second' },
      { ...KEYS, accessKeyId: 'with/slash' },
      KEYS,
    ]) {
      keys = next;
      await expectSameUrl(signer, client, {});
    }
    client.destroy();
  });

  it("buckets that sign with a session's keys", async () => {
    const getS3ExpressIdentity = async () => ({ ...KEYS, accessKeyId: 'OFSESSION', sessionToken: 'session' });
    const config = { s3ExpressIdentityProvider: { getS3ExpressIdentity } };
    const url = await expectSame(config, { bucket: 'bucket--use1-az4--x-s3' });
    expect(url).toContain('OFSESSION');
  });
});

it('tells when the credentials that signed end', async () => {
  const expiration = new Date(Date.now() + 3_600_000);
  const client = createClient({ credentials: { ...KEYS, expiration } });
  const { credentialsExpiration } = await new GetUrlSigner(client).sign(request({}));
  expect(credentialsExpiration).toEqual(expiration);
  client.destroy();
});

function createClient(config: S3ClientConfig): S3Client {
  return new S3Client({
    region: 'us-east-1',
    credentials: KEYS,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    ...config,
  });
}

function request(given: Partial<GetUrl>): GetUrl {
  return { bucket: 'bucket', key: 'a/b.mp4', expiresIn: 3_600, signingDate: NOON, ...given };
}

async function expectSame(config: S3ClientConfig, given: Partial<GetUrl>): Promise<string> {
  const client = createClient(config);
  const url = await expectSameUrl(new GetUrlSigner(client), client, given);
  client.destroy();
  return url;
}

/** Twice, because the second URL is made from what the first one left in the caches. */
async function expectSameUrl(signer: GetUrlSigner, client: S3Client, given: Partial<GetUrl>): Promise<string> {
  const { bucket, key, expiresIn, signingDate, contentDisposition, contentType } = request(given);
  const command = new GetObjectCommand({
    Bucket: bucket,
    Key: key,
    ResponseContentDisposition: contentDisposition,
    ResponseContentType: contentType,
  });
  const expected = await getSignedUrl(client, command, { expiresIn, signingDate });
  for (let time = 1; time <= 2; time += 1) expect((await signer.sign(request(given))).url).toBe(expected);
  return expected;
}
