import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AbortMultipartUploadCommand, CreateBucketCommand, S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { startLocalS3 } from '@s3-transfer/local-s3';
import { type S3FaultProxy, startS3FaultProxy } from '../../src/index.js';

export const BUCKET = 'bucket-under-faults';
export const CREDENTIALS = { accessKeyId: 'AKIAFAULTS', secretAccessKey: 'secret/of+faults' };

export interface StoreUnderFaults {
  readonly proxy: S3FaultProxy;
  /** Goes through the proxy, one attempt a call. */
  readonly client: S3Client;
  /** Goes to the store itself. */
  readonly direct: S3Client;
  stop(): Promise<void>;
}

export async function startStoreUnderFaults(): Promise<StoreUnderFaults> {
  const dataDir = await mkdtemp(join(tmpdir(), 's3-faults-'));
  const store = await startLocalS3({ dataDir, ...CREDENTIALS });
  const direct = clientOf(store.endpoint);
  await direct.send(new CreateBucketCommand({ Bucket: BUCKET }));
  const proxy = await startS3FaultProxy({
    target: store.endpoint,
    abortUpload: async ({ bucket, key, uploadId }) => {
      await direct.send(new AbortMultipartUploadCommand({ Bucket: bucket, Key: key, UploadId: uploadId }));
    },
  });
  const client = clientOf(proxy.endpoint);
  return {
    proxy,
    client,
    direct,
    stop: async () => {
      client.destroy();
      direct.destroy();
      await proxy.close();
      await store.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

export function clientOf(endpoint: string, config: S3ClientConfig = {}): S3Client {
  return new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    maxAttempts: 1,
    credentials: CREDENTIALS,
    ...config,
  });
}

export function uniqueKey(prefix = 'key'): string {
  return `${prefix}-${randomBytes(6).toString('hex')}`;
}
