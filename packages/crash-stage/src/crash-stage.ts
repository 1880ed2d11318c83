import { randomUUID } from 'node:crypto';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { AbortMultipartUploadCommand, CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { type LocalPostgres, startPostgres } from '@s3-transfer/local-stack';
import { applyMigrations } from '@s3-transfer/migrations';
import { type S3FaultProxy, startS3FaultProxy } from '@s3-transfer/s3-faults';
import { Client } from 'pg';
import { PacedSource } from './paced-source.js';
import { ProductProcess } from './product-process.js';
import { RowLock } from './row-lock.js';
import { OwnStore, type StageStore } from './stage-store.js';

const MIGRATIONS_DIR = fileURLToPath(new URL('../../../prisma/migrations', import.meta.url));
const POLL_MS = 20;
/** A query that fails because the server is being killed or started is asked again for this long. */
const QUERY_LIMIT_MS = 60_000;
/** Tells a thing that does not happen from one that is late on a busy machine. */
const UNTIL_LIMIT_MS = 120_000;
/** Class 08 and 57P: the connection, or the server, went away. */
const IS_AWAY = /^(08|57P)|ECONNREFUSED|ECONNRESET|EPIPE/;

interface QueryOptions {
  /** Also where the database is read-only for everybody else. */
  readonly isWriting?: boolean;
}

export interface CrashStageOptions {
  /** Serves several stages, each with a bucket of its own, and stays when they close. Default: a local-s3 of the stage alone. */
  readonly store?: StageStore;
  /** Sees every line that a process of the product prints. */
  readonly onLine?: (line: string) => void;
}

/**
 * What the product runs on while its processes are killed: PostgreSQL, an S3 server behind a fault proxy, and a source.
 * Each of them can be killed, and comes back with its data, on its port.
 */
export class CrashStage {
  private readonly processes: ProductProcess[] = [];

  private constructor(
    readonly folder: string,
    readonly databaseUrl: string,
    /** What the product knows as its store. */
    readonly proxy: S3FaultProxy,
    readonly source: PacedSource,
    /** The store itself, past the proxy. */
    readonly s3: S3Client,
    readonly bucket: string,
    private readonly postgres: LocalPostgres,
    private readonly store: StageStore,
    private readonly options: CrashStageOptions,
  ) {}

  static async open(options: CrashStageOptions = {}): Promise<CrashStage> {
    const folder = await mkdtemp(join(tmpdir(), 'crash-stage-'));
    await chmod(folder, 0o711); // Started as root, PostgreSQL runs as a user who must pass through here.
    const [postgres, store] = await Promise.all([
      startPostgres({ dataDir: join(folder, 'postgres'), durable: false }),
      options.store ?? OwnStore.start(join(folder, 's3')),
    ]);
    const databaseUrl = await postgres.createDatabase('crash');
    await applyMigrations({ databaseUrl, migrationsDir: MIGRATIONS_DIR });
    const { endpoint, region } = store;
    const s3 = new S3Client({ endpoint, region, credentials: store, forcePathStyle: true });
    const bucket = `crash-stage-${randomUUID()}`;
    await s3.send(new CreateBucketCommand({ Bucket: bucket }));
    const proxy = await startS3FaultProxy({
      target: endpoint,
      abortUpload: async ({ bucket: Bucket, key: Key, uploadId: UploadId }) => {
        await s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
      },
    });
    return new CrashStage(folder, databaseUrl, proxy, await PacedSource.start(), s3, bucket, postgres, store, options);
  }

  /** The part of the product's environment that names what it runs on. */
  get variables(): Record<string, string> {
    return {
      DATABASE_URL: this.databaseUrl,
      S3_ENDPOINT: this.proxy.endpoint,
      S3_REGION: this.store.region,
      S3_BUCKET: this.bucket,
      S3_ACCESS_KEY_ID: this.store.accessKeyId,
      S3_SECRET_ACCESS_KEY: this.store.secretAccessKey,
      SOURCE_ALLOWED_ADDRESSES: '127.0.0.1/32',
    };
  }

  /** The same with the store itself instead of the proxy, for who is to see no fault. */
  get directVariables(): Record<string, string> {
    return { ...this.variables, S3_ENDPOINT: this.store.endpoint };
  }

  /** Ends with the stage. */
  startProcess(
    script: readonly string[],
    env: Readonly<Record<string, string>>,
    nodeOptions: readonly string[] = [],
  ): ProductProcess {
    const { folder: cwd, options } = this;
    const started = ProductProcess.start({
      script,
      env: { ...this.variables, ...env },
      cwd,
      nodeOptions,
      onLine: options.onLine,
    });
    this.processes.push(started);
    return started;
  }

  /** One statement on a connection of its own; asked again while the server is away. */
  async query<Row extends object>(sql: string, parameters: unknown[] = [], options: QueryOptions = {}): Promise<Row[]> {
    const giveUpAt = performance.now() + QUERY_LIMIT_MS;
    for (;;) {
      try {
        return await this.queryOnce<Row>(sql, parameters, options);
      } catch (error) {
        const { code, message } = error as { code?: string; message: string };
        const isAway = IS_AWAY.test(code ?? '') || /terminated|timeout|ECONN/.test(message);
        if (!isAway || performance.now() > giveUpAt) throw error;
        await sleep(POLL_MS);
      }
    }
  }

  /** Asks until `holds`, and gives the answer that did. @throws Error with the last answer after two minutes */
  async until<Row extends object>(
    { sql, parameters = [] }: { sql: string; parameters?: unknown[] },
    holds: (rows: Row[]) => boolean,
  ): Promise<Row[]> {
    const giveUpAt = performance.now() + UNTIL_LIMIT_MS;
    for (;;) {
      const rows = await this.query<Row>(sql, parameters);
      if (holds(rows)) return rows;
      if (performance.now() > giveUpAt)
        throw new Error(`not within ${UNTIL_LIMIT_MS} ms: ${sql}\n${JSON.stringify(rows)}`);
      await sleep(POLL_MS);
    }
  }

  lock(sql: string, parameters: unknown[] = []): Promise<RowLock> {
    return RowLock.take(this.databaseUrl, sql, parameters);
  }

  async createWorkspace(): Promise<string> {
    const insert = "INSERT INTO core_workspace (id, name) VALUES (gen_random_uuid(), 'crash') RETURNING id";
    const [row] = await this.query<{ id: string }>(insert);
    return row?.id ?? '';
  }

  killPostgres(): Promise<void> {
    return this.postgres.kill();
  }

  /** In order, where it still runs. */
  restartPostgres(): Promise<void> {
    return this.postgres.restart();
  }

  /** Every connection of the product, and not the one that asks. */
  async cutConnections(): Promise<void> {
    await this.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
    );
  }

  killStore(): Promise<void> {
    return this.store.kill();
  }

  restartStore(): Promise<void> {
    return this.store.restart();
  }

  async close(): Promise<void> {
    await Promise.all(this.processes.map((running) => running.kill()));
    this.s3.destroy();
    await this.source.close();
    await this.proxy.close();
    if (this.store instanceof OwnStore) await this.store.close();
    await this.postgres.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  private async queryOnce<Row extends object>(
    sql: string,
    parameters: unknown[],
    { isWriting = false }: QueryOptions,
  ): Promise<Row[]> {
    const client = new Client({ connectionString: this.databaseUrl });
    client.on('error', () => {}); // The query under way fails with it.
    try {
      await client.connect();
      if (isWriting) await client.query('SET default_transaction_read_only = off');
      return (await client.query<Row>(sql, parameters)).rows;
    } finally {
      await client.end().catch(() => {}); // It is gone already.
    }
  }
}
