import { BEHAVIOURS, type ParameterValues } from '@s3-transfer/hostile-source';
import { FAULTS } from '@s3-transfer/s3-faults';
import type { CrashFault, PlayedStoreName } from '../crash/crash-fault.js';
import { CRASH_FAULTS } from '../crash/crash-faults.js';
import { SOURCE_FAULTS, type SourceFault } from './source-faults.js';
import { STORE_FAULTS, type StoreFault } from './store-faults.js';
import type { Ending } from './transfer-ending.js';

/** Of the storages that rows are played on. */
const PART_SIZE_BYTES = 5 * 1024 ** 2;
const READ_BACK_BYTES = 64 * 1024;

const STORE_TITLES: Readonly<Record<PlayedStoreName, string>> = {
  'local-s3': 'local-s3',
  swift: 'Swift',
  ceph: 'Ceph',
};

/** docs/faults.md, whole. */
export function formatFaultsPage(): string {
  return [
    '# Faults',
    'What a source, a store or the end of a process can do to a transfer, and how the transfer ends then. Each row is played ' +
      'by a test, over real sockets, against PostgreSQL and an S3 server. This page is written from the tables of those tests, ' +
      '`apps/api/test/faults/source-faults.ts` and `store-faults.ts`, and `apps/api/test/crash/`: do not edit it by hand.',
    'After each row the test looks at everything that a transfer touches:',
    [
      '- DONE: the object has the bytes of the source, the row has their number and their SHA-256, and no upload is left.',
      '- FAILED: the row tells the code, and there is neither an object of the transfer nor a part; or the purge table ' +
        'knows what is left, and its worker removes it.',
      '- Either way: no connection to the source is open, no call of the store is under way, no lease is held, and the ' +
        'next transfer goes through the one slot there is.',
    ].join('\n'),
    'What each code means, and what to do about it, stands in [errors.md](errors.md).',
    '## Sources',
    'Files are of 300,000 bytes where nothing else is said, and so smaller than a part. What a source does is a behaviour ' +
      'of `packages/hostile-source`.',
    formatTable(['the source', 'the request comes with', 'the transfer ends', 'why'], SOURCE_FAULTS.map(sourceCells)),
    '## Stores',
    'What a store does is a fault of `packages/s3-faults`. A small file is one PUT, a large one an upload in parts; a tiny one, up to 64 KiB, is read back whole. Between ' +
      'two tries the tests wait a hundredth of what the product waits by default, so 60 ms here stand for six seconds. ' +
      '`pnpm test` plays all of them on local-s3; `pnpm test:external` plays what happens to a Complete on Swift and Ceph ' +
      'too, with the proxy in front of the real server and a tenth of the waits, but for an object that appears late.',
    formatTable(['the store', 'when', 'the file', 'the transfer ends', 'why'], STORE_FAULTS.map(storeCells)),
    '## Processes',
    'Two workers, the API, PostgreSQL and the store run as processes of their own, and the lease is 3 s. Killed is kill -9, ' +
      'at the very instant: the process is made to stand still there, by a call of the store that is held back or a row that ' +
      'is locked. A killed worker is started again, but the other one is there. Files are of four parts and a half where ' +
      'nothing else is said. After each row, every rule of `storage audit` is held against the database and the bucket, with ' +
      'every byte of every object.',
    'Downloaded again is what the source sends beyond the file: at most the parts in flight and the one that is being read, ' +
      'three parts here. The next owner has the row 15 s after the end of the lease at the latest.',
    '`pnpm test` plays all rows on local-s3; `pnpm test:external --crashes` plays those that the store has a part in on ' +
      'OpenStack Swift and Ceph RGW too, with the same endings. There the lease is 6 s, the next owner has 90 s, an owner ' +
      'that the busy machine keeps from renewing its lease costs what is in flight, kill -9 hits the gateway, and Ceph locks an upload ' +
      'for 5 s when a Complete of it is killed (`rgw_mp_lock_max_time`, 600 s by default). When all rows are over, and ' +
      'Ceph has collected its garbage, every byte of every object is read once more.',
    formatTable(
      ['what happens', 'when', 'the transfer ends', 'downloaded again', 'why', 'played on'],
      CRASH_FAULTS.map(crashCells),
    ),
  ]
    .join('\n\n')
    .concat('\n');
}

function sourceCells({ behaviour, parameters, given, ending, why }: SourceFault): string[] {
  const { title } = BEHAVIOURS[behaviour];
  return [`\`${behaviour}\`: ${title}${detailsOf(parameters)}`, given.join(', '), formatEnding(ending), why];
}

function detailsOf({ cutAfterBytes = 0, ...parameters }: ParameterValues): string {
  if (cutAfterBytes > PART_SIZE_BYTES) return ', in the second of two parts';
  return formatParameters(parameters);
}

function storeCells({ fault, calls, parameters, sizeBytes, beside, ending, why }: StoreFault): string[] {
  const rest = beside.map((other) => `; and ${FAULTS[other.fault].title}, at ${placeOf(other.calls)}`);
  return [
    `\`${fault}\`: ${FAULTS[fault].title}${formatParameters({ ...FAULTS[fault].parameters, ...parameters })}`,
    `at ${placeOf(calls)}${rest.join('')}`,
    sizeOf(sizeBytes),
    formatEnding(ending),
    why,
  ];
}

/** A tiny one is read back whole. */
function sizeOf(sizeBytes: number): string {
  if (sizeBytes > PART_SIZE_BYTES) return 'large';
  return sizeBytes > READ_BACK_BYTES ? 'small' : 'tiny';
}

function crashCells({ fault, instant, sizeBytes, ending, again, why, stores }: CrashFault): string[] {
  return [
    fault,
    `${instant}${sizeBytes === undefined ? '' : ' (a file of one part)'}`,
    formatCrashEnding(ending),
    again,
    why,
    stores === undefined ? 'all three' : stores.map((name) => STORE_TITLES[name]).join(', '),
  ];
}

function formatCrashEnding(ending: CrashFault['ending']): string {
  if (ending === 'no row') return 'there is no row';
  if (ending === 'deleted') return 'row, object and parts are gone';
  if (ending === 'hidden') return 'the row is deleted, nothing else is left';
  return formatEnding(ending);
}

function placeOf(calls: StoreFault['calls']): string {
  return calls.startsWith('first') ? `the ${calls}` : calls;
}

function formatParameters(parameters: Readonly<Record<string, number | boolean>>): string {
  const all = Object.entries(parameters).map(([name, value]) => `${name} ${value}`);
  return all.length === 0 ? '' : ` (${all.join(', ')})`;
}

function formatEnding(ending: Ending): string {
  return ending === 'DONE' ? 'DONE' : `FAILED, \`${ending}\``;
}

function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n');
}
