import { randomUUID } from 'node:crypto';
import { AbortMultipartUploadCommand, type S3Client } from '@aws-sdk/client-s3';
import { type HostileSource, startHostileSource } from '@s3-transfer/hostile-source';
import { type S3FaultProxy, startS3FaultProxy } from '@s3-transfer/s3-faults';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { startTestStorage, type TestStorage } from '../support/test-storage.js';
import { startTestStore, type TestStore } from '../support/test-store.js';
import { TYPE_WITH_FRESH_LINKS } from './source-faults.js';

/**
 * What one transfer at a time is played on: a source, a database and a way to the store of its own, so that sockets
 * and left-overs that are seen here are those of this transfer.
 */
export class FaultStage {
  /** Of the transfer under way: where its fresh links come from. */
  sourceUrl = '';
  private readonly storages = new Map<string, Promise<TestStorage>>();

  private constructor(
    readonly source: HostileSource,
    readonly way: S3FaultProxy,
    readonly database: TestDatabase,
    readonly workspaceId: string,
    /** Past the way, with the store's own keys. */
    readonly s3: S3Client,
    private readonly store: TestStore,
  ) {}

  static async open(store: TestStore): Promise<FaultStage> {
    const s3 = store.createClient();
    const way = await startS3FaultProxy({
      target: store.variables.S3_ENDPOINT,
      abortUpload: async ({ bucket: Bucket, key: Key, uploadId: UploadId }) => {
        await s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
      },
    });
    const database = await createTestDatabase();
    return new FaultStage(await startHostileSource(), way, database, await database.createWorkspace(), s3, store);
  }

  get bucket(): string {
    return this.store.variables.S3_BUCKET;
  }

  newPath(): string {
    return `recordings/${this.workspaceId}/${randomUUID()}.mp4`;
  }

  /** With one slot: a transfer that kept it would hold up every later one. Begun once for each set of variables. */
  async storage(variables: Readonly<Record<string, string>>): Promise<TestStorage> {
    const name = JSON.stringify(variables);
    const begun = this.storages.get(name) ?? this.begin(variables);
    this.storages.set(name, begun);
    return await begun;
  }

  private async begin(variables: Readonly<Record<string, string>>): Promise<TestStorage> {
    const storage = await startTestStorage(
      { ...LIMITS, ...variables, ...(isStoreReal() ? realLimits(variables) : {}), S3_ENDPOINT: this.way.endpoint },
      { ...this.database, drop: async () => {} },
      { ...this.store, stop: async () => {} },
    );
    storage.transfers.refreshSourcesOf(TYPE_WITH_FRESH_LINKS, async () => ({
      sourceUrl: `${this.sourceUrl}&token=${randomUUID()}`,
    }));
    return storage;
  }

  async close(): Promise<void> {
    for (const storage of this.storages.values()) await (await storage).stop();
    this.s3.destroy();
    await this.way.close();
    await this.source.close();
    await this.database.drop();
  }
}

/** A hundredth of what the product waits by default between two tries of a call of the store; nothing at a source. */
const LIMITS = {
  S3_STORE: 'local-s3', // Else the first transfer alone would ask which store it is.
  S3_RETRY_DELAY_MS: '5',
  SOURCE_RETRY_DELAY_MS: '1',
  TRANSFER_CONCURRENCY: '1',
  // Nobody dies here: a machine that is too busy to renew a lease must not make a second try of it.
  TRANSFER_LEASE_SECONDS: '30',
};

/** Whether the store is one that TEST_S3_ENDPOINT names. */
export function isStoreReal(): boolean {
  return process.env.TEST_S3_ENDPOINT !== undefined;
}

/** A real server is slower, and is to be recognised. */
function realLimits({ S3_ANSWER_TIMEOUT_MS }: Readonly<Record<string, string>>): Record<string, string> {
  return {
    S3_STORE: 'auto',
    S3_RETRY_DELAY_MS: '50',
    ...(S3_ANSWER_TIMEOUT_MS !== undefined ? { S3_ANSWER_TIMEOUT_MS: '3000' } : {}),
  };
}

/** Stages on one store, lent to one user at a time. */
export class FaultStages {
  private readonly free: FaultStage[];
  private readonly waiting: ((stage: FaultStage) => void)[] = [];

  private constructor(
    readonly all: readonly FaultStage[],
    private readonly store: TestStore,
  ) {
    this.free = [...all];
  }

  static async open(count: number): Promise<FaultStages> {
    const store = await startTestStore();
    return new FaultStages(await Promise.all(Array.from({ length: count }, () => FaultStage.open(store))), store);
  }

  async lend(play: (stage: FaultStage) => Promise<void>): Promise<void> {
    const stage = this.free.pop() ?? (await new Promise<FaultStage>((resolve) => this.waiting.push(resolve)));
    try {
      await play(stage);
    } finally {
      const next = this.waiting.shift();
      if (next === undefined) this.free.push(stage);
      else next(stage);
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.all.map((stage) => stage.close()));
    await this.store.stop();
  }
}
