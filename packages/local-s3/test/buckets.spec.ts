import { createHash } from 'node:crypto';
import {
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteBucketLifecycleCommand,
  GetBucketLifecycleConfigurationCommand,
  GetBucketLocationCommand,
  GetObjectCommand,
  HeadBucketCommand,
  ListBucketsCommand,
  ListObjectsCommand,
  ListObjectsV2Command,
  PutBucketLifecycleConfigurationCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { send } from './support/raw-request.js';
import { BUCKET, refusalOf, startTestServer, type TestServer } from './support/server.js';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

const createBucket = (Bucket: string) => server.client.send(new CreateBucketCommand({ Bucket }));

describe('a bucket', () => {
  it('is made, seen, and removed when empty, with its open uploads', async () => {
    await createBucket('second.bucket-2');
    const { Buckets } = await server.client.send(new ListBucketsCommand({}));
    expect(Buckets?.map(({ Name }) => Name)).toEqual([BUCKET, 'second.bucket-2']);
    const head = await server.client.send(new HeadBucketCommand({ Bucket: 'second.bucket-2' }));
    expect(head.BucketRegion).toBe('us-east-1');
    await server.client.send(new CreateMultipartUploadCommand({ Bucket: 'second.bucket-2', Key: 'open' }));
    await server.client.send(new DeleteBucketCommand({ Bucket: 'second.bucket-2' }));
    const gone = new HeadBucketCommand({ Bucket: 'second.bucket-2' });
    expect((await refusalOf(server.client.send(gone))).status).toBe(404);
  });

  it('with an object in it is not removed', async () => {
    await server.client.send(new PutObjectCommand({ Bucket: BUCKET, Key: 'kept', Body: 'x' }));
    const attempt = server.client.send(new DeleteBucketCommand({ Bucket: BUCKET }));
    expect(await refusalOf(attempt)).toEqual({ name: 'BucketNotEmpty', status: 409 });
  });

  it('that is missing is NoSuchBucket for every call', async () => {
    const missing = { name: 'NoSuchBucket', status: 404 };
    const Bucket = 'no-such-bucket';
    expect(await refusalOf(server.client.send(new GetObjectCommand({ Bucket, Key: 'x' })))).toEqual(missing);
    expect(await refusalOf(server.client.send(new PutObjectCommand({ Bucket, Key: 'x', Body: 'x' })))).toEqual(missing);
    expect(await refusalOf(server.client.send(new ListObjectsV2Command({ Bucket })))).toEqual(missing);
    expect(await refusalOf(server.client.send(new DeleteBucketCommand({ Bucket })))).toEqual(missing);
    expect((await refusalOf(server.client.send(new HeadBucketCommand({ Bucket })))).status).toBe(404);
  });

  it.each(['ab', 'Upper', 'a..b', '-a-b', 'a_b_c', '192.168.0.1', 'x'.repeat(64), '...'])(
    'cannot be called %j',
    async (name) => {
      const answer = await send(server.s3.port, { method: 'PUT', path: `/${name}` });
      expect(answer).toMatchObject({ status: 400, code: 'InvalidBucketName' });
    },
  );

  it('made again is a success in us-east-1 and an error elsewhere, as with S3', async () => {
    expect((await createBucket(BUCKET)).$metadata.httpStatusCode).toBe(200);
    const other = await startTestServer({ region: 'eu-west-3' });
    const again = other.client.send(new CreateBucketCommand({ Bucket: BUCKET }));
    expect(await refusalOf(again)).toEqual({ name: 'BucketAlreadyOwnedByYou', status: 409 });
    const { LocationConstraint } = await other.client.send(new GetBucketLocationCommand({ Bucket: BUCKET }));
    expect(LocationConstraint).toBe('eu-west-3');
    await other.stop();
  });

  it('has no location constraint in us-east-1, and none of another region', async () => {
    const { LocationConstraint } = await server.client.send(new GetBucketLocationCommand({ Bucket: BUCKET }));
    expect(LocationConstraint || undefined).toBeUndefined();
    const CreateBucketConfiguration = { LocationConstraint: 'eu-west-3' as const };
    const elsewhere = server.client.send(new CreateBucketCommand({ Bucket: 'elsewhere', CreateBucketConfiguration }));
    expect((await refusalOf(elsewhere)).name).toBe('IllegalLocationConstraintException');
  });

  it('is reached by its host name too', async () => {
    const answer = await send(server.s3.port, {
      method: 'GET',
      path: '/kept',
      headers: { host: `${BUCKET}.localhost:${server.s3.port}` },
    });
    expect(answer).toMatchObject({ status: 200, body: 'x' });
  });

  it('keeps its lifecycle rules', async () => {
    const get = () => server.client.send(new GetBucketLifecycleConfigurationCommand({ Bucket: BUCKET }));
    expect(await refusalOf(get())).toEqual({ name: 'NoSuchLifecycleConfiguration', status: 404 });
    const Rules = [
      {
        ID: 'stale',
        Status: 'Enabled' as const,
        Filter: { Prefix: '' },
        AbortIncompleteMultipartUpload: { DaysAfterInitiation: 7 },
      },
    ];
    await server.client.send(
      new PutBucketLifecycleConfigurationCommand({ Bucket: BUCKET, LifecycleConfiguration: { Rules } }),
    );
    expect((await get()).Rules).toEqual(Rules);
    const twice = { Rules: [...Rules, ...Rules] };
    const attempt = server.client.send(
      new PutBucketLifecycleConfigurationCommand({ Bucket: BUCKET, LifecycleConfiguration: twice }),
    );
    expect((await refusalOf(attempt)).name).toBe('InvalidArgument');
    await server.client.send(new DeleteBucketLifecycleCommand({ Bucket: BUCKET }));
    expect((await refusalOf(get())).name).toBe('NoSuchLifecycleConfiguration');
  });
});

describe('what is not implemented', () => {
  const bucketParts = [
    'acl',
    'policy',
    'tagging',
    'versioning',
    'encryption',
    'website',
    'logging',
    'notification',
    'replication',
    'object-lock',
    'ownershipControls',
    'publicAccessBlock',
    'accelerate',
    'requestPayment',
    'inventory&id=1',
  ];
  const objectParts = [
    'acl',
    'tagging',
    'retention',
    'legal-hold',
    'torrent',
    'attributes',
    'restore',
    'select&select-type=2',
    'uploadId=x',
    'partNumber=1',
  ];

  it('is answered so, and neither the bucket nor the object is touched', async () => {
    await createBucket('untouched');
    await server.client.send(new PutObjectCommand({ Bucket: BUCKET, Key: 'untouched', Body: 'content' }));
    const notImplemented = { status: 501, code: 'NotImplemented' };
    for (const method of ['PUT', 'GET', 'DELETE', 'POST']) {
      for (const query of bucketParts) {
        const answer = await send(server.s3.port, { method, path: '/untouched', query });
        expect([method, query, answer]).toMatchObject([method, query, notImplemented]);
      }
    }
    for (const [method, parts] of [
      ['PUT', objectParts],
      ['DELETE', objectParts.filter((part) => part !== 'uploadId=x')],
      ['GET', objectParts.filter((part) => part !== 'uploadId=x' && part !== 'partNumber=1')],
      ['POST', objectParts.filter((part) => part !== 'uploadId=x')],
    ] as const) {
      for (const query of parts) {
        const answer = await send(server.s3.port, { method, path: `/${BUCKET}/untouched`, query, body: '<Tagging/>' });
        expect([method, query, answer]).toMatchObject([method, query, notImplemented]);
      }
    }
    await server.client.send(new HeadBucketCommand({ Bucket: 'untouched' }));
    const { Body } = await server.client.send(new GetObjectCommand({ Bucket: BUCKET, Key: 'untouched' }));
    expect(await Body?.transformToString()).toBe('content');
  });

  it('includes versions other than null, form uploads, and methods nobody knows', async () => {
    const path = `/${BUCKET}/kept`;
    expect((await send(server.s3.port, { method: 'GET', path, query: 'versionId=null' })).status).toBe(200);
    expect((await send(server.s3.port, { method: 'GET', path, query: 'versionId=other' })).code).toBe(
      'InvalidArgument',
    );
    expect((await send(server.s3.port, { method: 'DELETE', path, query: 'versionId=other' })).code).toBe(
      'InvalidArgument',
    );
    expect((await send(server.s3.port, { method: 'POST', path: `/${BUCKET}` })).status).toBe(501);
    expect((await send(server.s3.port, { method: 'PATCH', path })).code).toBe('MethodNotAllowed');
    expect((await send(server.s3.port, { method: 'PUT', path: '/' })).code).toBe('MethodNotAllowed');
  });
});

describe('a list of objects', () => {
  const COUNT = 2350;
  const Bucket = 'listed';
  const keyOf = (index: number): string => `n/${String(index).padStart(5, '0')}`;

  beforeAll(async () => {
    await createBucket(Bucket);
    let next = 0;
    const put = async (): Promise<void> => {
      while (next < COUNT) {
        next += 1;
        // From the end to the beginning: the order of the list is not that of the uploads.
        await server.client.send(new PutObjectCommand({ Bucket, Key: keyOf(COUNT - next), Body: 'x' }));
      }
    };
    await Promise.all(Array.from({ length: 16 }, put));
    for (const Key of ['a/1', 'a/2', 'a/b/3', 'a&b <c>', 'é', '\uffee', '😀', 'z']) {
      await server.client.send(new PutObjectCommand({ Bucket, Key, Body: Key }));
    }
  });

  const list = (more: object) => server.client.send(new ListObjectsV2Command({ Bucket, ...more }));

  it('gives thousands of keys page by page, each once and in order', async () => {
    const keys: (string | undefined)[] = [];
    const sizes: (number | undefined)[] = [];
    let ContinuationToken: string | undefined;
    do {
      const page = await list({ Prefix: 'n/', ContinuationToken });
      keys.push(...(page.Contents ?? []).map(({ Key }) => Key));
      sizes.push(page.KeyCount);
      ContinuationToken = page.NextContinuationToken;
    } while (ContinuationToken !== undefined);
    expect(keys).toEqual(Array.from({ length: COUNT }, (_, index) => keyOf(index)));
    expect(sizes).toEqual([1000, 1000, 350]);
  });

  it('is in the order of UTF-8 bytes', async () => {
    const { Contents } = await list({ StartAfter: 'n/99999' });
    // U+FFEE is EF BF AE in UTF-8 and comes before U+1F600, although its UTF-16 unit is the greater one.
    expect(Contents?.map(({ Key }) => Key)).toEqual(['z', 'é', '\uffee', '😀']);
  });

  it('rolls up what lies behind a delimiter, also over pages', async () => {
    const whole = await list({ Delimiter: '/' });
    expect(whole.CommonPrefixes?.map(({ Prefix }) => Prefix)).toEqual(['a/', 'n/']);
    expect(whole.Contents?.map(({ Key }) => Key)).toEqual(['a&b <c>', 'z', 'é', '\uffee', '😀']);
    const seen: (string | undefined)[] = [];
    let ContinuationToken: string | undefined;
    do {
      const page = await list({ Delimiter: '/', MaxKeys: 1, ContinuationToken });
      seen.push(
        ...(page.Contents ?? []).map(({ Key }) => Key),
        ...(page.CommonPrefixes ?? []).map(({ Prefix }) => Prefix),
      );
      ContinuationToken = page.NextContinuationToken;
    } while (ContinuationToken !== undefined);
    expect(seen).toEqual(['a&b <c>', 'a/', 'n/', 'z', 'é', '\uffee', '😀']);
    const below = await list({ Delimiter: '/', Prefix: 'a/' });
    expect(below.Contents?.map(({ Key }) => Key)).toEqual(['a/1', 'a/2']);
    expect(below.CommonPrefixes?.map(({ Prefix }) => Prefix)).toEqual(['a/b/']);
  });

  it('tells size, ETag and time, and encodes keys on request', async () => {
    const { Contents } = await list({ Prefix: 'a&', EncodingType: 'url', FetchOwner: true });
    expect(Contents).toHaveLength(1);
    expect(Contents?.[0]).toMatchObject({
      Key: 'a%26b%20%3Cc%3E',
      Size: 7,
      ETag: `"${createHash('md5').update('a&b <c>').digest('hex')}"`,
    });
    expect(Contents?.[0]?.Owner?.ID).toMatch(/^[0-9a-f]{64}$/);
  });

  it('takes max-keys of 0 and more than 1000, and nothing that is no number', async () => {
    expect(await list({ MaxKeys: 0 })).toMatchObject({ KeyCount: 0, IsTruncated: false });
    expect(await list({ MaxKeys: 5000 })).toMatchObject({ KeyCount: 1000, MaxKeys: 1000, IsTruncated: true });
    const answer = await send(server.s3.port, { method: 'GET', path: `/${Bucket}`, query: 'list-type=2&max-keys=x' });
    expect(answer.code).toBe('InvalidArgument');
    expect((await refusalOf(list({ ContinuationToken: 'no/token' }))).name).toBe('InvalidArgument');
  });

  it('exists in version 1 with markers', async () => {
    const first = await server.client.send(new ListObjectsCommand({ Bucket, Delimiter: '/', MaxKeys: 2 }));
    expect(first).toMatchObject({ IsTruncated: true, NextMarker: 'a/' });
    const Marker = first.NextMarker;
    const second = await server.client.send(new ListObjectsCommand({ Bucket, Delimiter: '/', Marker }));
    expect(second.CommonPrefixes).toEqual([{ Prefix: 'n/' }]);
    expect(second.Contents?.map(({ Key }) => Key)).toEqual(['z', 'é', '\uffee', '😀']);
  });
});
