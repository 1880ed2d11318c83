// From runs to figures: medians, rates, ratios and targets.
const MB = 1e6;
const MiB = 1024 ** 2;
const GiB = 1024 ** 3;

/**
 * Runs each contender once a round, in turn, so that what else the machine does meets all of them.
 *
 * @param contenders functions that give the figures of one run, by name
 * @returns medians by name and figure; `failures` of contenders that gave none
 */
export async function measureRounds(rounds, contenders) {
  const runs = new Map(Object.keys(contenders).map((name) => [name, []]));
  const failures = [];
  for (let round = 1; round <= rounds; round += 1) {
    for (const name of [...runs.keys()]) {
      try {
        runs.get(name).push(await contenders[name]());
      } catch (error) {
        runs.delete(name);
        failures.push({ name, error });
      }
    }
  }
  const medians = Object.fromEntries([...runs].map(([name, results]) => [name, mediansOf(results)]));
  return { medians, failures };
}

/** What a run says of itself, in the units of the tables. */
export function ratesOf({ seconds, cpuSeconds }, bytes) {
  return { 'MB/s': bytes / MB / seconds, 'CPU s/GiB': cpuSeconds / (bytes / GiB) };
}

export function toMiB(bytes) {
  return bytes / MiB;
}

/** Undefined where one of the two gave no figure. */
export function ratio(figures, others, name) {
  return figures === undefined || others === undefined ? undefined : figures[name] / others[name];
}

export function atLeast(goal, what, value) {
  return target(`>= ${goal}`, what, value, value >= goal);
}

export function atMost(goal, what, value) {
  return target(`<= ${goal}`, what, value, value <= goal);
}

function target(goal, what, value, isMet) {
  return { what, target: goal, measured: Number.isFinite(value) ? toDigits(value, 4) : null, isMet };
}

/** For people and for the file: three digits are more than a run can be repeated to. */
export function rounded(figures) {
  return Object.fromEntries(
    Object.entries(figures).map(([name, values]) => [
      name,
      Object.fromEntries(
        Object.entries(values).map(([key, value]) => [key, typeof value === 'number' ? toDigits(value, 3) : value]),
      ),
    ]),
  );
}

/** Numbers become their median; the rest, such as the integrity mode, is the same in each run. */
function mediansOf(runs) {
  const entries = Object.entries(runs[0]).map(([key, value]) => [
    key,
    typeof value === 'number' ? median(runs.map((run) => run[key])) : value,
  ]);
  return Object.fromEntries(entries);
}

function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  return (sorted[Math.floor((sorted.length - 1) / 2)] + sorted[Math.floor(sorted.length / 2)]) / 2;
}

function toDigits(number, digits) {
  return number >= 10 ** digits ? Math.round(number) : Number(number.toPrecision(digits));
}
