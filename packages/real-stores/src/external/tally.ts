/** Passed and failed checks of any kind. */
export interface Tally {
  readonly passed: number;
  readonly failed: number;
}

export function addTallies(tallies: readonly Tally[]): Tally {
  const sum = (pick: (tally: Tally) => number) => tallies.reduce((total, tally) => total + pick(tally), 0);
  return { passed: sum(({ passed }) => passed), failed: sum(({ failed }) => failed) };
}

/** In the words of Jest's summary, which `.ci/run` reads. */
export function summarise({ passed, failed }: Tally): string {
  const parts = [...(failed > 0 ? [`${failed} failed`] : []), `${passed} passed`, `${passed + failed} total`];
  return `Tests: ${parts.join(', ')}`;
}

/** What such a summary says; of any other line nothing. */
export function readTally(line: string): Tally {
  const read = (what: string) => Number(new RegExp(`^Tests: .*?(\\d+) ${what}`).exec(line)?.[1] ?? 0);
  return { passed: read('passed'), failed: read('failed') };
}
