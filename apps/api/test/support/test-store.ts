import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { type LocalS3Process, spawnLocalS3 } from '@s3-transfer/local-s3';

export interface TestStore {
  /** S3_* variables that name this store. */
  readonly variables: Record<
    'S3_ENDPOINT' | 'S3_REGION' | 'S3_BUCKET' | 'S3_ACCESS_KEY_ID' | 'S3_SECRET_ACCESS_KEY',
    string
  >;
  /** A client with the store's own keys, to look at the bucket from outside. */
  createClient(): S3Client;
  /** Ends the server with SIGKILL and starts it again on the same data and port. */
  kill(): Promise<void>;
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** An S3 server of this test file alone, in a process of its own, with an empty bucket. */
export async function startTestStore(): Promise<TestStore> {
  const dataDir = await mkdtemp(join(tmpdir(), 'test-store-'));
  const credentials = { accessKeyId: 'test-access-key', secretAccessKey: 'test-secret-key' };
  let server: LocalS3Process = await spawnLocalS3({ dataDir, ...credentials });
  const { endpoint, port } = server;
  const variables = {
    S3_ENDPOINT: endpoint,
    S3_REGION: 'us-east-1',
    S3_BUCKET: 'test-bucket',
    S3_ACCESS_KEY_ID: credentials.accessKeyId,
    S3_SECRET_ACCESS_KEY: credentials.secretAccessKey,
  };
  const createClient = () => new S3Client({ endpoint, region: variables.S3_REGION, credentials, forcePathStyle: true });
  const client = createClient();
  await client.send(new CreateBucketCommand({ Bucket: variables.S3_BUCKET }));
  client.destroy();
  return {
    variables,
    createClient,
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
