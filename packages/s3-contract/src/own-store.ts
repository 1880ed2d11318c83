import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { spawnLocalS3 } from '@s3-transfer/local-s3';
import type { ContractStore } from './contract.js';
import { clientFor } from './store-client.js';

/** Short enough to wait for, long enough to see that nothing happens too early. */
const LIFECYCLE_DAY_MS = 300;

export interface OwnStore extends ContractStore {
  restart(): Promise<void>;
  close(): Promise<void>;
}

/** local-s3 in a process of its own with one bucket, on a folder that `close` removes. */
export async function startOwnStore(): Promise<OwnStore> {
  const dataDir = await mkdtemp(join(tmpdir(), 's3-contract-'));
  const account = { accessKeyId: 'CONTRACTKEY', secretAccessKey: 'contract/secret+with=signs', region: 'us-east-1' };
  const options = { dataDir, ...account, lifecycleDayMs: LIFECYCLE_DAY_MS };
  let server = await spawnLocalS3(options);
  const { endpoint, port } = server;
  const store: OwnStore = {
    ...account,
    endpoint,
    bucket: 'contract',
    isOwn: true,
    lifecycleDayMs: LIFECYCLE_DAY_MS,
    restart: async () => {
      await server.kill();
      server = await spawnLocalS3({ ...options, port });
    },
    close: async () => {
      await server.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
  const client = clientFor(store, {});
  await client.send(new CreateBucketCommand({ Bucket: store.bucket }));
  client.destroy();
  return store;
}
