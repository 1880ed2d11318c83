/** What must hold of every row and every object, as far as it can be seen in database and bucket. */
export const INVARIANTS = {
  done: 'a DONE row has an object of its size, with its token, readable at both ends',
  failed: 'a FAILED row leaves no parts and no object of its own, or a purge entry tells of them',
  owner: 'a row has one lease at most, and one try that runs',
  waiting: 'no row waits without owner, due time or job for longer than a lease and 60 s',
  path: 'a path belongs to one row',
  orphan: 'no object of a transfer and no upload is in the bucket without a row or a purge entry',
  workspace: 'recordings and events name files of their own workspace',
  secret: 'no row holds a key, a signature, a token or a password',
  deleted: 'what was deleted is gone, and what waits for its removal is worked on',
} as const;

export type Invariant = keyof typeof INVARIANTS;

export interface Violation {
  rule: Invariant;
  fileId?: string;
  key?: string;
  what: string;
}

export interface InvariantResult {
  rule: Invariant;
  /** What holds, in words. */
  says: string;
  /** Rows, objects or records that were looked at. */
  checked: number;
  found: number;
  /** The first of them: as many as fit into memory whatever is wrong. */
  violations: Violation[];
}

const VIOLATIONS_KEPT = 1_000;

/** Counts what was looked at and what was wrong. */
export class InvariantTally {
  private readonly counts = new Map<Invariant, { checked: number; found: number; violations: Violation[] }>();
  /** Objects without a token of a transfer, and without a row: somebody else's. */
  foreignObjects = 0;

  check(rule: Invariant, count = 1): void {
    this.of(rule).checked += count;
  }

  breach(violation: Violation): void {
    const counted = this.of(violation.rule);
    counted.found += 1;
    if (counted.violations.length < VIOLATIONS_KEPT) counted.violations.push(violation);
  }

  get results(): InvariantResult[] {
    return (Object.keys(INVARIANTS) as Invariant[]).map((rule) => ({
      rule,
      says: INVARIANTS[rule],
      ...this.of(rule),
    }));
  }

  private of(rule: Invariant) {
    const counted = this.counts.get(rule) ?? { checked: 0, found: 0, violations: [] };
    this.counts.set(rule, counted);
    return counted;
  }
}
