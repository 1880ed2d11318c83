import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateBucketCommand, S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { type LocalS3, type LocalS3Process, spawnLocalS3, startLocalS3 } from '../../src/index.js';

export const ACCESS_KEY_ID = 'AKIALOCALTEST';
export const SECRET_ACCESS_KEY = 'secret/with+signs';
export const BUCKET = 'bucket-under-test';

export function clientOf(endpoint: string, config: S3ClientConfig = {}): S3Client {
  return new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    maxAttempts: 1,
    credentials: { accessKeyId: ACCESS_KEY_ID, secretAccessKey: SECRET_ACCESS_KEY },
    ...config,
  });
}

export async function temporaryFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'local-s3-'));
}

export interface TestServer {
  readonly s3: LocalS3;
  readonly endpoint: string;
  readonly client: S3Client;
  readonly dataDir: string;
  stop(): Promise<void>;
}

/** A server in this process with one bucket, on a free port and a folder of its own. */
export async function startTestServer(options: { region?: string } = {}): Promise<TestServer> {
  const dataDir = await temporaryFolder();
  const s3 = await startLocalS3({
    dataDir,
    accessKeyId: ACCESS_KEY_ID,
    secretAccessKey: SECRET_ACCESS_KEY,
    ...options,
  });
  const client = clientOf(s3.endpoint, options.region === undefined ? {} : { region: options.region });
  await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  return {
    s3,
    endpoint: s3.endpoint,
    client,
    dataDir,
    stop: async () => {
      client.destroy();
      await s3.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** A server in a process of its own, on a folder that outlives it. */
export function spawnOn(dataDir: string): Promise<LocalS3Process> {
  return spawnLocalS3({ dataDir, accessKeyId: ACCESS_KEY_ID, secretAccessKey: SECRET_ACCESS_KEY });
}

export function dataFilesOf(dataDir: string): Promise<string[]> {
  return readdir(join(dataDir, 'buckets', BUCKET, 'data'));
}

export function temporaryFilesOf(dataDir: string): Promise<string[]> {
  return readdir(join(dataDir, 'tmp'));
}

export function uniqueKey(prefix = 'key'): string {
  return `${prefix}-${randomBytes(6).toString('hex')}`;
}

/** What an SDK call was refused with. */
export async function refusalOf(call: Promise<unknown>): Promise<{ name: string; status: number | undefined }> {
  try {
    await call;
  } catch (error) {
    const { name, $metadata } = error as { name: string; $metadata?: { httpStatusCode?: number } };
    return { name, status: $metadata?.httpStatusCode };
  }
  throw new Error('The call succeeded.');
}

/** Polls without a fixed sleep: as often as the event loop lets it, until it holds or the test's time is over. */
export async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 5));
}
