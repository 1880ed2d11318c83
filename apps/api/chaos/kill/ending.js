// What must hold when every transfer has ended and every clean-up had its time.
import { setTimeout as sleep } from 'node:timers/promises';
import { ListMultipartUploadsCommand, paginateListObjectsV2 } from '@aws-sdk/client-s3';
import { PART_SIZE_BYTES, QUEUE_SIZE } from '@s3-transfer/crash-stage';

const MiB = 1024 ** 2;
/** What a killed owner may have read and not stored. */
const IN_FLIGHT_BYTES = (QUEUE_SIZE + 1) * PART_SIZE_BYTES;
/** What the source has sent and nobody has read lies in the sockets of both sides (tcp(7), tcp_rmem and tcp_wmem). */
const IN_SOCKETS_BYTES = 10 * MiB;
/** Entries are looked at again after the longest time in which a late request could land: here it passes at once. */
const HOURS_PASS = "UPDATE core_storage_purge SET next_attempt_at = now(), created_at = created_at - interval '1 hour'";
const NOT_UNDER_WORK = 'WHERE NOT removing';
const POLL_MS = 500;
const PURGE_LIMIT_MS = 60_000;

/** @returns the audit's report */
export async function settle(stage, checks) {
  await awaitPurge(stage);
  const rows = await stage.crash.query('SELECT * FROM core_storage_file');
  const entries = await stage.crash.query('SELECT * FROM core_storage_purge');
  const done = new Map(rows.filter((row) => row.transfer_status === 'DONE').map((row) => [row.path, row]));
  const objects = await listObjects(stage.crash);
  const { s3, bucket: Bucket } = stage.crash;
  const { Uploads = [] } = await s3.send(new ListMultipartUploadsCommand({ Bucket }));
  const all = (invariant, bad) =>
    checks.check(`at the end: ${invariant}`, bad.length === 0, () => ({ seen: bad.join(', ') }));
  all(
    'no row is stuck',
    rows.filter((row) => !['DONE', 'FAILED'].includes(row.transfer_status)).map(({ path }) => path),
  );
  all(
    'no lease is held',
    rows.filter((row) => row.lease_token !== null).map(({ path }) => path),
  );
  all(
    'every purge entry has ended',
    entries.map(({ path, last_error: error }) => `${path} (${error})`),
  );
  all(
    'no orphan object',
    objects.filter((key) => !done.has(key)),
  );
  all(
    'no orphan upload',
    Uploads.map(({ Key, UploadId }) => `${Key} ${UploadId}`),
  );
  all('no false DONE', await findFalse(stage, done));
  for (const { path, file, kills, isRemoved } of stage.files.values()) {
    const again = Math.max(0, file.sentBytes - file.sizeBytes);
    const limit = kills * (IN_FLIGHT_BYTES + IN_SOCKETS_BYTES);
    const seen = () => ({ seen: `${path}: ${again} bytes after ${kills} kills` });
    if (!isRemoved) checks.check('no more is downloaded again than was in flight', again <= limit, seen);
  }
  const audit = await stage.audit();
  checks.check('at the end: the audit finds nothing', audit.violations === 0, () => ({
    seen: JSON.stringify(audit.results.flatMap(({ violations }) => violations)),
  }));
  return audit;
}

/** At first those of workers that were killed at it, too, whose minute is not over. */
async function awaitPurge({ crash }) {
  const giveUpAt = performance.now() + PURGE_LIMIT_MS;
  await crash.query(HOURS_PASS);
  while ((await crash.query('SELECT FROM core_storage_purge')).length > 0 && performance.now() < giveUpAt) {
    await sleep(POLL_MS);
    await crash.query(`${HOURS_PASS} ${NOT_UNDER_WORK}`);
  }
}

/** Rows whose size or SHA-256 are not those of the source; the audit compares rows and objects. */
async function findFalse(stage, done) {
  const wrong = [];
  for (const { path, file } of stage.files.values()) {
    const row = done.get(path);
    const isRight = row === undefined || (row.size === String(file.sizeBytes) && row.sha256 === (await file.sha256()));
    if (!isRight) wrong.push(path);
  }
  return wrong;
}

async function listObjects({ s3, bucket: Bucket }) {
  const keys = [];
  for await (const { Contents = [] } of paginateListObjectsV2({ client: s3 }, { Bucket })) {
    keys.push(...Contents.map(({ Key }) => Key));
  }
  return keys;
}
