import { ALL_CASES } from './cases/all-cases.js';
import type { CaseResult, ContractCase, ContractStore } from './contract.js';
import { ContractRun } from './contract-run.js';

export interface RunOptions {
  /** Ids or areas; default all cases. */
  readonly only?: readonly string[];
  /** Called after each case, in their order. */
  readonly onResult?: (result: CaseResult) => void;
}

/**
 * Runs the contract on a store, one case after the other, and removes what it wrote.
 * @throws Error when `only` names nothing that exists; the store's error when it cannot be cleaned up
 */
export async function runContract(store: ContractStore, options: RunOptions = {}): Promise<CaseResult[]> {
  const cases = casesNamed(options.only);
  const run = new ContractRun(store);
  const results: CaseResult[] = [];
  try {
    for (const contractCase of cases) {
      const result = await run.run(contractCase);
      results.push(result);
      options.onResult?.(result);
    }
  } finally {
    await run.close();
  }
  return results;
}

/** @throws Error for a name that is neither an id nor an area */
export function casesNamed(only: readonly string[] = []): readonly ContractCase[] {
  if (only.length === 0) return ALL_CASES;
  const unknown = only.find((name) => !ALL_CASES.some(({ id, area }) => id === name || area === name));
  if (unknown !== undefined) throw new Error(`There is no case or area "${unknown}".`);
  return ALL_CASES.filter(({ id, area }) => only.includes(id) || only.includes(area));
}
