import type { JudgedStore } from './judged-store.js';
import { runApiTests } from './run-api-tests.js';
import type { Tally } from './tally.js';

/** What `pnpm test` leaves out, since local-s3 takes what it is told to take: large files go to it through the API. */
const SIZES = '<rootDir>/test/*.store-spec.ts';
/** `pnpm test` runs it on local-s3. */
const TRANSFERS = '<rootDir>/src/storage/file-transfer.service.spec.ts';
/** Those of Complete; all of them in `pnpm test`. */
const FAULTS = '<rootDir>/test/faults/store-faults.e2e-spec.ts';

/**
 * Runs the module's own transfer tests on a real store.
 * @param print gets Jest's whole output when one failed
 */
export function checkTransfers(store: JudgedStore, print: (line: string) => void, signal: AbortSignal): Promise<Tally> {
  const tests = {
    title: `${store.name} transfer tests`,
    jestOptions: ['--testMatch', TRANSFERS, FAULTS, SIZES],
    env: testVariables(store),
  };
  return runApiTests(tests, print, signal);
}

/** Names the store to apps/api/test/support/test-store.ts. */
function testVariables({ contract, maxParts }: JudgedStore): Record<string, string> {
  return {
    TEST_S3_ENDPOINT: contract.endpoint,
    TEST_S3_REGION: contract.region,
    TEST_S3_ACCESS_KEY_ID: contract.accessKeyId,
    TEST_S3_SECRET_ACCESS_KEY: contract.secretAccessKey,
    TEST_S3_MAX_PARTS: String(maxParts),
  };
}
