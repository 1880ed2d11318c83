// The product in processes of its own, two workers and an API, on servers that can be killed; and an audit that cannot.
import 'reflect-metadata';
import { fileURLToPath } from 'node:url';
import { Module } from '@nestjs/common';
import { ConfigModule } from '@nestjs/config';
import { NestFactory } from '@nestjs/core';
import { CrashStage } from '@s3-transfer/crash-stage';
import { SignJWT } from 'jose';

const CLI = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const API = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const MiB = 1024 ** 2;
export const PART_SIZE_BYTES = 5 * MiB;
export const QUEUE_SIZE = 2;
export const LEASE_MS = 3_000;
const WORKERS = 2;
const JWT_SECRET = 'only-for-kill-runs-and-long-enough-to-be-one';
/** A source that is as fast as a good connection: transfers last long enough to be hit. */
const SOURCE_BYTES_PER_SECOND = 24 * MiB;
const CALM_SIZES_BYTES = [12 * MiB, 12 * MiB, 300_000];
const CALM_LIMIT_MS = 120_000;
const RETRY_MS = 100;
const REQUEST_LIMIT_MS = 60_000;

const VARIABLES = {
  LOG_LEVEL: 'info',
  NO_COLOR: '1',
  AUTH_JWT_SECRET: JWT_SECRET,
  DATA_ENCRYPTION_KEY: Buffer.alloc(32, 'kill').toString('base64'),
  API_PORT: '0',
  S3_STORE: 'local-s3',
  S3_PART_SIZE_BYTES: String(PART_SIZE_BYTES),
  S3_QUEUE_SIZE: String(QUEUE_SIZE),
  S3_RETRY_DELAY_MS: '50',
  SOURCE_RETRY_DELAY_MS: '50',
  SOURCE_MAX_CONNECTIONS: '1',
  TRANSFER_LEASE_SECONDS: String(LEASE_MS / 1_000),
  TRANSFER_POLL_MS: '200',
  TRANSFER_RECOVERY_SECONDS: '1',
  TRANSFER_RETRY_DELAY_SECONDS: '1',
  TRANSFER_SLOW_BYTES_PER_SECOND: '0', // One host has all files, and kills hold it up.
  PURGE_INTERVAL_SECONDS: '1',
};

export class KillStage {
  /** Lines that the processes printed. */
  log = [];
  /** By path. */
  files = new Map();
  workers = [];

  static async open() {
    const stage = new KillStage();
    stage.crash = await CrashStage.open({ onLine: (line) => stage.log.push(line) });
    try {
      stage.workspaceId = await stage.crash.createWorkspace();
      await stage.mend();
      stage.calmMs = await stage.measureCalm();
    } catch (error) {
      await stage.close();
      throw error;
    }
    return stage;
  }

  close() {
    return this.crash.close();
  }

  get proxy() {
    return this.crash.proxy;
  }

  /** Everything runs again, and looks for work. */
  async mend() {
    const { crash } = this;
    const living = this.workers.filter(({ hasEnded }) => !hasEnded);
    const env = { ...VARIABLES, DATA_DIR: crash.folder };
    const fresh = Array.from({ length: WORKERS - living.length }, () => crash.startProcess([CLI, 'worker'], env));
    this.workers = [...living, ...fresh];
    if (this.api === undefined || this.api.hasEnded) {
      this.api = crash.startProcess([API], { ...VARIABLES, TRANSFER_WORKER: 'none' });
    }
    await Promise.all(fresh.map((worker) => worker.printed(/^.*Worker.* on /)));
    [, this.apiUrl] = await this.api.printed(/listening on (http:\/\/[\w.:]+)/);
  }

  /** What transfers take on this machine now while nobody dies, in ms. */
  async measureCalm() {
    const begin = performance.now();
    const files = CALM_SIZES_BYTES.map((sizeBytes) => this.newFile(sizeBytes));
    for (const file of files) await this.request(file);
    const sql = "SELECT FROM core_storage_file WHERE path = ANY($1) AND transfer_status = 'DONE'";
    const parameters = [files.map(({ path }) => path)];
    await this.crash.until({ sql, parameters, limitMs: CALM_LIMIT_MS }, (rows) => rows.length === files.length);
    return performance.now() - begin;
  }

  newFile(sizeBytes) {
    const file = this.crash.source.add(sizeBytes);
    file.bytesPerSecond = SOURCE_BYTES_PER_SECOND;
    const path = `kill/${this.workspaceId}/${this.files.size + 1}.mp4`;
    // `kills`: how often its owner, or a server that it needs, was killed under it.
    const known = { path, file, kills: 0 };
    this.files.set(path, known);
    return known;
  }

  /** As a client does that wants its file: again, until the request is accepted. */
  async request({ path, file }, workspaceId = this.workspaceId) {
    const token = await new SignJWT({ workspaces: [workspaceId] })
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject('kill-run')
      .setIssuedAt()
      .setExpirationTime('1h')
      .sign(new TextEncoder().encode(JWT_SECRET));
    const body = JSON.stringify({ sourceUrl: file.url, path, type: 'recording-video', mimeType: 'video/mp4' });
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    let last;
    for (const giveUpAt = performance.now() + REQUEST_LIMIT_MS; performance.now() < giveUpAt; ) {
      const url = `${this.apiUrl}/workspaces/${workspaceId}/files/imports`;
      last = await fetch(url, { method: 'POST', headers, body }).catch((error) => error);
      if (last instanceof Response) {
        if (last.ok) return;
        if (last.status < 500) throw new Error(`the request was answered ${last.status}: ${await last.text()}`);
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
    throw new Error(`no request for ${path} was accepted: ${last?.status ?? last}`);
  }

  async kill(victim, owner) {
    if (victim === 'postgres') await this.crash.killPostgres();
    else if (victim === 'store') await this.crash.killStore();
    else if (victim === 'api') await this.api.kill();
    else await owner.kill();
  }

  async restart(victim) {
    if (victim === 'postgres') await this.crash.restartPostgres();
    if (victim === 'store') await this.crash.restartStore();
    await this.mend();
  }

  /** The report of `storage audit`, which reads every byte of every object. */
  async audit() {
    Object.assign(process.env, VARIABLES, this.crash.directVariables, { TRANSFER_WORKER: 'none', LOG_LEVEL: 'silent' });
    // Loaded now: what they import looks at process.env.
    const { StorageModule } = await import('../../dist/storage/storage.module.js');
    const { InvariantAudit } = await import('../../dist/storage/cleanup/invariants.js');
    class AuditModule {}
    Module({ imports: [ConfigModule.forRoot({ ignoreEnvFile: true }), StorageModule] })(AuditModule);
    const app = await NestFactory.createApplicationContext(AuditModule, { logger: false, abortOnError: false });
    try {
      return await app.get(InvariantAudit, { strict: false }).run({ withHash: true, graceMs: 0 });
    } finally {
      await app.close();
    }
  }
}
