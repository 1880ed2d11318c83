// Everything a run stands on: PostgreSQL, the store with the fault proxy before it, the hostile source and the engine.
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AbortMultipartUploadCommand, CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { startHostileSource } from '@s3-transfer/hostile-source';
import { spawnLocalS3 } from '@s3-transfer/local-s3';
import { startPostgres } from '@s3-transfer/local-stack';
import { applyMigrations } from '@s3-transfer/migrations';
import { startS3FaultProxy } from '@s3-transfer/s3-faults';
import pg from 'pg';
import { EngineProcess } from './engine-process.js';
import { PART_SIZE_BYTES } from './plan.js';
import { CANARY } from './transfer-request.js';

const MiB = 1024 ** 2;
export const BUCKET = 'chaos';
export const REGION = 'us-east-1';
const KEYS = { accessKeyId: 'chaos-access-key', secretAccessKey: `${CANARY}secret-key` };
const MIGRATIONS_DIR = fileURLToPath(new URL('../../../prisma/migrations', import.meta.url));

/** Fewer than ask at once, so that some always wait for their turn. */
export const TRANSFER_CONCURRENCY = 24;
export const TRANSFER_MEMORY_BYTES = 64 * MiB;
/** Long enough for a busy machine, short enough for a store that keeps silent in a run of minutes. */
const S3_ANSWER_TIMEOUT_MS = 3_000;
const SOURCE_MAX_BYTES = 16 * MiB;

export class Stage {
  #stops = [];
  /** Lines that the engine printed. */
  log = [];

  static async open() {
    const stage = new Stage();
    try {
      await stage.#open();
    } catch (error) {
      await stage.close();
      throw error;
    }
    return stage;
  }

  async close() {
    for (const stop of this.#stops.splice(0).reverse()) await stop();
  }

  get secretKey() {
    return KEYS.secretAccessKey;
  }

  async query(sql, parameters) {
    return (await this.pool.query(sql, parameters)).rows;
  }

  async #open() {
    const folder = await mkdtemp(join(tmpdir(), 'chaos-'));
    this.#stops.push(() => rm(folder, { recursive: true, force: true }));
    await chmod(folder, 0o711); // Started as root, PostgreSQL runs as a user who must pass through here.
    await this.#openDatabase(join(folder, 'postgres'));
    await this.#openStore(join(folder, 's3'));
    this.source = await startHostileSource();
    this.#stops.push(() => this.source.close());
    const certificateFile = join(folder, 'certificate.pem');
    await writeFile(certificateFile, this.source.certificate);
    this.engine = await EngineProcess.start(this.#environment(certificateFile), {
      cwd: folder, // No .env there.
      onLine: (line) => this.log.push(line),
    });
    this.#stops.push(() => this.engine.kill());
  }

  async #openDatabase(dataDir) {
    const postgres = await startPostgres({ dataDir, durable: false });
    this.#stops.push(() => postgres.stop());
    this.databaseUrl = await postgres.createDatabase('chaos');
    await applyMigrations({ databaseUrl: this.databaseUrl, migrationsDir: MIGRATIONS_DIR });
    this.pool = new pg.Pool({ connectionString: this.databaseUrl, max: 4 });
    this.pool.on('error', () => {}); // Of idle connections, which PostgreSQL may end first when the run is over.
    this.#stops.push(() => this.pool.end());
    const insert = "INSERT INTO core_workspace (id, name) VALUES (gen_random_uuid(), 'chaos') RETURNING id";
    [{ id: this.workspaceId }] = await this.query(insert);
  }

  /** `s3` looks at the store itself; the engine sees it through the proxy alone. */
  async #openStore(dataDir) {
    const store = await spawnLocalS3({ dataDir, ...KEYS });
    this.#stops.push(() => store.close());
    this.s3 = new S3Client({ endpoint: store.endpoint, region: REGION, credentials: KEYS, forcePathStyle: true });
    this.#stops.push(() => this.s3.destroy());
    await this.s3.send(new CreateBucketCommand({ Bucket: BUCKET }));
    this.proxy = await startS3FaultProxy({
      target: store.endpoint,
      abortUpload: async ({ bucket: Bucket, key: Key, uploadId: UploadId }) => {
        await this.s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
      },
    });
    this.#stops.push(() => this.proxy.close());
  }

  #environment(certificateFile) {
    const ports = Object.values(this.source.origins).map((origin) => new URL(origin).port);
    const variables = {
      DATABASE_URL: this.databaseUrl,
      AUTH_JWT_SECRET: 'only-for-chaos-and-long-enough-to-be-one',
      DATA_ENCRYPTION_KEY: Buffer.alloc(32, 'only for chaos').toString('base64'),
      LOG_LEVEL: 'debug',
      S3_ENDPOINT: this.proxy.endpoint,
      S3_REGION: REGION,
      S3_BUCKET: BUCKET,
      S3_ACCESS_KEY_ID: KEYS.accessKeyId,
      S3_SECRET_ACCESS_KEY: KEYS.secretAccessKey,
      S3_PART_SIZE_BYTES: PART_SIZE_BYTES,
      S3_QUEUE_SIZE: 2,
      S3_RETRY_DELAY_MS: 20,
      S3_ANSWER_TIMEOUT_MS,
      // One try each: what a fault does to it is what is looked at.
      TRANSFER_WORKER: 'own',
      TRANSFER_MAX_ATTEMPTS: 1,
      TRANSFER_CONCURRENCY,
      TRANSFER_CONCURRENCY_PER_HOST: TRANSFER_CONCURRENCY,
      TRANSFER_CONCURRENCY_PER_WORKSPACE: TRANSFER_CONCURRENCY,
      TRANSFER_MEMORY_BYTES,
      TRANSFER_SLOW_BYTES_PER_SECOND: 0, // One host has all files, good ones and those that hang.
      // The run does its rounds itself, so that a lease it sees is a lease that was forgotten.
      PURGE_INTERVAL_SECONDS: 86_400,
      // By port: a redirect to another port of this machine is one into a private network.
      SOURCE_ALLOWED_ADDRESSES: ports.map((port) => `127.0.0.1/32:${port}`),
      SOURCE_MAX_BYTES,
      SOURCE_HEADERS_TIMEOUT_MS: 2_000,
      SOURCE_STALL_TIMEOUT_MS: 1_500,
      SOURCE_DEADLINE_SECONDS: 60,
      SOURCE_MIN_RATE_WINDOW_SECONDS: 4,
      SOURCE_MAX_RETRIES: 3,
      SOURCE_RETRY_DELAY_MS: 20,
      NODE_EXTRA_CA_CERTS: certificateFile,
    };
    return Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, String(value)]));
  }
}
