import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { type ContractStore, startOwnStore } from '@s3-transfer/s3-contract';
import { startCeph } from '../ceph/start-ceph.js';
import type { RealStore } from '../real-store.js';
import { startSwift } from '../swift/start-swift.js';

export const REAL_STORE_NAMES = ['swift', 'ceph'] as const;
export type RealStoreName = (typeof REAL_STORE_NAMES)[number];
export const STORE_NAMES = ['local-s3', ...REAL_STORE_NAMES] as const;
export type StoreName = (typeof STORE_NAMES)[number];

/** A running server, and what the checks need to know of it. */
export interface JudgedStore {
  readonly name: StoreName;
  /** As a person knows it, with the version. */
  readonly title: string;
  /** Name of the file with its known shortfalls; local-s3 has none. */
  readonly expectedFile?: string;
  readonly maxParts: number;
  readonly contract: ContractStore;
  stop(): Promise<void>;
}

const CONTRACT_BUCKET = 'contract';
/** Long enough for Ceph to look at every bucket in between. */
const CEPH_DAY_SECONDS = 3;
const TITLES = { swift: 'OpenStack Swift', ceph: 'Ceph RGW' };

export async function startStore(name: StoreName): Promise<JudgedStore> {
  if (name === 'local-s3') {
    const store = await startOwnStore();
    return { name, title: 'local-s3', maxParts: 10_000, contract: store, stop: () => store.close() };
  }
  const store =
    name === 'swift'
      ? await startSwift()
      : await startCeph({ completeLockSeconds: 2, lifecycleDaySeconds: CEPH_DAY_SECONDS });
  try {
    await createBucket(store);
  } catch (error) {
    await store.stop();
    throw error;
  }
  const { endpoint, region, accessKeyId, secretAccessKey } = store;
  return {
    name,
    title: `${TITLES[name]} ${store.version}`,
    expectedFile: `${name}-${store.version.split('.').slice(0, 2).join('.')}.txt`,
    maxParts: store.maxParts,
    contract: {
      ...{ endpoint, region, accessKeyId, secretAccessKey, bucket: CONTRACT_BUCKET },
      restart: () => store.restart(), // Kills the gateway first.
      ...(name === 'ceph' ? { lifecycleDayMs: CEPH_DAY_SECONDS * 1_000 } : {}),
    },
    stop: () => store.stop(),
  };
}

async function createBucket({ endpoint, region, accessKeyId, secretAccessKey }: RealStore): Promise<void> {
  const credentials = { accessKeyId, secretAccessKey };
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  await client.send(new CreateBucketCommand({ Bucket: CONTRACT_BUCKET }));
  client.destroy();
}
