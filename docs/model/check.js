// pnpm model [--only NAME ...] [--trail]
//
// Has spin walk transfer.pml: as the design is, where it must find nothing, and with one thing of it taken away at a time,
// where it must find the breach of the rule that is named here. --trail prints the shortest way to each breach.
// Exit code: 0 as expected, 1 something else, 2 wrong use, or no spin or compiler.
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const MODEL = fileURLToPath(new URL('transfer.pml', import.meta.url));
const LINES = readFileSync(MODEL, 'utf8').split('\n');
/** Of all verifiers that run at once. */
const MEMORY_LIMIT_MB = 960;
const TIME_LIMIT_MS = 600_000;

/**
 * `brokenRule`: what spin must find; absent: nothing. `faults` and `asks` bound what happens besides. `isNearest`: another
 * breach lies before it in depth.
 */
const CONFIGURATIONS = [
  { name: 'DESIGN', faults: 2, asks: 2 },
  { name: 'DESIGN_ENDS', faults: 2, asks: 1, isEndless: true },
  { name: 'WITHOUT_COMPLETING', faults: 2, asks: 1, brokenRule: 1 },
  { name: 'WITHOUT_FENCE', faults: 2, asks: 1, brokenRule: 1 },
  { name: 'WITHOUT_UPLOAD_ID', faults: 2, asks: 1, brokenRule: 2 },
  { name: 'BLIND_PURGE', faults: 2, asks: 1, brokenRule: 1 },
  { name: 'ABORT_BEFORE_FORGETTING', faults: 2, asks: 1, brokenRule: 1 },
  { name: 'PURGE_KEEPS_ID', faults: 2, asks: 1, brokenRule: 1 },
  { name: 'ANY_TRY', faults: 2, asks: 1, brokenRule: 1 },
  { name: 'ONE_LOOK', faults: 2, asks: 0, brokenRule: 2, isNearest: true },
  { name: 'HASTY_REFUSAL', faults: 1, asks: 1, brokenRule: 1 },
  { name: 'HASTY_PURGE', faults: 2, asks: 1, brokenRule: 1 },
  { name: 'HASTY_REMOVAL', faults: 1, asks: 1, brokenRule: 2 },
  { name: 'DELETED_IS_LEFT', faults: 1, asks: 1, brokenRule: 4 },
  { name: 'LATE_COMPLETE', faults: 1, asks: 0, brokenRule: 1 },
  { name: 'LATE_DELETE', faults: 2, asks: 1, brokenRule: 1 },
];

const print = (line) => void process.stdout.write(`${line}\n`);

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}

async function main() {
  const { values } = parseArgs({
    args: process.argv.slice(2).filter((argument) => argument !== '--'), // pnpm hands it on as well.
    options: { only: { type: 'string', multiple: true, default: [] }, trail: { type: 'boolean', default: false } },
  });
  const unknown = values.only.find((name) => !CONFIGURATIONS.some((known) => known.name === name));
  if (unknown !== undefined) throw new Error(`There is no configuration "${unknown}".`);
  const chosen = CONFIGURATIONS.filter(({ name }) => values.only.length === 0 || values.only.includes(name));
  const compiler = await findTools();
  // The nearest breach takes more memory than any breach.
  const atOnce = values.trail ? 1 : 2;
  const walk = { compiler, isNearest: values.trail, memoryMb: MEMORY_LIMIT_MB / atOnce };

  const started = performance.now();
  print(row(['configuration', 'faults', 'asks', 'states', 'depth', 'MB', 's', 'found', 'verdict']));
  let failed = 0;
  const waiting = [...chosen];
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const result = await check({ ...walk, ...next });
      if (!result.isAsExpected) failed += 1;
      print(row(describe(next, result)));
      if (values.trail) for (const step of result.trail) print(`    ${step}`);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  print(`${((performance.now() - started) / 1000).toFixed(1)} s`);
  const passed = chosen.length - failed;
  print(`Tests: ${failed > 0 ? `${failed} failed, ` : ''}${passed} passed, ${chosen.length} total`);
  return failed === 0 ? 0 : 1;
}

async function findTools() {
  const isThere = async (program, argument) => (await run(program, [argument], tmpdir())).code === 0;
  if (!(await isThere('spin', '-V'))) {
    throw new Error('The model needs spin, which is not here: apt-get install spin (Debian).');
  }
  for (const compiler of ['gcc', 'tcc', 'cc']) if (await isThere(compiler, '-v')) return compiler;
  throw new Error(
    'The model needs a C compiler, and none is here: apt-get install gcc libc6-dev (Debian; tcc will do).',
  );
}

