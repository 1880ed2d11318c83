// What a transfer of the plan may end in: the endings that docs/faults.md promises one by one, put together for what was
// planned for it and what of that came about.
import { createHash } from 'node:crypto';
import { contentSha256 } from '@s3-transfer/hostile-source';
import { SOURCE_FAULTS } from '../test/faults/source-faults.ts';
import { STORE_FAULTS } from '../test/faults/store-faults.ts';
import { SOURCE_LIES, STORE_LIES } from './lies.js';

/** What every request brings, in the words of the table of sources, and what some do. */
const ALWAYS_GIVEN = ['the type video/mp4', 'a limit of 1,000,000 bytes'];
const HASH_GIVEN = 'the SHA-256';
const FRESH_LINKS_GIVEN = 'fresh links at hand';
/** Rows of more redirects are about sources that no plan has. */
export const MOST_HOPS = 4;

/** Endings beside those of the table, which has files of one size and limits that do not meet. */
const ALSO = {
  'chunk-endless-line': ['SOURCE_TOO_SLOW'],
  // What comes behind the announced end is waited for a moment: on a busy machine it comes later.
  'endless-beyond-length': ['DONE'],
  'etag-alternates': ['SOURCE_TRUNCATED'],
  'etag-changes-every-time': ['SOURCE_TRUNCATED'],
  'range-length-disagrees': ['SOURCE_CHANGED'],
  'range-surplus': ['SOURCE_PROTOCOL'],
  'range-wrong-total': ['SOURCE_CHANGED'],
  'resume-416-other-total': ['SOURCE_CHANGED'],
  'second-answer-unasked': ['DONE'],
  'stall-before-last-chunk': ['SOURCE_TOO_SLOW'],
  'stall-in-body-without-progress': ['SOURCE_TOO_SLOW'],
};

/**
 * @param applied the transfer's faults of the store that came about
 * @returns 'DONE' and codes of StorageError
 */
export function endsOf(transfer, applied) {
  const ends = new Set(endsOfSource(transfer));
  for (const fault of applied) {
    const codes = codesOfStore(fault);
    // A connection that a fault of another transfer broke may be the first thing that went wrong, and so what is told.
    if (codes.length > 0) for (const code of [...codes, 'STORE_UNREACHABLE']) ends.add(code);
  }
  if (transfer.caller.kind === 'cancel') ends.add('TRANSFER_CANCELLED');
  return ends;
}

function endsOfSource({ behaviour, parameters, hasFreshLinks, isHashExpected }) {
  // Nothing tells an empty chunked file from one that got lost.
  if (parameters.sizeBytes === 0 && behaviour === 'honest-chunked') return ['SOURCE_EMPTY'];
  const ends = [...endsOfBehaviour(behaviour, { hasFreshLinks }), ...(ALSO[behaviour] ?? [])];
  // The hash is that of the first version.
  return isHashExpected && SOURCE_LIES[behaviour]?.versions ? [...ends, 'SOURCE_CHECKSUM_MISMATCH'] : ends;
}

/** @throws Error when the table has no row for it */
export function endsOfBehaviour(behaviour, { hasFreshLinks }) {
  const given = [...ALWAYS_GIVEN, HASH_GIVEN, ...(hasFreshLinks ? [FRESH_LINKS_GIVEN] : [])];
  const rows = SOURCE_FAULTS.filter(
    (row) =>
      row.behaviour === behaviour &&
      row.given.every((part) => given.includes(part)) &&
      (row.parameters.hops ?? 1) <= MOST_HOPS,
  );
  if (rows.length === 0) throw new Error(`docs/faults.md does not say how a transfer from ${behaviour} ends`);
  // A row that names what every request brings holds before one that does not.
  const isFitting = (part) => rows.some((row) => row.given.includes(part));
  const decisive = [...ALWAYS_GIVEN, FRESH_LINKS_GIVEN].filter((part) => given.includes(part) && isFitting(part));
  const fitting = rows.filter((row) => decisive.every((part) => row.given.includes(part)));
  return new Set(fitting.map(({ ending }) => ending));
}

/** Codes that a transfer may fail with by this fault. It need not: an answer can get lost with its connection. */
function codesOfStore({ fault, operation }) {
  // What is beside another fault is about clean-ups: the transfer ends by that other fault.
  const rows = STORE_FAULTS.filter((row) => row.fault === fault && row.beside.length === 0);
  const same = rows.filter(({ calls }) => calls.endsWith(` ${operation}`));
  const rowsOfFault = same.length > 0 ? same : rows;
  const first = rowsOfFault.filter(({ calls }) => calls.startsWith('first '));
  const codes = (first.length > 0 ? first : rowsOfFault).map(({ ending }) => ending);
  return codes.filter((ending) => ending !== 'DONE');
}

/** Size and SHA-256 of each file that DONE may hold; the first is the one that was asked for. */
export async function digestsOf({ behaviour, parameters }) {
  const versions = SOURCE_LIES[behaviour]?.versions ?? ((file) => [file]);
  const { sizeBytes, seed } = parameters;
  return await Promise.all(versions({ sizeBytes, seed }, parameters).map(digest));
}

async function digest(version) {
  if ('bytes' in version) {
    const { bytes } = version;
    return { sizeBytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
  }
  return { sizeBytes: version.sizeBytes, sha256: await contentSha256(version) };
}

/** What the lies of this transfer were about. */
export function liesOf({ behaviour }, applied) {
  const lies = [SOURCE_LIES[behaviour]?.about, ...applied.map(({ fault }) => STORE_LIES[fault])];
  return lies.filter((lie) => lie !== undefined);
}
