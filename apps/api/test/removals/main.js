// pnpm removals [--only name,name] [--verbose]
//
// Proves that the tests can fail: each patch beside this file takes one defence out of a copy of the product, and the
// test that its head names has to fail for it. Before that, the same tests have to pass.
//
// --verbose shows why each test failed. Ends with 1 when a removal was not noticed, or its patch does not fit the code any more.
import { rmSync } from 'node:fs';
import { mkdtemp, realpath } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import startTestServer from '../support/global-setup.ts';
import { runTests } from './named-tests.js';
import { readRemovals } from './removal.js';
import { TreeCopy } from './tree-copy.js';

const ROOT = fileURLToPath(new URL('../../../..', import.meta.url));
/** Most of a run is waiting for processes to start and for limits to be over. */
const LANES = 2;
/** Of all named tests together, and of the one of a removal. */
const ALL_LIMIT_MS = 600_000;
const ONE_LIMIT_MS = 120_000;
/** Of each test. With nothing removed none hangs, and a busy machine is given its time; a removal may leave one waiting. */
const SOUND_TEST_MS = 120_000;
const BROKEN_TEST_MS = 15_000;

const { values } = parseArgs({
  options: { only: { type: 'string' }, verbose: { type: 'boolean' }, help: { type: 'boolean' } },
});
if (values.help) {
  console.log('pnpm removals [--only name,name] [--verbose]');
  process.exit();
}
const removals = await readRemovals(values.only?.split(',') ?? []);
const width = Math.max(...removals.map(({ name }) => name.length));
const startedAt = performance.now();

// Resolved: jest names files by their real paths.
const folder = await realpath(await mkdtemp(join(tmpdir(), 'removals-')));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
await startTestServer();
try {
  const copies = await Promise.all(
    Array.from({ length: Math.min(LANES, removals.length) }, (_, lane) => TreeCopy.make(ROOT, join(folder, `${lane}`))),
  );
  if (await arePassing(copies[0])) await judgeAll(copies);
  else process.exitCode = 1;
} finally {
  await globalThis.stopTestServer();
}

async function arePassing(copy) {
  const results = await runTests(copy, removals, { workers: LANES, testMs: SOUND_TEST_MS, limitMs: ALL_LIMIT_MS });
  const failures = removals.flatMap(({ spec, test }, index) => {
    const { verdict, output } = results[index];
    return verdict === 'passed' ? [] : [`${spec}: ${test}: ${verdict}\n${output}`];
  });
  for (const failure of new Set(failures)) console.error(failure);
  console.log(
    failures.length === 0
      ? `Nothing removed: the named tests pass, ${secondsSince(startedAt)} s.\n`
      : 'Nothing can be judged: with nothing removed, these tests have to pass.',
  );
  return failures.length === 0;
}

async function judgeAll(copies) {
  console.log(`${'removal'.padEnd(width)}  outcome        s  test`);
  const waiting = [...removals];
  let noticed = 0;
  const work = async (copy) => {
    for (let removal = waiting.shift(); removal !== undefined; removal = waiting.shift()) {
      if (await isNoticed(copy, removal)) noticed += 1;
    }
  };
  await Promise.all(copies.map(work));
  const missed = removals.length - noticed;
  console.log(`\n${removals.length} removals: ${noticed} noticed, ${missed} NOT NOTICED, ${secondsSince(startedAt)} s`);
  if (missed > 0) process.exitCode = 1;
}

async function isNoticed(copy, removal) {
  const begin = performance.now();
  const { verdict, output } = await copy
    .withPatch(removal, () => runTests(copy, [removal], { workers: 1, testMs: BROKEN_TEST_MS, limitMs: ONE_LIMIT_MS }))
    .then(
      ([result]) => result,
      (error) => ({ verdict: 'does not fit', output: `${error.stderr ?? error.stack}${howToRenew(removal)}` }),
    );
  const isFailed = verdict === 'failed';
  const outcome = isFailed ? 'noticed' : 'NOT NOTICED';
  const seconds = secondsSince(begin).padStart(5);
  console.log(`${removal.name.padEnd(width)}  ${outcome.padEnd(11)} ${seconds}  ${removal.spec}: ${removal.test}`);
  if (!isFailed || values.verbose) console.log(`  ${verdict}: ${removal.takesOut}\n${output}`);
  return isFailed;
}

function howToRenew({ name, takesOut }) {
  return (
    `The code around it has changed. To renew it, take out by hand ${takesOut.replace(/\.$/, '')}; put what ` +
    `"git diff -- apps/api/src" says in place of the diff in apps/api/test/removals/${name}.patch, below its head; ` +
    'and take the change back with git stash or git checkout.'
  );
}

function secondsSince(begin) {
  return ((performance.now() - begin) / 1_000).toFixed(1);
}
