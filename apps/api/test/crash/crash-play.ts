import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AbortMultipartUploadCommand, DeleteObjectCommand, ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import {
  PART_SIZE_BYTES,
  type PacedFile,
  type ProductProcess,
  QUEUE_SIZE,
  type RowLock,
} from '@s3-transfer/crash-stage';
import type { S3Call, S3Operation } from '@s3-transfer/s3-faults';
import type { StorageFile } from '../../src/storage/storage-file.repository.js';
import { type CrashProduct, POISON_FILE } from './crash-product.js';
import { hasObject, readObject, type StoredObject } from './stored-object.js';

/** For whatever is to happen in the end, on a machine that has much else to do. */
const END_LIMIT_MS = 120_000;
/** Long enough to stop a process in between. */
const SLOW_ANSWER_MS = 5_000;
const POLL_MS = 50;
/** In which the system has closed the connections of a process that was killed. */
const CLOSING_MS = 500;
/** Four parts and a half. */
const FILE_BYTES = 4.5 * PART_SIZE_BYTES;
/** What a killed owner may have read and not stored: the parts in flight, and the one that is being filled. */
export const IN_FLIGHT_BYTES = (QUEUE_SIZE + 1) * PART_SIZE_BYTES;

/** The statements by which an owner says how far it is. */
const COMPLETING = /"completing"|completing = true/;
const DONE = /transfer_status = 'DONE'/;
const IS_JOB = "data->>'fileId' = $1";

export interface TransferRow {
  id: string;
  transfer_status: string;
  transfer_error: string | null;
  size: string | null;
  sha256: string | null;
  attempts: number;
  upload_id: string | null;
  completing: boolean;
}

/** One transfer under a fault: how it is brought to an instant, who works on it, and how it ended. */
export class CrashPlay {
  id = '';
  readonly path: string;
  readonly file: PacedFile;
  private letGoAtMs = 0;

  constructor(
    readonly product: CrashProduct,
    readonly workspaceId: string,
    sizeBytes = FILE_BYTES,
  ) {
    this.file = product.stage.source.add(sizeBytes);
    this.path = `recordings/${workspaceId}/${randomUUID()}.mp4`;
  }

  get stage() {
    return this.product.stage;
  }

  /** As a feature does it: the row and its job. */
  async begin(): Promise<void> {
    const { workspaceId, path, file } = this;
    const row = await this.product.client.transfers.enqueue({
      workspaceId,
      path,
      sourceUrl: file.url,
      type: 'recording-video',
      mimeType: 'video/mp4',
    });
    this.id = row.id;
  }

  /** Begins it, and resolves when so many bytes were sent, and the parts that they fill are stored. */
  async beginUpTo(position: number): Promise<void> {
    this.file.holdAt(position);
    await this.begin();
    await this.file.sentUpTo(position);
    await this.stored(Math.floor(position / PART_SIZE_BYTES));
  }

  /** When the store has so many parts, and their sender its answers. */
  async stored(parts: number): Promise<void> {
    for (let partNumber = 1; partNumber <= parts; partNumber += 1) {
      await this.stage.proxy.waitForCall(
        (call) =>
          this.isOwn(call, 'UploadPart') && call.partNumber === partNumber && call.status === 200 && call.isOver,
      );
    }
  }

  /** When the next owner can know that the store has it. */
  async keptFirstPart(): Promise<void> {
    await this.stage.until(
      { sql: 'SELECT FROM core_storage_part WHERE file_id = $1 AND number = 1', parameters: [this.id] },
      (rows) => rows.length > 0,
    );
  }

