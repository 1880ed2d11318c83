import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  paginateListObjectsV2,
  S3Client,
} from '@aws-sdk/client-s3';
import { type LocalS3Process, spawnLocalS3 } from '@s3-transfer/local-s3';
import { TEST_ENCRYPTION_KEY } from './test-token.js';

export interface TestStore {
  /** S3_* variables that name this store, and the key without which no store is used. */
  readonly variables: Record<
    'S3_ENDPOINT' | 'S3_REGION' | 'S3_BUCKET' | 'S3_ACCESS_KEY_ID' | 'S3_SECRET_ACCESS_KEY' | 'DATA_ENCRYPTION_KEY',
    string
  >;
  /** Where the server of this file keeps its data (packages/local-s3/README.md); null where the store is another. */
  readonly dataDir: string | null;
  /** A client with the store's own keys, to look at the bucket from outside. */
  createClient(): S3Client;
  /** Ends the server with SIGKILL and starts it again on the same data and port. */
  kill(): Promise<void>;
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * An empty bucket of this test file alone: on an S3 server of its own, in a process of its own; or on the store that
 * TEST_S3_ENDPOINT, TEST_S3_REGION, TEST_S3_ACCESS_KEY_ID and TEST_S3_SECRET_ACCESS_KEY name, which cannot be killed.
 */
export async function startTestStore(): Promise<TestStore> {
  const endpoint = process.env.TEST_S3_ENDPOINT;
  const store = endpoint === undefined ? await startOwnServer() : useForeignStore(endpoint);
  const client = store.createClient();
  await client.send(new CreateBucketCommand({ Bucket: store.variables.S3_BUCKET }));
  client.destroy();
  return store;
}

async function startOwnServer(): Promise<TestStore> {
  const dataDir = await mkdtemp(join(tmpdir(), 'test-store-'));
  const credentials = { accessKeyId: 'test-access-key', secretAccessKey: 'test-secret-key' };
  let server: LocalS3Process = await spawnLocalS3({ dataDir, ...credentials });
  const { endpoint, port } = server;
  return {
    ...nameStore({ endpoint, region: 'us-east-1', bucket: 'test-bucket', ...credentials }),
    dataDir,
    kill: () => server.kill(),
    async restart() {
      server = await spawnLocalS3({ dataDir, port, ...credentials });
    },
    async stop() {
      await server.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

function useForeignStore(endpoint: string): TestStore {
  const bucket = `test-${randomUUID()}`;
  const store = nameStore({
    endpoint,
    region: process.env.TEST_S3_REGION ?? 'us-east-1',
    bucket,
    accessKeyId: process.env.TEST_S3_ACCESS_KEY_ID ?? '',
    secretAccessKey: process.env.TEST_S3_SECRET_ACCESS_KEY ?? '',
  });
  const refuse = async () => {
    throw new Error('Only a server of the test itself can be killed: run this file without TEST_S3_ENDPOINT.');
  };
  return {
    ...store,
    dataDir: null,
    kill: refuse,
    restart: refuse,
    stop: () => removeBucket(store.createClient(), bucket),
  };
}

interface StoreAddress {
  endpoint: string;
  region: string;
  bucket: string;
  accessKeyId: string;
  secretAccessKey: string;
}

function nameStore({ endpoint, region, bucket, accessKeyId, secretAccessKey }: StoreAddress) {
  const credentials = { accessKeyId, secretAccessKey };
  return {
    variables: {
      S3_ENDPOINT: endpoint,
      S3_REGION: region,
      S3_BUCKET: bucket,
      S3_ACCESS_KEY_ID: accessKeyId,
      S3_SECRET_ACCESS_KEY: secretAccessKey,
      DATA_ENCRYPTION_KEY: TEST_ENCRYPTION_KEY,
    },
    createClient: () => new S3Client({ endpoint, region, credentials, forcePathStyle: true }),
  };
}

/** Objects one by one: some stores refuse DeleteObjects as the SDK sends it. Uploads that a failed test left go with the bucket. */
async function removeBucket(client: S3Client, Bucket: string): Promise<void> {
  for await (const { Contents = [] } of paginateListObjectsV2({ client }, { Bucket })) {
    for (const { Key } of Contents) await client.send(new DeleteObjectCommand({ Bucket, Key }));
  }
  await client.send(new DeleteBucketCommand({ Bucket }));
  client.destroy();
}
