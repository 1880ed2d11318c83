// What must hold of one transfer, and of all of them (design.md, section 1), seen from outside: by the database's rows,
// the store's own answers past the fault proxy, and what the callers were told.
import { createHash } from 'node:crypto';
import {
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  paginateListObjectsV2,
} from '@aws-sdk/client-s3';
import { ERROR_CATALOGUE } from '../dist/storage/error-catalogue.js';
import { BUCKET } from './stage.js';
import { CANARY } from './transfer-request.js';

/** How often each invariant was checked, and where it did not hold. */
export class Checks {
  counts = new Map();
  problems = [];

  /** @param about said of a problem: the number of its transfer, if it is one's, and what was seen */
  check(invariant, holds, about) {
    this.counts.set(invariant, (this.counts.get(invariant) ?? 0) + 1);
    if (!holds) this.problems.push({ invariant, ...about() });
  }
}

/**
 * @param results how the caller's requests ended
 * @param ends what the transfer may end in
 * @param digests what DONE may hold
 * @returns 'DONE' or the code of the failure, by the row
 */
export async function checkTransfer(stage, checks, { transfer, path, results, ends, digests }) {
  const rows = await stage.query('SELECT * FROM core_storage_file WHERE path = $1', [path]);
  const [row] = rows;
  const check = (invariant, holds, seen) =>
    checks.check(invariant, holds, () => ({ number: transfer.number, seen: seen?.() ?? '', row }));
  check('a request makes one row', rows.length === 1, () => `${rows.length} rows`);
  if (row === undefined) return 'no row';
  const code = row.transfer_error?.split(':', 1)[0];
  const end = row.transfer_status === 'FAILED' ? code : row.transfer_status;
  check('a transfer ends DONE or FAILED', ['DONE', 'FAILED'].includes(row.transfer_status));
  check('no lease is held', row.lease_token === null && row.lease_until === null);
  check('the end fits what was injected', ends.has(end), () => `${end} instead of ${[...ends].join(' or ')}`);
  check('rows and errors hold no secret', !hasSecret(row) && !results.some(({ hasSecret: has }) => has), () =>
    results.map(({ text }) => text).join('\n'),
  );
  checkCallers(check, transfer, results, row, end);
  if (row.transfer_status === 'DONE') await checkDone(stage, check, { path, row, digests });
  else await checkFailed(stage, check, { path, row, code });
  return end;
}

function checkCallers(check, { caller }, [first, second], row, end) {
  const say = ({ status, code } = {}) => (status === 'FAILED' ? code : status);
  check('the caller is told what the row says', say(first) === end, () => `the caller was told ${say(first)}`);
  if (second === undefined) return;
  const told = say(second);
  if (caller.kind === 'other-source') {
    check('another source on a taken path is PATH_TAKEN', told === 'PATH_TAKEN', () => `it was ${told}`);
    return;
  }
  const isSame = told === end && (end !== 'DONE' || (second.id === first.id && row.id === first.id));
  check('the same request again makes one row and one end', isSame, () => `the second was told ${told}`);
}

async function checkDone(stage, check, { path, row, digests }) {
  const found = await readObject(stage, path);
  const isRow = found !== undefined && String(found.sizeBytes) === row.size && found.sha256 === row.sha256;
  check("DONE: the object is readable, of the row's size and SHA-256", isRow, () => JSON.stringify(found ?? 'none'));
  const isSource = digests.some(({ sizeBytes, sha256 }) => String(sizeBytes) === row.size && sha256 === row.sha256);
  check("DONE: the bytes are the source's", isSource, () => JSON.stringify(digests));
  const left = await findLeftOvers(stage, path, row);
  check('DONE: no upload is left at the path, or a purge entry tells of it', left.uploads === 0 || left.isNoted);
}

async function checkFailed(stage, check, { path, row, code }) {
  const isKnown = Object.hasOwn(ERROR_CATALOGUE, code) && !row.transfer_error.includes('unexpected error');
  check('FAILED: the code is of the closed list', isKnown);
  const left = await findLeftOvers(stage, path, row);
  const isClean = left.uploads === 0 && !left.hasObject;
  check('FAILED: nothing is left, or a purge entry tells of it', isClean || left.isNoted, () => JSON.stringify(left));
}

async function findLeftOvers(stage, path, { id }) {
  const uploads = await listUploads(stage, path);
  const entries = await stage.query('SELECT 1 FROM core_storage_purge WHERE file_id = $1', [id]);
  return { uploads: uploads.length, hasObject: await hasObject(stage, path), isNoted: entries.length > 0 };
}

/** Of the whole database and bucket, when every transfer has ended and every clean-up had its time. */
export async function checkAll(stage, checks) {
  const rows = await stage.query('SELECT * FROM core_storage_file');
  const entries = await stage.query('SELECT * FROM core_storage_purge');
  const objects = await listObjects(stage);
  const uploads = await listUploads(stage, '');
  const all = (invariant, bad, name) =>
    checks.check(invariant, bad.length === 0, () => ({ seen: bad.map(name).join(', ') }));
  const done = new Set(rows.filter((row) => row.transfer_status === 'DONE').map(({ path }) => path));
  const unended = rows.filter((row) => !['DONE', 'FAILED'].includes(row.transfer_status));
  const leased = rows.filter((row) => row.lease_token !== null || row.lease_until !== null);
  all('at the end: no row is PENDING or TRANSFERRING', unended, ({ path }) => path);
  all('at the end: no lease is held', leased, ({ path }) => path);
  all('at the end: every purge entry has ended', entries, ({ path, last_error: error }) => `${path} (${error})`);
  const ownerless = objects.filter((key) => !done.has(key));
  all('at the end: no object without a DONE row', ownerless, (key) => key);
  const bare = [...done].filter((path) => !objects.includes(path));
  all('at the end: no DONE row without its object', bare, (path) => path);
  all('at the end: no multipart upload', uploads, ({ Key, UploadId }) => `${Key} ${UploadId}`);
  all('at the end: rows hold no secret', [...rows, ...entries].filter(hasSecret), ({ path }) => path);
  all(
    'at the end: log lines hold no secret',
    stage.log.filter((line) => line.includes(CANARY)),
    (line) => line,
  );
}

function hasSecret(row) {
  return JSON.stringify(row).includes(CANARY);
}

/** Undefined where there is none. */
async function readObject({ s3 }, Key) {
  try {
    const { Body } = await s3.send(new GetObjectCommand({ Bucket: BUCKET, Key }));
    const hash = createHash('sha256');
    let sizeBytes = 0;
    for await (const chunk of Body) {
      hash.update(chunk);
      sizeBytes += chunk.length;
    }
    return { sizeBytes, sha256: hash.digest('hex') };
  } catch (error) {
    if (error.name === 'NoSuchKey') return undefined;
    throw error;
  }
}

async function hasObject({ s3 }, Key) {
  try {
    await s3.send(new HeadObjectCommand({ Bucket: BUCKET, Key }));
    return true;
  } catch (error) {
    if (error.name === 'NotFound') return false;
    throw error;
  }
}

async function listObjects({ s3 }) {
  const keys = [];
  for await (const { Contents = [] } of paginateListObjectsV2({ client: s3 }, { Bucket: BUCKET })) {
    keys.push(...Contents.map(({ Key }) => Key));
  }
  return keys;
}

/** One page of a thousand: there is to be none. */
async function listUploads({ s3 }, Prefix) {
  const { Uploads = [] } = await s3.send(new ListMultipartUploadsCommand({ Bucket: BUCKET, Prefix }));
  return Uploads;
}