  /** Before the store sees the call, or when it has done it and its answer is held back. */
  async standStill(
    operation: S3Operation,
    side: 'before' | 'after',
    { partNumber, act = () => this.begin() }: { partNumber?: number; act?: () => Promise<unknown> } = {},
  ): Promise<S3Call> {
    const fault = side === 'before' ? 'black-hole-before-forward' : 'black-hole-after-forward';
    const { proxy } = this.stage;
    proxy.inject({ fault, operation, key: this.path, ...(partNumber !== undefined ? { partNumber } : {}) });
    await act();
    return await proxy.waitForCall(
      (call) =>
        this.isOwn(call, operation) && call.fault === fault && (side === 'before' || call.storeStatus !== undefined),
    );
  }

  /** The store has done the call, and its answer takes long enough for its sender to be stopped before. */
  async slowAnswer(operation: S3Operation, partNumber?: number): Promise<void> {
    const { proxy } = this.stage;
    const place = { key: this.path, ...(partNumber !== undefined ? { partNumber } : {}) };
    proxy.inject({ fault: 'slow-answer', operation, ...place, parameters: { ms: SLOW_ANSWER_MS } });
    await this.begin();
    await proxy.waitForCall(
      (call) => this.isOwn(call, operation) && call.fault === 'slow-answer' && call.storeStatus !== undefined,
    );
  }

  /** When the call is on its way to the store, which may be done with it already. */
  async reaches(operation: S3Operation, partNumber?: number): Promise<void> {
    await this.stage.proxy.waitForCall(
      (call) =>
        this.isOwn(call, operation) && call.isForwarded && (partNumber === undefined || call.partNumber === partNumber),
    );
  }

  /** Every part is stored, and so long ago Complete was passed on to the store: who works on it. */
  async beginUpToComplete(agoMs: number): Promise<ProductProcess> {
    await this.beginUpTo(this.file.sizeBytes - 1);
    const owner = await this.owner();
    this.file.release();
    await this.reaches('CompleteMultipartUpload');
    await this.pass(agoMs);
    return owner;
  }

  /** Holds the row, so that a statement that changes it stands still; foreign keys to it do not. */
  async lockRow(): Promise<RowLock> {
    return await this.stage.lock('SELECT FROM core_storage_file WHERE id = $1 FOR NO KEY UPDATE', [this.id]);
  }

  /** Every part is stored, and the statement that says so stands still before it changes the row. */
  async standStillBeforeComplete(): Promise<RowLock> {
    await this.beginUpTo(this.file.sizeBytes - 1);
    const lock = await this.lockRow();
    this.file.release();
    await lock.blocks(COMPLETING);
    return lock;
  }

  /** The object is made and proven, and the statement that says DONE stands still before it changes the row. */
  async standStillBeforeDone(): Promise<RowLock> {
    // Not HEAD: where Complete overwrites without a word, one goes out before it as well.
    await this.slowAnswer('GetObject');
    const lock = await this.lockRow();
    await lock.blocks(DONE);
    return lock;
  }

  async owner(): Promise<ProductProcess> {
    const [attempt] = await this.stage.until<{ worker: string }>(
      {
        sql: 'SELECT worker FROM core_storage_attempt WHERE file_id = $1 AND finished_at IS NULL ORDER BY number DESC LIMIT 1',
        parameters: [this.id],
      },
      (rows) => rows.length > 0,
    );
    return this.product.workerOf(pidOf(attempt?.worker ?? ''));
  }

  /** Nothing that held the transfer up does so any more. */
  letGo(): void {
    this.letGoAtMs = Date.now();
    this.stage.proxy.clear();
    this.file.release();
  }

  async killOwner(): Promise<void> {
    await this.product.kill(await this.owner());
    this.letGo();
  }

  /** Nothing says which worker it is: the call ends with its own. */
  async killSenderOf(call: S3Call): Promise<void> {
    for (const worker of this.product.living()) {
      await this.product.kill(worker);
      const isOver = this.stage.proxy.waitForCall((other) => other === call && other.isOver).then(() => true);
      if (await Promise.race([isOver, sleep(CLOSING_MS).then(() => false)])) return;
    }
  }

