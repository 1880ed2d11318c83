import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { expect } from '@jest/globals';
import { CHUNK_BYTES } from '@s3-transfer/crash-stage';
import { ObjectProof } from '../../src/storage/upload/object-proof.js';
import { verifyInvariants } from '../support/verify-invariants.js';
import type { CrashFault, DownloadedAgain } from './crash-fault.js';
import { type CrashPlay, IN_FLIGHT_BYTES } from './crash-play.js';

/** After the end of a lease, within which the next owner is there. */
const RECOVERY_MS = 15_000;
/** Beside a real server workers start as slowly as the machine lets them. */
const RECOVERY_BESIDE_SERVER_MS = 90_000;

/** Holds the end of the transfer against its row of the table. */
export async function expectEnding(play: CrashPlay, fault: CrashFault): Promise<void> {
  await expectEnd(play, fault);
  await play.quiet();
  // The object of this row was read whole above; those of all rows before it are not read again each time.
  await verifyInvariants(play.product.client, { withHash: false, graceMs: 0 });
}

async function expectEnd(play: CrashPlay, fault: CrashFault): Promise<void> {
  const { ending } = fault;
  if (ending === 'no row') await expectNoRow(play);
  else if (ending === 'deleted') await expectDeleted(play);
  else if (ending === 'hidden') await expectHidden(play);
  else if (ending === 'DONE') await expectDone(play, fault);
  else await expectFailed(play, ending);
}

async function expectDone(play: CrashPlay, { again, mayShowUpload = false }: CrashFault): Promise<void> {
  const row = await play.ended();
  const sha256 = await play.file.sha256();
  expect(row).toMatchObject({
    transfer_status: 'DONE',
    transfer_error: null,
    size: String(play.file.sizeBytes),
    sha256,
  });
  expect(await play.object()).toMatchObject({ sizeBytes: play.file.sizeBytes, sha256 });
  const recoveryMs = play.product.isStoreReal ? RECOVERY_BESIDE_SERVER_MS : RECOVERY_MS;
  expect(await play.takenUpAfterMs()).toBeLessThanOrEqual(play.product.leaseMs + recoveryMs);
  expect(play.bytesAgain).toBeLessThanOrEqual(limitOf(play, again));
  if (!mayShowUpload) return await expectNoParts(play);
  const proof = play.product.client.get(ObjectProof);
  for (const uploadId of await uploadsOf(play)) {
    expect(await proof.isMadeOf({ bucket: play.stage.bucket, key: play.path, uploadId })).toBe(true);
  }
}

/** Beside a real server an owner may lose its lease for want of the machine alone: then another goes on. */
function limitOf({ file, product }: CrashPlay, again: DownloadedAgain): number {
  return {
    nothing: product.isStoreReal ? IN_FLIGHT_BYTES : 0,
    // The source may have begun to send one chunk to a reader that is dead.
    'in flight': IN_FLIGHT_BYTES + CHUNK_BYTES,
    'the file': file.sizeBytes,
  }[again];
}

async function expectFailed(play: CrashPlay, code: string): Promise<void> {
  const row = await play.ended();
  expect(row).toMatchObject({
    transfer_status: 'FAILED',
    transfer_error: expect.stringMatching(new RegExp(`^${code}: `)),
  });
  expect(await play.object()).toBeUndefined();
  await expectNoParts(play);
}

async function expectNoRow(play: CrashPlay): Promise<void> {
  expect(await play.stage.query('SELECT FROM core_storage_file WHERE path = $1', [play.path])).toEqual([]);
  expect(play.file.requests).toEqual([]);
  expect(await play.object()).toBeUndefined();
}

async function expectDeleted(play: CrashPlay): Promise<void> {
  await play.stage.until(
    { sql: 'SELECT FROM core_storage_file WHERE id = $1', parameters: [play.id] },
    (rows) => rows.length === 0,
  );
  await expectNoObject(play);
  await expectNoParts(play);
}

async function expectHidden(play: CrashPlay): Promise<void> {
  const [row] = await play.stage.until<{ deleted_at: Date | null; lease_token: string | null }>(
    { sql: 'SELECT * FROM core_storage_file WHERE id = $1', parameters: [play.id] },
    ([found]) => found?.lease_token === null,
  );
  expect(row?.deleted_at).not.toBeNull();
  await expectNoObject(play);
  await expectNoParts(play);
}

async function expectNoObject(play: CrashPlay): Promise<void> {
  await play.eventually(async () => !(await play.hasObject()), 'an object is left');
}

async function expectNoParts(play: CrashPlay): Promise<void> {
  await play.eventually(async () => (await uploadsOf(play)).length === 0, 'an upload is left');
}

async function uploadsOf({ stage: { s3, bucket }, path }: CrashPlay): Promise<string[]> {
  const { Uploads = [] } = await s3.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: path }));
  return Uploads.map(({ UploadId = '' }) => UploadId);
}
