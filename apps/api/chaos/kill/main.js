// pnpm chaos --kill [--seed 1] [--rounds 20] [--plan]
//
// Kills with -9 what the product is made of, again and again: a worker, the API, PostgreSQL, the S3 server. In each round
// transfers of random size run, one of them dies, at an instant of the plan or at random, and is started again. Ends with 0
// only where every row had its end in time, every phase was hit, and database and bucket hold what they must.
import { Checks } from '../invariants.js';
import { settle } from './ending.js';
import { KillStage } from './kill-stage.js';
import { playRound } from './play.js';
import { describeAudit, describeHits, describeRound, describeRun, describeTrouble } from './report.js';
import { drawRounds, PHASE_NAMES } from './rounds.js';

/** @returns the exit code */
export async function killRounds({ seed, rounds: count, isPlanOnly }) {
  const rounds = drawRounds(seed, count);
  if (isPlanOnly) {
    for (const round of rounds) console.log(JSON.stringify({ seed, ...round }));
    return 0;
  }
  console.log(`seed ${seed}, ${count} rounds`);
  const checks = new Checks();
  const begin = performance.now();
  const stage = await KillStage.open();
  try {
    const outcomes = [];
    for (const round of rounds) {
      outcomes.push(await playRound(stage, checks, round));
      console.log(describeRound(outcomes.at(-1), (performance.now() - begin) / 1_000));
    }
    const hits = outcomes.flatMap((outcome) => outcome.hits);
    const missing = PHASE_NAMES.filter((name) => !hits.some(({ phase }) => phase === name));
    checks.check('every phase was hit', missing.length === 0, () => ({ seen: missing.join(', ') }));
    const audit = await settle(stage, checks);
    console.log(describeHits(hits));
    console.log(describeAudit(audit));
    for (const problem of checks.problems) console.log(describeTrouble(problem, stage));
    const seconds = (performance.now() - begin) / 1_000;
    console.log(describeRun({ seed, outcomes, files: [...stage.files.values()], seconds, checks }));
  } catch (error) {
    console.log(stage.log.slice(-20).join('\n'));
    throw error;
  } finally {
    await stage.close();
  }
  return checks.problems.length === 0 ? 0 : 1;
}
