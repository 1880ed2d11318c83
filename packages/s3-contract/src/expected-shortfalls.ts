import type { CaseResult } from './contract.js';

/** Reason by case id. */
export type ExpectedShortfalls = ReadonlyMap<string, string>;

export interface Verdict {
  /** Shortfalls that no file names. */
  readonly unexpected: readonly CaseResult[];
  /** Shortfalls that were known. */
  readonly expected: readonly CaseResult[];
  /** Named in the file, but the server does it now: take the line out. */
  readonly surprising: readonly CaseResult[];
  readonly isGood: boolean;
}

/**
 * Reads `id: reason` lines; empty lines and those that begin with # say nothing.
 * @throws Error for any other line
 */
export function parseExpectedShortfalls(text: string): ExpectedShortfalls {
  const known = new Map<string, string>();
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const match = /^([a-z0-9.-]+): (.+)$/.exec(line.trim());
    if (!match?.[1] || !match[2]) throw new Error(`Line ${index + 1} is not "id: reason".`);
    if (known.has(match[1])) throw new Error(`Line ${index + 1} names ${match[1]} again.`);
    known.set(match[1], match[2]);
  }
  return known;
}

/** A known shortfall is no failure; one that has gone is, since the file then tells an untruth. */
export function judgeResults(results: readonly CaseResult[], known: ExpectedShortfalls = new Map()): Verdict {
  const short = results.filter(({ outcome }) => outcome === 'short');
  const unexpected = short.filter(({ id }) => !known.has(id));
  const surprising = results.filter(({ id, outcome }) => outcome === 'ok' && known.has(id));
  return {
    unexpected,
    expected: short.filter(({ id }) => known.has(id)),
    surprising,
    isGood: unexpected.length === 0 && surprising.length === 0,
  };
}
