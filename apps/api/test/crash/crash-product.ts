import { fileURLToPath } from 'node:url';
import type { CrashStage, ProductProcess } from '@s3-transfer/crash-stage';
import { openTestDatabase } from '../support/test-database.js';
import { startTestStorage, type TestStorage } from '../support/test-storage.js';
import { TEST_ENCRYPTION_KEY, TEST_JWT_SECRET } from '../support/test-token.js';

/** Built code: `pnpm test` builds first. */
const CLI = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const API = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
/** In the folder of the stage, where processes run: a part of the key of the file that kills them. */
export const POISON_FILE = 'poison';
/** Blocks its thread for as many ms as the line on the channel says, as a too long computation does. */
const BLOCKER = `
process.on('SIGUSR2', () => {
  console.log('blocked');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(process.env.BLOCK_MS));
});`;

/** Kills its process when the third part is sent of the file that POISON_FILE names, as one does that has no memory left for it. */
const POISON = `
import { subscribe } from 'node:diagnostics_channel';
import { existsSync, readFileSync } from 'node:fs';
const isDeadly = (path) =>
  existsSync('${POISON_FILE}') && path.includes(readFileSync('${POISON_FILE}', 'utf8')) && path.includes('partNumber=3&');
subscribe('http.client.request.start', ({ request }) => {
  if (isDeadly(request.path)) process.kill(process.pid, 'SIGKILL');
});`;

export const PART_SIZE_BYTES = 5 * 1024 ** 2;
export const QUEUE_SIZE = 2;
export const LEASE_MS = 3_000;
/** How long a blocked event loop stays so. */
export const BLOCK_MS = 5_000;
export const MAX_CRASHES = 3;
const WORKERS = 2;

const VARIABLES = {
  LOG_LEVEL: 'debug',
  AUTH_JWT_SECRET: TEST_JWT_SECRET,
  DATA_ENCRYPTION_KEY: TEST_ENCRYPTION_KEY,
  API_PORT: '0',
  NO_COLOR: '1',
  S3_STORE: 'local-s3',
  S3_PART_SIZE_BYTES: String(PART_SIZE_BYTES),
  S3_QUEUE_SIZE: String(QUEUE_SIZE),
  S3_RETRY_DELAY_MS: '50',
  SOURCE_RETRY_DELAY_MS: '50',
  // One, so that what is read is what the parts hold.
  SOURCE_MAX_CONNECTIONS: '1',
  TRANSFER_LEASE_SECONDS: String(LEASE_MS / 1_000),
  TRANSFER_POLL_MS: '200',
  TRANSFER_RECOVERY_SECONDS: '1',
  TRANSFER_RETRY_DELAY_SECONDS: '1',
  TRANSFER_MAX_CRASHES: String(MAX_CRASHES),
  TRANSFER_SLOW_BYTES_PER_SECOND: '0', // Sources that are held make nobody wait longer.
  PURGE_INTERVAL_SECONDS: '1',
};

/** The product on a stage: two workers, an API where a test asks for it, and the calls of a feature in this process. */
export class CrashProduct {
  private readonly workers: ProductProcess[] = [];

  private constructor(
    readonly stage: CrashStage,
    /** Calls of a feature: it runs no transfers itself. */
    readonly client: TestStorage,
    private readonly variables: Readonly<Record<string, string>>,
  ) {}

  static async start(stage: CrashStage, variables: Readonly<Record<string, string>> = {}): Promise<CrashProduct> {
    const direct = stage.directVariables;
    const client = await startTestStorage(
      { ...VARIABLES, ...variables, TRANSFER_WORKER: 'none', PURGE_INTERVAL_SECONDS: '86400', LOG_LEVEL: 'silent' },
      openTestDatabase(stage.databaseUrl),
      {
        variables: {
          DATA_ENCRYPTION_KEY: TEST_ENCRYPTION_KEY,
          S3_ENDPOINT: direct.S3_ENDPOINT ?? '',
          S3_REGION: direct.S3_REGION ?? '',
          S3_BUCKET: direct.S3_BUCKET ?? '',
          S3_ACCESS_KEY_ID: direct.S3_ACCESS_KEY_ID ?? '',
          S3_SECRET_ACCESS_KEY: direct.S3_SECRET_ACCESS_KEY ?? '',
        },
        dataDir: null,
        createClient: () => stage.s3,
        kill: () => stage.killStore(),
        restart: () => stage.restartStore(),
        stop: async () => {}, // It ends with the stage.
      },
    );
    const product = new CrashProduct(stage, client, { ...VARIABLES, ...variables });
    await product.mend();
    return product;
  }

  /** Wakes who sleeps, and has as many workers again as at the start. */
  async mend(): Promise<void> {
    for (const worker of this.workers) worker.signal('SIGCONT');
    this.replaceDead();
    await Promise.all(this.workers.map((worker) => worker.printed(WORKER_READY)));
  }

  /** Another worker begins to start at once, as with a supervisor. */
  async kill(worker: ProductProcess): Promise<void> {
    await worker.kill();
    this.replaceDead();
  }

  get leaseMs(): number {
    return Number(this.variables.TRANSFER_LEASE_SECONDS) * 1_000;
  }

  /** The worker that an attempt names. */
  workerOf(pid: number): ProductProcess {
    const worker = this.workers.find((candidate) => candidate.pid === pid);
    if (worker === undefined) throw new Error(`process ${pid} is no worker of this stage`);
    return worker;
  }

  living(): ProductProcess[] {
    return this.workers.filter(({ hasEnded }) => !hasEnded);
  }

  async endWorkers(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.kill()));
  }

  async startApi(env: Readonly<Record<string, string>>): Promise<{ api: ProductProcess; url: string }> {
    const api = this.stage.startProcess([API], { ...this.variables, ...env });
    const [, url = ''] = await api.printed(/listening on (http:\/\/[\w.:]+)/);
    return { api, url };
  }

  async close(): Promise<void> {
    await this.client.stop();
  }

  /** As a supervisor does. */
  replaceDead(): void {
    const living = this.living();
    const fresh = Array.from({ length: WORKERS - living.length }, () => this.startWorker());
    this.workers.splice(0, this.workers.length, ...living, ...fresh);
  }

  private startWorker(): ProductProcess {
    return this.stage.startProcess(
      [CLI, 'worker'],
      { ...this.variables, DATA_DIR: this.stage.folder, BLOCK_MS: String(BLOCK_MS) },
      [BLOCKER, POISON].flatMap((code) => ['--import', `data:text/javascript,${encodeURIComponent(code)}`]),
    );
  }
}

/** What `storage worker` prints when it looks for work. */
const WORKER_READY = /^.*Worker.* on /;