  /** Each process that sends the third part of the file dies of it, and another is started, until the row has its end. */
  async beginPoisoned(): Promise<void> {
    await writeFile(join(this.stage.folder, POISON_FILE), this.path);
    const supervisor = setInterval(() => this.product.replaceDead(), POLL_MS);
    try {
      await this.begin();
      await this.ended();
    } finally {
      clearInterval(supervisor);
    }
  }

  async stopOwner(): Promise<ProductProcess> {
    const owner = await this.owner();
    owner.signal('SIGSTOP');
    return owner;
  }

  /** When another than this one has the row. */
  async nextOwner(before: ProductProcess): Promise<void> {
    await this.stage.until<{ worker: string }>(
      {
        sql: 'SELECT worker FROM core_storage_attempt WHERE file_id = $1 ORDER BY number DESC LIMIT 1',
        parameters: [this.id],
      },
      ([attempt]) => attempt !== undefined && pidOf(attempt.worker) !== before.pid,
    );
  }

  /** Holds its job, which then cannot be acknowledged. */
  async lockJob(): Promise<RowLock> {
    return await this.stage.lock(`SELECT FROM pgboss.job WHERE ${IS_JOB} FOR UPDATE`, [this.id]);
  }

  /** As pg-boss does with a job whose worker it takes for dead. */
  async deliverAgain(): Promise<void> {
    const again = "UPDATE pgboss.job SET state = 'retry', start_after = now(), started_on = NULL";
    await this.stage.query(`${again} WHERE ${IS_JOB}`, [this.id]);
    await this.stage.until({ sql: `SELECT state FROM pgboss.job WHERE ${IS_JOB}`, parameters: [this.id] }, (jobs) =>
      jobs.every((job) => (job as { state: string }).state !== 'retry'),
    );
  }

  /** Two jobs, while the row is held: both workers come to the claim at once. */
  async beginClaimedTwice(): Promise<void> {
    await this.product.endWorkers();
    await this.begin();
    const lock = await this.lockRow();
    await this.product.mend();
    await lock.blocks(/lease_token/);
    await this.deliverAgain();
    await lock.release();
  }

  async deleteFile(isHard: boolean): Promise<void> {
    const { transfers } = this.product.client;
    const file = await this.findFile();
    const remove = () => transfers.deleteFile(file, isHard);
    // An owner that is slow to let go is answered with this, and the advice to delete again.
    const isBusy = (error: { code?: unknown }) => error.code === 'FILE_BUSY';
    await remove().catch((error) => (isBusy(error) ? remove() : Promise.reject(error)));
  }

  async cancel(): Promise<void> {
    await this.product.client.transfers.cancelTransfer(await this.findFile());
  }

  private async findFile(): Promise<StorageFile> {
    const file = await this.product.client.files.findById({ id: this.id, workspaceId: this.workspaceId });
    if (file === null) throw new Error('the row is gone');
    return file;
  }

  /** When a try has failed, and another is to follow. */
  async retried(): Promise<void> {
    await this.stage.until<{ retries: number }>(
      { sql: 'SELECT retries FROM core_storage_file WHERE id = $1', parameters: [this.id] },
      ([row]) => (row?.retries ?? 0) > 0,
    );
  }

  /** Of a request that somebody else made. */
  async find(): Promise<void> {
    const [row] = await this.stage.until<{ id: string }>(
      { sql: 'SELECT id FROM core_storage_file WHERE path = $1', parameters: [this.path] },
      (rows) => rows.length > 0,
    );
    this.id = row?.id ?? '';
  }

  /** When no call of the store about this file is under way. */
  async quiet(): Promise<void> {
    const own = this.stage.proxy.calls.filter(({ key }) => key === this.path);
    await Promise.all(own.map((call) => this.stage.proxy.waitForCall((other) => other === call && call.isOver)));
  }

  /** No event tells that time has passed. */
  async pass(ms: number): Promise<void> {
    await sleep(ms);
  }

