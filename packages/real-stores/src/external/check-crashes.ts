import type { RealStoreName } from './judged-store.js';
import { runApiTests } from './run-api-tests.js';
import type { Tally } from './tally.js';

/** `pnpm test` plays all rows on local-s3. */
const CRASHES = ['--config', 'jest.crash.config.js'];

/**
 * Plays the rows of apps/api/test/crash that the store has a part in, on a server of their own: they kill it.
 * @param print gets Jest's whole output when one failed
 */
export function checkCrashes(store: RealStoreName, print: (line: string) => void, signal: AbortSignal): Promise<Tally> {
  const tests = { title: `${store} crash tests`, jestOptions: CRASHES, env: { CRASH_STORE: store } };
  return runApiTests(tests, print, signal);
}