/** Walks every state, or until a breach is found: any, or the nearest. */
async function check({ name, faults, asks, brokenRule, isEndless, isNearest, compiler, memoryMb }) {
  const folder = await mkdtemp(path.join(tmpdir(), 'transfer-model-'));
  const flags = [`-DFAULTS=${faults}`, `-DASKS=${asks}`, `-D${name}`, ...(brokenRule === 1 ? ['-DRULE_1_ALONE'] : [])];
  // A way without end comes back to a state. The nearest breach is found in breadth, some breach sooner in depth.
  const search = isEndless ? ['-DNP'] : ['-DSAFETY', ...(isNearest && brokenRule !== undefined ? ['-DBFS'] : [])];
  const limits = [`-DMEMLIM=${memoryMb}`, '-DNOFAIR', '-DNOBOUNDCHECK'];
  try {
    await must('spin', ['-a', ...flags, MODEL], folder);
    // Most breaches are found sooner than a compiler's optimiser ends.
    const level = brokenRule !== undefined && !isNearest ? '-O0' : '-O1';
    await must(compiler, [level, '-w', ...search, ...limits, '-o', 'pan', 'pan.c'], folder);
    // -l: looks for a way without end. -E: a process that stops in the middle is rule 4's matter.
    const options = [...(isEndless ? ['-l'] : []), ...(brokenRule === 1 ? ['-E'] : [])];
    const started = performance.now();
    const { output } = await run('./pan', ['-w22', '-m20000', ...options], folder);
    const seconds = (performance.now() - started) / 1000;
    const trail = existsSync(path.join(folder, 'transfer.pml.trail')) ? await readTrail(flags, folder) : undefined;
    const isWhole = /errors: 0/.test(output) && !/Search not completed|reached -DMEMLIM/.test(output);
    const found = trail?.rule ?? (isWhole ? undefined : 'no end');
    return { ...readCounts(output), seconds, found, trail: trail?.steps ?? [], isAsExpected: found === brokenRule };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function readCounts(output) {
  const read = (pattern) => Number(pattern.exec(output)?.[1] ?? Number.NaN);
  return {
    states: read(/^\s*([\d.e+]+) states, stored/m),
    depth: read(/depth reached (\d+)/),
    megabytes: read(/^\s*([\d.]+)\s+total actual memory usage/m),
  };
}

/** The steps to the breach in the names of the code, and the rule: the line that fails names it. */
async function readTrail(flags, folder) {
  const { output } = await run('spin', ['-k', 'transfer.pml.trail', '-p', ...flags, MODEL], folder);
  const steps = [];
  let line = 0;
  for (const [, id, process, number] of output.matchAll(/proc +(\d+) \((\w+):\d+\) \S+:(\d+) \(state \d+\)\s+\[/g)) {
    line = Number(number);
    const label = labelOf(line);
    const step = `${process} ${id}: ${label}`;
    if (process !== 'init' && label !== undefined && steps.at(-1) !== step) steps.push(step);
  }
  const failing = Number(/transfer\.pml:(\d+), Error: assertion violated/.exec(output)?.[1] ?? line);
  const rule = /rule[ _](\d)/i.exec(LINES[failing - 1] ?? '')?.[1];
  return { rule: rule === undefined ? 'no end' : Number(rule), steps };
}

/** The function that the line models, or what the line says of itself; undefined where nobody named it. */
function labelOf(line) {
  const own = /\/\* (.+?) \*\//.exec(LINES[line - 1] ?? '')?.[1];
  if (own !== undefined) return own;
  for (let above = line; above > 0; above -= 1) {
    const text = LINES[above - 1] ?? '';
    const name = /\/\/ (\w+\.\w+)|^inline (\w+)/.exec(text);
    if (name !== null) return name[1] ?? name[2];
    if (/^\s*(od|fi)\b|^\w+:$|^$|^\}|proctype/.test(text) && above !== line) return undefined;
  }
  return undefined;
}

function describe({ name, faults, asks, brokenRule }, { states, depth, megabytes, seconds, found, isAsExpected }) {
  const words = (rule) => (rule === undefined ? 'nothing' : typeof rule === 'number' ? `rule ${rule} broken` : rule);
  const verdict = isAsExpected ? 'as expected' : `WRONG: ${words(brokenRule)} was expected`;
  const counts = [states.toLocaleString('en'), depth, megabytes.toFixed(0), seconds.toFixed(1)];
  return [name, faults, asks, ...counts, words(found), verdict];
}

function row(cells) {
  const widths = [24, 6, 4, 10, 5, 4, 5, 13, 0];
  return cells
    .map((cell, index) =>
      index === 0 || index > 6 ? `${cell}`.padEnd(widths[index]) : `${cell}`.padStart(widths[index]),
    )
    .join('  ')
    .trimEnd();
}

async function must(program, options, folder) {
  const { code, output } = await run(program, options, folder);
  if (code !== 0) throw new Error(`${program} failed:\n${output}`);
}

function run(program, options, cwd) {
  return new Promise((resolve) => {
    const limits = { cwd, timeout: TIME_LIMIT_MS, maxBuffer: 256 * 1024 * 1024 };
    execFile(program, options, limits, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : (error.code ?? 1), output: `${stdout}${stderr}` });
    });
  });
}
