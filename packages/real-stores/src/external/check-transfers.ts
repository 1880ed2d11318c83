import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { JudgedStore } from './judged-store.js';
import type { Tally } from './tally.js';

const API_DIR = fileURLToPath(new URL('../../../../apps/api/', import.meta.url));
/** What `pnpm test` leaves out, since it needs 5 GiB of disk. */
const SIZES = '<rootDir>/test/*.store-spec.ts';
/** `pnpm test` runs it on local-s3. */
const TRANSFERS = '<rootDir>/src/storage/file-transfer.service.spec.ts';

/** What is used here of Jest's --json report. */
interface JestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  /** Suites that did not even load. */
  readonly numRuntimeErrorTestSuites: number;
}

/**
 * Runs the module's own transfer tests on a store.
 * @param print gets Jest's whole output when one failed
 */
export async function checkTransfers(
  store: JudgedStore,
  print: (line: string) => void,
  signal: AbortSignal,
): Promise<Tally> {
  const folder = await mkdtemp(path.join(tmpdir(), 'transfer-tests-'));
  try {
    const reportFile = path.join(folder, 'report.json');
    const { code, output } = await runJest(store, reportFile, signal);
    const text = await readFile(reportFile, 'utf8').catch(() => undefined); // Jest did not come so far.
    const report = text === undefined ? undefined : (JSON.parse(text) as JestReport);
    const failed = (report?.numFailedTests ?? 0) + (report?.numRuntimeErrorTestSuites ?? 0);
    const tally = { passed: report?.numPassedTests ?? 0, failed: code === 0 ? failed : Math.max(failed, 1) };
    if (tally.failed > 0) print(`FAIL ${store.name} transfer tests:\n${output}`);
    return tally;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function runJest(store: JudgedStore, reportFile: string, signal: AbortSignal) {
  const jestPackage = createRequire(path.join(API_DIR, 'package.json')).resolve('jest/package.json');
  const jest = path.join(path.dirname(jestPackage), 'bin', 'jest.js');
  const nodeOptions = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'];
  const specs = store.name === 'local-s3' ? [SIZES] : [TRANSFERS, SIZES];
  const jestOptions = ['--runInBand', '--json', '--outputFile', reportFile, '--testMatch', ...specs];
  const child = spawn(process.execPath, [...nodeOptions, jest, ...jestOptions], {
    cwd: API_DIR,
    env: { ...process.env, ...testVariables(store) },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  // It stops its own PostgreSQL before it ends.
  const stop = (): void => void child.kill('SIGTERM');
  signal.addEventListener('abort', stop, { once: true });
  const chunks: string[] = [];
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => chunks.push(chunk));
  const [code] = (await once(child, 'close')) as [number | null];
  signal.removeEventListener('abort', stop);
  return { code, output: chunks.join('') };
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
