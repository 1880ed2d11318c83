// pnpm chaos [--seed 1] [--transfers 200] [--only K] [--plan]
// pnpm chaos --kill [--seed 1] [--rounds 20] [--plan], which stands in kill/main.js
//
// Transfers through createAndTransfer with random sizes, lying sources, a failing store and impatient callers at once,
// on PostgreSQL and an S3 server of its own. Everything is drawn from the seed: the same seed is the same plan, and
// --plan prints it, a transfer a line. What runs beside what follows from the moment alone.
//
// --only K runs the K-th transfer of the plan alone. Ends with 0 only where every invariant held and every kind of
// source and fault that was planned came about; 500 transfers or more have all kinds.
import { parseArgs } from 'node:util';
import { BEHAVIOUR_NAMES } from '@s3-transfer/hostile-source';
import { FAULT_NAMES } from '@s3-transfer/s3-faults';
import { Checks } from './invariants.js';
import { drawPlan } from './plan.js';
import {
  describeChecks,
  describeEnds,
  describeInjected,
  describeLies,
  describePlan,
  describeProblem,
  missingKinds,
} from './report.js';
import { play } from './run.js';
import { Stage } from './stage.js';

const PROGRESS_STEPS = 10;

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    transfers: { type: 'string', default: '200' },
    only: { type: 'string' },
    plan: { type: 'boolean', default: false },
    kill: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '20' },
  },
});
const seed = readCount('seed', values.seed, 0);
if (values.kill) {
  const { killRounds } = await import('./kill/main.js');
  process.exit(await killRounds({ seed, rounds: readCount('rounds', values.rounds, 1), isPlanOnly: values.plan }));
}
const only = values.only === undefined ? undefined : readCount('only', values.only, 1);
const plan = drawPlan(seed, only ?? readCount('transfers', values.transfers, 1)).filter(
  ({ number }) => only === undefined || number === only,
);

if (values.plan) console.log(describePlan(plan, { seed }));
else process.exitCode = await run();

function readCount(name, text, least) {
  if (/^\d{1,9}$/.test(text) && Number(text) >= least) return Number(text);
  console.error(`--${name} must be a whole number, at least ${least}`);
  process.exit(2);
}

async function run() {
  console.log(`seed ${seed}, ${only === undefined ? `${plan.length} transfers` : `transfer ${only} alone`}`);
  const checks = new Checks();
  const stage = await Stage.open();
  try {
    const begin = performance.now();
    const { outcomes, aboveIdleBytes } = await play(stage, checks, plan, countEnds());
    print(stage, checks, outcomes, { aboveIdleBytes, seconds: (performance.now() - begin) / 1_000 });
  } finally {
    await stage.close();
  }
  return checks.problems.length === 0 ? 0 : 1;
}

/** @returns to be called at the end of each transfer */
function countEnds() {
  const step = Math.ceil(plan.length / PROGRESS_STEPS);
  let ended = 0;
  return () => {
    ended += 1;
    if (ended % step === 0 && plan.length > PROGRESS_STEPS) console.log(`${ended} have ended`);
  };
}

function print({ log }, checks, outcomes, figures) {
  const missing = missingKinds(plan, outcomes);
  const invariant = 'at the end: every planned kind of source and fault came about';
  checks.check(invariant, missing.length === 0, () => ({ seen: missing.join(', ') }));
  console.log(describeInjected(outcomes, { behaviours: BEHAVIOUR_NAMES.length, faults: FAULT_NAMES.length }));
  console.log(describeLies(outcomes));
  console.log(describeChecks(checks));
  for (const problem of checks.problems) console.log(describeProblem(problem, { plan, seed, log }));
  console.log(`${describeEnds(outcomes, { seed, ...figures })}, ${checks.problems.length} problems`);
}
