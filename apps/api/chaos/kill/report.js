// What a kill run prints.
import { PHASE_NAMES } from './rounds.js';

const MiB = 1024 ** 2;
/** The last ones about a row, beside a problem of it. */
const LOG_LINES = 5;

export function describeRound({ round, hits, recoveries }, seconds) {
  const aim = round.phase === undefined ? `at random` : `in ${round.phase}`;
  const phases = hits.map(({ phase }) => phase).join(', ') || 'nothing';
  const slowest = Math.max(0, ...recoveries.map(({ tookMs }) => tookMs));
  return `${seconds.toFixed(0).padStart(4)} s  round ${round.number}: ${round.victim} killed ${aim}, hit ${phases}; recovered in ${(slowest / 1_000).toFixed(1)} s`;
}

export function describeHits(hits) {
  const count = (holds) => hits.filter(holds).length;
  const phases = PHASE_NAMES.map((name) => `${name} ${count(({ phase }) => phase === name)}`);
  const victims = [...new Set(hits.map(({ victim }) => victim))].sort();
  const perVictim = victims.map((name) => `${name} ${count(({ victim }) => victim === name)}`);
  return [`kills per phase: ${phases.join(', ')}`, `rows hit by kills of: ${perVictim.join(', ')}`].join('\n');
}

export function describeAudit({ results, violations }) {
  const lines = results.map(({ rule, checked, found }) => `  ${rule}: ${checked} checked, ${found} violations`);
  return ['audit:', ...lines, `  ${violations} violations in all`].join('\n');
}

export function describeTrouble({ invariant, seen, row }, { log }) {
  const lines = row === undefined ? [] : log.filter((line) => line.includes(row.path) || line.includes(row.id));
  return [
    `BROKEN ${invariant}${seen ? `: ${seen}` : ''}`,
    ...(row === undefined ? [] : [`  row: ${JSON.stringify(row)}`]),
    ...lines.slice(-LOG_LINES).map((line) => `  log: ${line}`),
  ].join('\n');
}

export function describeRun({ seed, outcomes, files, seconds, checks }) {
  const bytes = files.reduce((sum, { file }) => sum + file.sizeBytes, 0);
  const again = files.reduce((sum, { file }) => sum + Math.max(0, file.sentBytes - file.sizeBytes), 0);
  const slowest = Math.max(0, ...outcomes.flatMap(({ recoveries }) => recoveries.map(({ tookMs }) => tookMs)));
  return [
    `seed ${seed}: ${outcomes.length} rounds`,
    `${files.length} transfers of ${Math.round(bytes / MiB)} MiB`,
    `${(again / MiB).toFixed(1)} MiB downloaded again`,
    `slowest recovery ${(slowest / 1_000).toFixed(1)} s`,
    `${seconds.toFixed(0)} s`,
    `${checks.problems.length} problems`,
  ].join(', ');
}
