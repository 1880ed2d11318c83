import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Tally } from './tally.js';

const API_DIR = fileURLToPath(new URL('../../../../apps/api/', import.meta.url));

export interface ApiTests {
  /** As a FAIL line names them. */
  readonly title: string;
  readonly jestOptions: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** What is used here of Jest's --json report. */
interface JestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  /** Suites that did not even load. */
  readonly numRuntimeErrorTestSuites: number;
}

/**
 * Runs tests of apps/api in a Jest of their own, one file after the other.
 * @param print gets Jest's whole output when one failed
 */
export async function runApiTests(tests: ApiTests, print: (line: string) => void, signal: AbortSignal): Promise<Tally> {
  const folder = await mkdtemp(path.join(tmpdir(), 'api-tests-'));
  try {
    const reportFile = path.join(folder, 'report.json');
    const { code, output } = await runJest(tests, reportFile, signal);
    const text = await readFile(reportFile, 'utf8').catch(() => undefined); // Jest did not come so far.
    const report = text === undefined ? undefined : (JSON.parse(text) as JestReport);
    const failed = (report?.numFailedTests ?? 0) + (report?.numRuntimeErrorTestSuites ?? 0);
    const tally = { passed: report?.numPassedTests ?? 0, failed: code === 0 ? failed : Math.max(failed, 1) };
    if (tally.failed > 0) print(`FAIL ${tests.title}:\n${output}`);
    return tally;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function runJest({ jestOptions, env }: ApiTests, reportFile: string, signal: AbortSignal) {
  const jestPackage = createRequire(path.join(API_DIR, 'package.json')).resolve('jest/package.json');
  const jest = path.join(path.dirname(jestPackage), 'bin', 'jest.js');
  const nodeOptions = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'];
  const reporting = ['--runInBand', '--json', '--outputFile', reportFile];
  const child = spawn(process.execPath, [...nodeOptions, jest, ...reporting, ...jestOptions], {
    cwd: API_DIR,
    env: { ...process.env, ...env },
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
