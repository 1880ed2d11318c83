import { readFile } from 'node:fs/promises';
import {
  type CaseResult,
  type ExpectedShortfalls,
  judgeResults,
  parseExpectedShortfalls,
  runContract,
} from '@s3-transfer/s3-contract';
import type { JudgedStore } from './judged-store.js';
import type { Tally } from './tally.js';

const EXPECTED_DIR = new URL('../../../s3-contract/expected/', import.meta.url);

export interface ContractReport extends Tally {
  readonly results: readonly CaseResult[];
}

/**
 * Runs the contract on a store. A known shortfall passes; one that nobody knew of fails, and so does one that is gone.
 * @param print gets a line for each of those, with what the server did
 */
export async function checkContract(store: JudgedStore, print: (line: string) => void): Promise<ContractReport> {
  const known = await readKnown(store);
  const results = await runContract(store.contract);
  const { unexpected, surprising } = judgeResults(results, known);
  for (const { id, title, did = '' } of unexpected) print(`FAIL ${store.name} ${id}: ${title}; it did: ${did}`);
  for (const { id } of surprising) {
    print(`FAIL ${store.name} ${id}: is named in ${store.expectedFile}, but the server does it: take the line out`);
  }
  const stale = [...known.keys()].filter((id) => !results.some((result) => result.id === id));
  for (const id of stale) print(`FAIL ${store.name} ${id}: is named in ${store.expectedFile}, but is no case`);
  const run = results.filter(({ outcome }) => outcome !== 'skipped').length;
  const misjudged = unexpected.length + surprising.length;
  return { results, passed: run - misjudged, failed: misjudged + stale.length };
}

async function readKnown({ title, expectedFile }: JudgedStore): Promise<ExpectedShortfalls> {
  if (expectedFile === undefined) return new Map();
  const text = await readFile(new URL(expectedFile, EXPECTED_DIR), 'utf8').catch((cause: unknown) => {
    throw new Error(`Nobody has judged ${title} yet: packages/s3-contract/expected/${expectedFile} is missing.`, {
      cause,
    });
  });
  return parseExpectedShortfalls(text);
}
