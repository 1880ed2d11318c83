// What a run prints.
const MiB = 1024 ** 2;
/** The last ones about a transfer, beside a problem of it. */
const LOG_LINES = 3;

export function describePlan(plan, { seed }) {
  return plan.map((transfer) => JSON.stringify({ seed, ...transfer })).join('\n');
}

/** Kinds that the plan counts on and that never came about: where one side alone misbehaves, nothing can come before it. */
export function missingKinds(plan, outcomes) {
  const { behaviours, faults } = countInjected(outcomes);
  const missing = new Set();
  for (const transfer of plan) {
    if (transfer.side === 'source' && !behaviours.has(transfer.behaviour)) missing.add(transfer.behaviour);
    for (const { fault } of transfer.side === 'store' ? transfer.faults : [])
      if (!faults.has(fault)) missing.add(fault);
  }
  return [...missing];
}

export function countInjected(outcomes) {
  const behaviours = new Map();
  const faults = new Map();
  for (const { transfer, applied, isSourceAsked } of outcomes) {
    if (isSourceAsked) add(behaviours, transfer.behaviour, 1);
    for (const { fault, times } of applied) add(faults, fault, times);
  }
  return { behaviours, faults };
}

function add(counts, name, times) {
  counts.set(name, (counts.get(name) ?? 0) + times);
}

export function describeInjected(outcomes, kinds) {
  const { behaviours, faults } = countInjected(outcomes);
  return [
    `injected: ${behaviours.size} of ${kinds.behaviours} behaviours of sources (transfers that met each)`,
    describeCounts(behaviours),
    `injected: ${faults.size} of ${kinds.faults} faults of the store (requests that met each)`,
    describeCounts(faults),
  ].join('\n');
}

function describeCounts(counts) {
  const words = [...counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, count]) => `${name} ${count}`);
  return wrap(words);
}

function wrap(words, width = 118) {
  const lines = [''];
  for (const word of words) {
    const line = lines.at(-1);
    if (line.length + word.length + 2 > width) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line}, ${word}`;
  }
  return lines.map((line) => `  ${line}`).join('\n');
}

/** Each lie by what it was about: how often it was told, and what came of the transfers that met it. */
export function describeLies(outcomes) {
  const lies = new Map();
  for (const { end, lies: told } of outcomes) {
    for (const lie of told) {
      const ends = lies.get(lie) ?? new Map();
      lies.set(lie, ends);
      add(ends, end, 1);
    }
  }
  const lines = [...lies].sort().map(([lie, ends]) => {
    const done = ends.get('DONE') ?? 0;
    const total = [...ends.values()].reduce((sum, count) => sum + count, 0);
    const refused = [...ends].filter(([end]) => end !== 'DONE').map(([end, count]) => `${end} ${count}`);
    return `  about ${lie}: told ${total}, stored whole all the same ${done}, refused ${total - done}${refused.length > 0 ? ` (${refused.join(', ')})` : ''}`;
  });
  return ['lies caught:', ...lines].join('\n');
}

export function describeChecks({ counts }) {
  const lines = [...counts].map(([invariant, count]) => `  ${String(count).padStart(6)}  ${invariant}`);
  return ['invariants checked:', ...lines].join('\n');
}

/** @param log lines that the engine printed */
export function describeProblem({ number, invariant, seen, row }, { plan, seed, log }) {
  const transfer = plan.find((candidate) => candidate.number === number);
  const lines = row === undefined ? [] : log.filter((line) => line.includes(row.path) || line.includes(row.id));
  return [
    `BROKEN ${invariant}${seen ? `: ${seen}` : ''}`,
    ...(row === undefined ? [] : [`  row: ${JSON.stringify(row)}`]),
    ...lines.slice(-LOG_LINES).map((line) => `  log: ${line}`),
    ...(transfer === undefined
      ? []
      : [`  transfer: ${JSON.stringify(transfer)}`, `  again: pnpm chaos --seed ${seed} --only ${number}`]),
  ].join('\n');
}

export function describeEnds(outcomes, { seed, seconds, aboveIdleBytes }) {
  const done = outcomes.filter(({ end }) => end === 'DONE').length;
  const bytes = outcomes.reduce((sum, { transfer }) => sum + transfer.parameters.sizeBytes, 0);
  return [
    `seed ${seed}: ${outcomes.length} transfers`,
    `${done} DONE`,
    `${outcomes.length - done} FAILED`,
    `${Math.round(bytes / MiB)} MiB of files`,
    `${Math.round(aboveIdleBytes / MiB)} MiB above idle at most`,
    `${seconds.toFixed(0)} s`,
  ].join(', ');
}
