import type { JudgedStore } from './judged-store.js';
import { runApiTests } from './run-api-tests.js';
import type { Tally } from './tally.js';

/** What `pnpm test` leaves out, since it needs 5 GiB of disk. */
const SIZES = '<rootDir>/test/*.store-spec.ts';
/** `pnpm test` runs it on local-s3. */
const TRANSFERS = '<rootDir>/src/storage/file-transfer.service.spec.ts';
/** Those of Complete; all of them in `pnpm test`. */
const FAULTS = '<rootDir>/test/faults/store-faults.e2e-spec.ts';

/**
 * Runs the module's own transfer tests on a store.
 * @param print gets Jest's whole output when one failed
 */
export function checkTransfers(store: JudgedStore, print: (line: string) => void, signal: AbortSignal): Promise<Tally> {
  const specs = store.name === 'local-s3' ? [SIZES] : [TRANSFERS, FAULTS, SIZES];
  const tests = {
    title: `${store.name} transfer tests`,
    jestOptions: ['--testMatch', ...specs],
    env: testVariables(store),
  };
  return runApiTests(tests, print, signal);
}

/** Names the store to apps/api/test/support/test-store.ts; for local-s3 that one starts its own. */
function testVariables({ name, contract, maxParts }: JudgedStore): Record<string, string> {
  if (name === 'local-s3') return {};
  return {
    TEST_S3_ENDPOINT: contract.endpoint,
    TEST_S3_REGION: contract.region,
    TEST_S3_ACCESS_KEY_ID: contract.accessKeyId,
    TEST_S3_SECRET_ACCESS_KEY: contract.secretAccessKey,
    TEST_S3_MAX_PARTS: String(maxParts),
  };
}
