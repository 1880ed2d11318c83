import {
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutBucketLifecycleConfigurationCommand,
} from '@aws-sdk/client-s3';
import { afterEach, describe, expect, it } from '@jest/globals';
import { startTestStorage, type TestStorage } from '../../../test/support/test-storage.js';
import { BucketSettings } from './bucket-settings.js';
import { StoreDoctor } from './store-doctor.js';

const ORIGINS = ['http://localhost:3000'];
let storage: TestStorage;

afterEach(() => storage.stop());

async function examine(variables: Record<string, string> = {}) {
  storage = await startTestStorage(variables);
  return await examineAgain();
}

async function examineAgain() {
  const { findings, ...rest } = await storage.get(StoreDoctor).examine(ORIGINS);
  const of = (check: string) => findings.find((finding) => finding.check === check);
  return { ...rest, findings, of, problems: findings.filter(({ verdict }) => verdict === 'problem') };
}

describe('StoreDoctor', () => {
  it('finds nothing wrong with a sound store, and leaves nothing in it', async () => {
    const { problems, store, of } = await examine();
    expect(problems).toEqual([]);
    expect(store.name).toBe('local-s3');
    expect(of('integrity')?.says).toBe('a body that was changed on its way is refused');
    expect(of('no overwrite')?.says).toBe('If-None-Match on PutObject is honoured');
    expect(of('presigned URLs')?.verdict).toBe('ok');
    expect(of('public access')?.verdict).toBe('ok');
    const client = storage.store.createClient();
    const { KeyCount } = await client.send(new ListObjectsV2Command({ Bucket: storage.bucket }));
    const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: storage.bucket }));
    client.destroy();
    expect([KeyCount, Uploads]).toEqual([0, []]);
  });

  it.each([
    [
      'the secret is wrong',
      { S3_SECRET_ACCESS_KEY: 'canary-secret' },
      'SignatureDoesNotMatch',
      'check S3_SECRET_ACCESS_KEY',
    ],
    ['the key is unknown', { S3_ACCESS_KEY_ID: 'canary-key' }, 'InvalidAccessKeyId', 'check S3_ACCESS_KEY_ID'],
    ['the bucket is missing', { S3_BUCKET: 'not-there' }, 'not-there does not exist', 'make the bucket'],
    ['the region is wrong', { S3_REGION: 'gra' }, 'refuses a signature for region gra', 'set S3_REGION=us-east-1'],
    ['nothing listens', { S3_ENDPOINT: 'http://127.0.0.1:1' }, 'no answer from the store', 'check S3_ENDPOINT'],
  ])('says so and stops when %s', async (_what, variables, says, advice) => {
    const { findings } = await examine(variables);
    expect(findings).toEqual([
      {
        check: 'access',
        verdict: 'problem',
        says: expect.stringContaining(says),
        advice: expect.stringContaining(advice),
      },
    ]);
    expect(JSON.stringify(findings)).not.toContain('canary');
  });

  it('tries presigned URLs at the address that browsers use', async () => {
    const { problems } = await examine({ S3_PUBLIC_ENDPOINT: 'http://127.0.0.1:1' });
    expect(problems).toEqual([]);
    expect((await examineAgain()).of('presigned URLs')).toMatchObject({
      verdict: 'warning',
      says: 'a presigned URL at 127.0.0.1:1 gives no answer',
      advice: expect.stringContaining('S3_PUBLIC_ENDPOINT'),
    });
  });

  it('compares CORS with the origins of the web pages', async () => {
    expect((await examine()).of('CORS')).toMatchObject({
      verdict: 'warning',
      says: expect.stringContaining(ORIGINS[0] ?? ''),
    });
    await storage.get(BucketSettings).writeCors([{ AllowedOrigins: ORIGINS, AllowedMethods: ['GET', 'HEAD'] }]);
    expect((await examineAgain()).of('CORS')?.verdict).toBe('ok');
  });

  it('warns of a rule that aborts uploads where that can destroy objects', async () => {
    expect((await examine({ S3_STORE: 'ceph' })).of('lifecycle')).toMatchObject({
      verdict: 'ok',
      advice: expect.stringContaining('leave it so'),
    });
    const client = storage.store.createClient();
    const rule = {
      ID: 'stale-uploads',
      Status: 'Enabled' as const,
      Filter: { Prefix: '' },
      AbortIncompleteMultipartUpload: { DaysAfterInitiation: 7 },
    };
    await client.send(
      new PutBucketLifecycleConfigurationCommand({ Bucket: storage.bucket, LifecycleConfiguration: { Rules: [rule] } }),
    );
    client.destroy();
    expect((await examineAgain()).of('lifecycle')).toMatchObject({
      verdict: 'warning',
      advice: expect.stringContaining('remove the rule'),
    });
  });

  it('makes no call that the store is known not to have', async () => {
    const { of } = await examine({ S3_STORE: 'swift' });
    expect(of('CORS')).toMatchObject({ verdict: 'note', says: 'this store has no CORS call in its S3 API' });
    expect(of('lifecycle')).toMatchObject({ verdict: 'note', says: 'this store has no lifecycle call in its S3 API' });
  });
});
