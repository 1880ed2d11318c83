import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  type MultipartUpload,
} from '@aws-sdk/client-s3';
import { expect } from '@jest/globals';
import { PurgeWorker } from '../../src/storage/cleanup/purge-worker.js';
import type { StorageErrorCode } from '../../src/storage/storage.errors.js';
import type { RemoteFile } from '../../src/storage/transfer/source-opener.js';
import type { TestStorage } from '../support/test-storage.js';
import type { FaultStage } from './fault-stage.js';

/** How a transfer ends: well, or with a FAILED row that tells this code. */
export type Ending = 'DONE' | StorageErrorCode;

/** A transfer through everything that a feature calls, and what it has to end with. */
export interface PlayedTransfer {
  readonly variables: Readonly<Record<string, string>>;
  readonly request: Pick<RemoteFile, 'sourceUrl'> & Partial<RemoteFile>;
  readonly ending: Ending;
  /** What a DONE object holds. */
  readonly content: FileDigest;
}

/** Of bytes that nobody needs to keep. */
export interface FileDigest {
  readonly bytes: number;
  readonly sha256: string;
}

interface FileRow {
  transfer_status: string;
  transfer_error: string | null;
  size: string | null;
  sha256: string | null;
  lease_token: string | null;
  lease_until: Date | null;
}

/** How long sockets may take to be gone after the transfer has ended, in ms. */
const CLOSING_MS = 2_000;
/** More rounds of the purge worker than any left-over needs. */
const PURGE_ROUNDS = 4;

/**
 * Runs the transfer and holds everything against its ending: what the caller is told, row, object, left-overs, sockets
 * and slot. Faults of the way to the store end with the transfer.
 */
export async function playTransfer(stage: FaultStage, transfer: PlayedTransfer): Promise<void> {
  const storage = await stage.storage(transfer.variables);
  const path = stage.newPath();
  const { workspaceId } = stage;
  stage.sourceUrl = transfer.request.sourceUrl;
  const firstCall = stage.way.calls.length;
  const told = await storage.transfers
    .createAndTransfer({ workspaceId, path, type: 'recording-video', ...transfer.request })
    .then(
      () => 'DONE',
      (error: { code?: unknown; message: string }) => `${error.code}: ${error.message}`,
    );
  stage.way.clear();
  expect(told).toMatch(new RegExp(`^${transfer.ending}\\b`));
  await expectRow(stage, path, transfer, told);
  await expectClosedSockets(stage, firstCall);
  if (transfer.ending === 'DONE') await expectObject(stage, path, transfer.content);
  else await expectNothingLeft(stage, storage, path);
  await expectFreeSlot(stage, storage);
}

async function expectRow(stage: FaultStage, path: string, { content, ending }: PlayedTransfer, told: string) {
  const sql = 'SELECT * FROM core_storage_file WHERE path = $1';
  const [row] = await stage.database.query<FileRow>(sql, [path]);
  expect(row).toMatchObject({ lease_token: null, lease_until: null });
  if (ending !== 'DONE') {
    expect(row).toMatchObject({ transfer_status: 'FAILED', transfer_error: expect.stringContaining(told) });
    return;
  }
  const { bytes, sha256 } = content;
  expect(row).toMatchObject({ transfer_status: 'DONE', transfer_error: null, size: String(bytes), sha256 });
}

async function expectObject(stage: FaultStage, path: string, content: FileDigest): Promise<void> {
  const { Body } = await stage.s3.send(new GetObjectCommand({ Bucket: stage.bucket, Key: path }));
  expect(digestOf((await Body?.transformToByteArray()) ?? Buffer.alloc(0))).toEqual(content);
  expect(await uploadsAt(stage, path)).toEqual([]);
  expect(await purgesAt(stage, path)).toEqual([]);
}

/** Nothing is in the bucket, or the purge worker knows of it and ends it. */
async function expectNothingLeft(stage: FaultStage, storage: TestStorage, path: string): Promise<void> {
  const isLeft = (await objectsAt(stage, path)).length + (await uploadsAt(stage, path)).length > 0;
  if (isLeft) expect(await purgesAt(stage, path)).not.toEqual([]);
  for (let round = 0; round < PURGE_ROUNDS && (await purgesAt(stage, path)).length > 0; round += 1) {
    await letHoursPass(stage);
    await storage.get(PurgeWorker).runDue();
  }
  expect(await purgesAt(stage, path)).toEqual([]);
  expect(await objectsAt(stage, path)).toEqual([]);
  expect(await uploadsAt(stage, path)).toEqual([]);
}

/** No connection to the source is open; of those to the store, none that waits for an answer. */
async function expectClosedSockets({ source, way }: FaultStage, firstCall: number): Promise<void> {
  const calls = way.calls.slice(firstCall);
  const answered = calls.map((call) => way.waitForCall((other) => other === call && call.isOver));
  const limit = new AbortController();
  const late = sleep(CLOSING_MS, undefined, { signal: limit.signal }).catch(() => {}); // All were closed before.
  await Promise.race([Promise.all([source.connectionsClosed(), ...answered]), late]);
  limit.abort();
  expect(source.openConnections).toBe(0);
  expect(calls.filter(({ isOver }) => !isOver)).toEqual([]);
}

async function expectFreeSlot(stage: FaultStage, storage: TestStorage): Promise<void> {
  const { workspaceId } = stage;
  const sourceUrl = stage.source.urlOf('honest-etag', { sizeBytes: 1_000 });
  const path = stage.newPath();
  const file = await storage.transfers.createAndTransfer({ sourceUrl, workspaceId, path, type: 'recording-video' });
  expect(file.transferStatus).toBe('DONE');
}

async function letHoursPass({ database }: FaultStage): Promise<void> {
  await database.query(
    `UPDATE core_storage_purge SET next_attempt_at = now(), created_at = created_at - interval '1 hour'`,
  );
}

async function purgesAt({ database }: FaultStage, path: string): Promise<object[]> {
  return await database.query('SELECT upload_id, last_error FROM core_storage_purge WHERE path = $1', [path]);
}

async function objectsAt({ s3, bucket }: FaultStage, path: string): Promise<unknown[]> {
  const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: path }));
  return Contents;
}

async function uploadsAt({ s3, bucket }: FaultStage, path: string): Promise<MultipartUpload[]> {
  const { Uploads = [] } = await s3.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: path }));
  return Uploads;
}

export function digestOf(content: Uint8Array): FileDigest {
  return { bytes: content.length, sha256: createHash('sha256').update(content).digest('hex') };
}
