// What every row stands on: PostgreSQL, the source, the sink, and keys for TLS.
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { spawnLocalS3 } from '@s3-transfer/local-s3';
import { startPostgres } from '@s3-transfer/local-stack';
import { applyMigrations } from '@s3-transfer/migrations';
import { runCommand, startProcess } from './processes.js';

export const BUCKET = 'bench';
export const REGION = 'us-east-1';
export const KEYS = { accessKeyId: 'bench-access-key', secretAccessKey: 'bench-secret-key' };

const MIGRATIONS_DIR = fileURLToPath(new URL('../../../prisma/migrations', import.meta.url));

export class Stage {
  #folder;
  #stops = [];

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
    for (const stop of this.#stops.reverse()) await stop();
    this.#stops = [];
  }

  /** A folder without .env, gone with the stage. */
  get folder() {
    return this.#folder;
  }

  get certificateFile() {
    return join(this.#folder, 'certificate.pem');
  }

  sourceUrl(query, { isSecure = false } = {}) {
    const { url, secureUrl } = this.source.ready;
    return `${isSecure ? secureUrl : url}video.mp4?${new URLSearchParams(query)}`;
  }

  /** A sink of its own for a row that needs the SHA-256 of what arrived. */
  async startHashingSink() {
    return await this.#start('sink.js', [this.#folder, '--hash']);
  }

  async startLocalS3(name = 's3') {
    const store = await spawnLocalS3({ dataDir: join(this.#folder, name), ...KEYS });
    this.#stops.push(() => store.close());
    const { endpoint } = store;
    const client = new S3Client({ endpoint, region: REGION, credentials: KEYS, forcePathStyle: true });
    await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
    client.destroy();
    return store;
  }

  /** Hosts of loopback addresses: some give all at once, some drip. */
  async startHosts(counts) {
    return await this.#start('hosts.js', [JSON.stringify(counts)]);
  }

  /** What a process of ours needs to work with the store at `endpoint`. */
  environmentFor(endpoint) {
    return {
      DATABASE_URL: this.databaseUrl,
      AUTH_JWT_SECRET: 'only-for-the-bench-and-long-enough',
      DATA_ENCRYPTION_KEY: Buffer.alloc(32, 'only for the bench').toString('base64'),
      S3_ENDPOINT: endpoint,
      S3_REGION: REGION,
      S3_BUCKET: BUCKET,
      S3_ACCESS_KEY_ID: KEYS.accessKeyId,
      S3_SECRET_ACCESS_KEY: KEYS.secretAccessKey,
      // The sink says nothing of itself. Parts are sent as AWS S3 and local-s3 get them by default: with CRC32.
      S3_STORE: 'aws-s3',
      SOURCE_ALLOWED_ADDRESSES: '127.0.0.1/32',
      LOG_LEVEL: 'warn',
      NODE_EXTRA_CA_CERTS: this.certificateFile,
    };
  }

  async createMigratedDatabase(name) {
    const databaseUrl = await this.postgres.createDatabase(name);
    await applyMigrations({ databaseUrl, migrationsDir: MIGRATIONS_DIR });
    return databaseUrl;
  }

  async #open() {
    this.#folder = await mkdtemp(join(tmpdir(), 'bench-'));
    this.#stops.push(() => rm(this.#folder, { recursive: true, force: true }));
    await chmod(this.#folder, 0o711); // Started as root, PostgreSQL runs as a user who must pass through here.
    await makeCertificate(this.#folder);
    this.postgres = await startPostgres({ dataDir: join(this.#folder, 'postgres') });
    this.#stops.push(() => this.postgres.stop());
    this.databaseUrl = await this.createMigratedDatabase('bench');
    this.source = await this.#start('source.js', [this.#folder]);
    this.sink = await this.#start('sink.js', [this.#folder]);
  }

  async #start(file, args) {
    const started = await startProcess(file, { args, cwd: this.#folder });
    this.#stops.push(() => started.stop());
    return started;
  }
}

/** Signed by itself, so that it is its own authority. */
async function makeCertificate(folder) {
  const request = 'openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -days 2 -subj /CN=bench';
  const files = ['-keyout', 'key.pem', '-out', 'certificate.pem'];
  await runCommand([...request.split(' '), '-addext', 'subjectAltName=IP:127.0.0.1', ...files], { cwd: folder });
}
