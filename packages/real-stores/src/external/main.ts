import { readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { checkContract } from './check-contract.js';
import { checkCrashes } from './check-crashes.js';
import { checkModel } from './check-model.js';
import { checkTransfers } from './check-transfers.js';
import { type Advice, formatCompatibilityPage, type MeasuredStore, readOutcomes } from './compatibility-page.js';
import {
  type JudgedStore,
  REAL_STORE_NAMES,
  type RealStoreName,
  STORE_NAMES,
  type StoreName,
  startStore,
} from './judged-store.js';
import { readStoreFacts } from './store-facts.js';
import { addTallies, summarise, type Tally } from './tally.js';

const USAGE = `pnpm test:external [--only swift|ceph|local-s3 ...] [--no-transfers | --crashes] [--write]

Starts OpenStack Swift and Ceph from Debian packages, which it installs when they are missing (root), and runs the S3 contract on
local-s3 and on them, one after the other; the module's transfer tests run on each of them that is through with it, beside the next. Then
it plays the crash rows of docs/faults.md on both at once, each on a server of their own, and spin walks the model in docs/model.
--only          a server, as often as needed; the page is then neither compared nor written, and no model walked
--no-transfers  the contract alone
--crashes       the crash rows alone
--write         writes docs/compatibility.md; without it the run fails where that page tells other outcomes
Exit code: 0 as expected, 1 something else, 2 wrong use or a server that did not start.`;

const PAGE = new URL('../../../../docs/compatibility.md', import.meta.url);
const ADVICE = new URL('../../advice.json', import.meta.url);
const SIGNALS = { SIGINT: 2, SIGTERM: 15 } as const;

const print = (line: string): void => void process.stdout.write(`${line}\n`);

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    args: process.argv.slice(2).filter((argument) => argument !== '--'), // pnpm hands it on as well.
    options: {
      only: { type: 'string', multiple: true, default: [] },
      'no-transfers': { type: 'boolean', default: false },
      crashes: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    print(USAGE);
    return 0;
  }
  const unknown = values.only.find((name) => !STORE_NAMES.some((known) => known === name));
  if (unknown !== undefined) throw new Error(`There is no server "${unknown}".\n${USAGE}`);
  const names = STORE_NAMES.filter((name) => values.only.length === 0 || values.only.includes(name));

  const stopping = new AbortController();
  const stores: JudgedStore[] = [];
  const transfers: Promise<Tally>[] = [];
  let crashes: Promise<Tally[]> | undefined;
  let model: Promise<Tally> | undefined;
  for (const [name, number] of Object.entries(SIGNALS)) {
    process.once(name, async () => {
      stopping.abort();
      await Promise.allSettled([...transfers, crashes, model, ...stores.map((store) => store.stop())]);
      process.exit(128 + number); // Takes a server along that is still starting.
    });
  }

  const tallies: Tally[] = [];
  const measured: MeasuredStore[] = [];
  try {
    for (const name of values.crashes ? [] : names) {
      const store = await startTimed(name);
      stores.push(store);
      const contract = await timed(`${name}: contract`, () => checkContract(store, print));
      tallies.push(contract);
      measured.push({ title: store.title, results: contract.results });
      if (values['no-transfers'] || name === 'local-s3') await store.stop();
      else transfers.push(timed(`${name}: transfers`, () => transferTo(store, stopping.signal)));
    }
  } finally {
    await Promise.allSettled(transfers);
    for (const store of stores) await store.stop();
  }
  tallies.push(...(await Promise.all(transfers)));
  if (!values['no-transfers']) {
    const played = REAL_STORE_NAMES.filter((name) => names.includes(name));
    const play = (name: RealStoreName) => timed(`${name}: crashes`, () => checkCrashes(name, print, stopping.signal));
    crashes = Promise.all(played.map(play)); // Most of their time is that of leases.
    tallies.push(...(await crashes));
  }
  if (names.length === STORE_NAMES.length && !values.crashes) {
    tallies.push(await checkPage(measured, values.write));
    model = timed('model', () => checkModel(print, stopping.signal));
    tallies.push(await model);
  }

  const total = addTallies(tallies);
  print(summarise(total));
  return total.failed === 0 && total.passed > 0 ? 0 : 1;
}

async function startTimed(name: StoreName): Promise<JudgedStore> {
  const started = performance.now();
  const store = await startStore(name);
  print(`${name}: ${store.title} is up after ${secondsSince(started)}`);
  return store;
}

/** Then the server has done its work. */
async function transferTo(store: JudgedStore, signal: AbortSignal): Promise<Tally> {
  try {
    return await checkTransfers(store, print, signal);
  } finally {
    await store.stop();
  }
}

async function timed<Report extends Tally>(what: string, check: () => Promise<Report>): Promise<Report> {
  const started = performance.now();
  const report = await check();
  print(`${what}: ${report.passed} passed, ${report.failed} failed, ${secondsSince(started)}`);
  return report;
}

/** Compares docs/compatibility.md with what was measured, outcome by outcome, or writes it. */
async function checkPage(measured: readonly MeasuredStore[], isWritten: boolean): Promise<Tally> {
  const advice = JSON.parse(await readFile(ADVICE, 'utf8')) as Advice[];
  const facts = await readStoreFacts();
  const page = formatCompatibilityPage({ date: new Date().toISOString().slice(0, 10), measured, facts, advice });
  const results = measured.flatMap((store) => store.results);
  const isShort = (id: string) => results.some((result) => result.id === id && result.outcome === 'short');
  const needless = advice.flatMap(({ cases }) => cases).filter((id) => !isShort(id));
  for (const id of needless) print(`FAIL advice.json ${id}: no server falls short of it`);
  if (isWritten) {
    await writeFile(PAGE, page);
    print('docs/compatibility.md is written.');
    return { passed: 0, failed: needless.length };
  }
  const committed = new Set(readOutcomes(await readFile(PAGE, 'utf8').catch(() => ''))); // Not there: all lines are new.
  const outcomes = new Set(readOutcomes(page));
  const changed = [...outcomes, ...committed].filter((line) => !outcomes.has(line) || !committed.has(line));
  for (const line of changed)
    print(`FAIL docs/compatibility.md, ${outcomes.has(line) ? 'missing' : 'no longer so'}: ${line}`);
  if (changed.length > 0) print('`pnpm test:external --write` writes the page anew.');
  const failed = needless.length + (changed.length > 0 ? 1 : 0);
  return { passed: failed === 0 ? 1 : 0, failed };
}

function secondsSince(started: number): string {
  return `${((performance.now() - started) / 1000).toFixed(1)} s`;
}
