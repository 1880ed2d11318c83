// pnpm bench [--rivals] [--rows throughput,memory] [--mib 1024] [--files 10000] [--rounds 3] [--quick] [--profile]
//
// Measures transfers through the whole of createAndTransfer (row, lease, address guard, SHA-256, proof) and signing.
// --rivals adds rclone, awscli and boto3 from Debian's packages. --mib is the size that all rows are made from, but
// for those of many small files, whose number --files is (--statements shows what each of them asks of PostgreSQL). --quick
// is one small round of everything, to see that it runs. --profile shows where the time of one transfer goes instead.
//
// Each contender is a process of its own, rounds are interleaved, figures are medians, and ratios are of one run: they
// say more than any figure. Source and sink are processes of their own on loopback and share the machine's cores.
// Ends with 1 when an outcome was wrong or a contender is missing; a target that is missed is shown, and is no error.
import { readFile, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { rounded } from './figures.js';
import { profileTransfer } from './profile.js';
import { prepareRivals } from './rivals.js';
import { budget } from './rows/budget.js';
import { droppingSource } from './rows/dropping-source.js';
import { fairness } from './rows/fairness.js';
import { https } from './rows/https.js';
import { localStore } from './rows/local-store.js';
import { manyAtOnce } from './rows/many-at-once.js';
import { manySmall } from './rows/many-small.js';
import { memory } from './rows/memory.js';
import { millionRows } from './rows/million-rows.js';
import { presigning } from './rows/presigning.js';
import { queues } from './rows/queues.js';
import { slowHosts } from './rows/slow-hosts.js';
import { slowSource } from './rows/slow-source.js';
import { throughput } from './rows/throughput.js';
import { Stage } from './stage.js';

const ROWS = {
  throughput,
  'local-store': localStore,
  https,
  'slow-source': slowSource,
  memory,
  'dropping-source': droppingSource,
  'many-at-once': manyAtOnce,
  'many-small': manySmall,
  queues,
  budget,
  'slow-hosts': slowHosts,
  'million-rows': millionRows,
  presign: presigning,
  fairness,
};
const RESULTS = new URL('results.json', import.meta.url);

const { values } = parseArgs({
  options: {
    rivals: { type: 'boolean', default: false },
    rows: { type: 'string', default: Object.keys(ROWS).join() },
    mib: { type: 'string' },
    files: { type: 'string' },
    statements: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    quick: { type: 'boolean', default: false },
    profile: { type: 'boolean', default: false },
  },
});
const names = values.rows.split(',');
const unknown = names.filter((name) => ROWS[name] === undefined);
if (unknown.length > 0) throw new Error(`no such row: ${unknown.join(', ')}; rows are ${Object.keys(ROWS).join(', ')}`);
const mib = Number(values.mib ?? (values.quick ? 64 : 1_024));
const settings = {
  bytes: mib * 1024 ** 2,
  files: Number(values.files ?? (values.quick ? 500 : 10_000)),
  isTold: values.statements,
  rounds: Number(values.rounds ?? (values.quick ? 1 : 3)),
  withRivals: values.rivals,
};

const stage = await Stage.open();
try {
  if (values.profile) await profileTransfer(stage, settings);
  else await runRows();
} finally {
  await stage.close();
}

async function runRows() {
  const versions = { node: process.version, ...(settings.withRivals ? await prepareRivals(stage.folder) : {}) };
  console.log(
    Object.entries(versions)
      .map(([name, version]) => `${name}: ${version}`)
      .join('\n'),
  );
  const results = {};
  for (const name of names) {
    console.log(`\n${name}: ${ROWS[name].title(settings)}`);
    const { targets, failures, ...row } = await ROWS[name].run(stage, settings);
    const figures = rounded(row.figures);
    print(figures, targets, failures);
    results[name] = {
      ...(ROWS[name].isOfFiles ? { files: settings.files } : { mib }),
      rounds: settings.rounds,
      versions,
      figures,
      targets,
      failures: failures.map(({ name, error }) => `${name}: ${error.message}`),
    };
    if (failures.length > 0) process.exitCode = 1;
  }
  if (!values.quick) await save(results);
}

function print(figures, targets, failures) {
  console.table(figures);
  if (targets.length > 0) {
    console.table(targets.map(({ isMet, ...target }) => ({ ...target, met: isMet ? 'yes' : 'NO' })));
  }
  for (const { name, error } of failures) console.error(`FAILED ${name}: ${error.message}\n${error.cause ?? ''}`);
}

/** Rows that were not run keep what this machine measured before. */
async function save(results) {
  const machine = { cpu: cpus()[0].model, cores: cpus().length };
  const before = JSON.parse(await readFile(RESULTS, 'utf8').catch(() => '{}'));
  const kept = JSON.stringify(before.machine) === JSON.stringify(machine) ? before.rows : {};
  const all = { ...kept, ...results };
  const rows = Object.fromEntries(Object.keys(ROWS).flatMap((name) => (name in all ? [[name, all[name]]] : [])));
  await writeFile(RESULTS, `${JSON.stringify({ machine, rows }, null, 2)}\n`);
}