  /** Undefined where there is none. */
  async object(): Promise<StoredObject | undefined> {
    return await readObject(this.stage, this.path);
  }

  async hasObject(): Promise<boolean> {
    return await hasObject(this.stage, this.path);
  }

  async row(): Promise<TransferRow | undefined> {
    const rows = await this.stage.query<TransferRow>('SELECT * FROM core_storage_file WHERE id = $1', [this.id]);
    return rows[0];
  }

  /** DONE or FAILED, by an owner who came in time. */
  async ended(): Promise<TransferRow> {
    const [row] = await this.stage.until<TransferRow>(
      { sql: 'SELECT * FROM core_storage_file WHERE id = $1', parameters: [this.id] },
      (rows) => rows[0] === undefined || ['DONE', 'FAILED'].includes(rows[0].transfer_status),
    );
    if (row === undefined) throw new Error('the row is gone');
    return row;
  }

  /** From the end of the fault to the claim of the next owner; 0 where the one before went on. */
  async takenUpAfterMs(): Promise<number> {
    if (this.letGoAtMs === 0) return 0;
    const [row] = await this.stage.query<{ tookMs: number | null }>(
      `SELECT (extract(epoch FROM min(started_at)) * 1000 - $2)::float8 AS "tookMs" FROM core_storage_attempt
       WHERE file_id = $1 AND started_at > to_timestamp($2::float8 / 1000)`,
      [this.id, this.letGoAtMs],
    );
    return row?.tookMs ?? 0;
  }

  async eventually(holds: () => Promise<boolean>, otherwise: string): Promise<void> {
    const giveUpAt = performance.now() + END_LIMIT_MS;
    while (!(await holds())) {
      if (performance.now() > giveUpAt) throw new Error(otherwise);
      await sleep(POLL_MS);
    }
  }

  /** Nothing is left of a transfer that failed its test: those after it are judged by the whole bucket. */
  async wipe(): Promise<void> {
    const { s3, bucket: Bucket } = this.stage;
    await this.stage.query('DELETE FROM core_workspace WHERE id = $1', [this.workspaceId]);
    const { Uploads = [] } = await s3.send(new ListMultipartUploadsCommand({ Bucket, Prefix: this.path }));
    for (const { UploadId } of Uploads) {
      await s3.send(new AbortMultipartUploadCommand({ Bucket, Key: this.path, UploadId })).catch(() => {}); // Gone.
    }
    await s3.send(new DeleteObjectCommand({ Bucket, Key: this.path }));
    await this.stage.query('DELETE FROM core_storage_purge WHERE path = $1', [this.path]);
  }

  /** The error with the row, the calls of the store and the requests to the source, which say what went on. */
  async explain(error: unknown): Promise<Error> {
    const { stage, path, file } = this;
    const rows = await stage.query('SELECT * FROM core_storage_file WHERE path = $1', [path]);
    const attempts = await stage.query('SELECT * FROM core_storage_attempt WHERE file_id::text = $1', [this.id]);
    const calls = stage.proxy.calls.filter(({ key }) => key === path);
    const lines = [
      ...[...rows, ...attempts, ...file.requests].map((about) => JSON.stringify(about)),
      ...calls.map(({ operation, partNumber, fault, storeStatus, status }) =>
        [operation, partNumber, fault, storeStatus, status].join(' '),
      ),
    ];
    return new Error(`${(error as Error).message}\n${lines.join('\n')}`, { cause: error });
  }

  /** Beyond the file itself. */
  get bytesAgain(): number {
    return this.file.sentBytes - this.file.sizeBytes;
  }

  isOwn(call: S3Call, operation: S3Operation): boolean {
    return call.operation === operation && call.key === this.path;
  }
}

/** An attempt names its worker by host and process id. */
function pidOf(worker: string): number {
  return Number(/(\d+)$/.exec(worker)?.[1]);
}
