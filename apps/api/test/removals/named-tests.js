import { execFile } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join, relative } from 'node:path';

const JEST = createRequire(import.meta.url).resolve('jest/bin/jest');
/** Of these a test says nothing: it did not begin, or the patch broke the code instead of taking something out of it. */
const NO_VERDICT = /for a hook|^(ReferenceError|SyntaxError)/m;

/**
 * Runs tests by their whole names in a copy of the tree, each for `testMs` at most. `limitMs` ends a run that hangs where
 * jest's own limits do not reach.
 *
 * @returns for each test `passed`, `failed`, or why it is neither
 */
export async function runTests(copy, tests, { workers, testMs, limitMs }) {
  const report = join(copy.folder, 'report.json');
  await rm(report, { force: true });
  const output = await runJest(copy, report, tests, { workers, testMs, limitMs });
  const text = await readFile(report, 'utf8').catch(() => undefined);
  if (text === undefined) return tests.map(() => ({ verdict: 'jest ended without a report', output }));
  const suites = JSON.parse(text).testResults;
  return tests.map((test) => judge(test, copy, suites));
}

function runJest(copy, report, tests, { workers, testMs, limitMs }) {
  const pattern = [...new Set(tests.map(({ test }) => `^${quoteForPattern(test)}$`))].join('|');
  const specs = new Set(tests.map(({ spec }) => spec));
  const args = [
    ...['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', JEST],
    ...['--config', 'test/removals/jest.config.js', '--cacheDirectory', join(copy.folder, 'cache')],
    ...[
      '--maxWorkers',
      workers,
      '--testTimeout',
      testMs,
      '--forceExit',
      '--json',
      '--outputFile',
      report,
      '--testNamePattern',
      pattern,
    ],
    ...['--runTestsByPath', ...specs],
  ];
  return new Promise((resolve) => {
    const options = {
      cwd: copy.apiFolder,
      timeout: limitMs,
      killSignal: 'SIGKILL',
      maxBuffer: Number.POSITIVE_INFINITY,
    };
    // Jest ends with 1 when a test failed: the report says which.
    execFile(process.execPath, args, options, (_error, _stdout, stderr) => resolve(stderr));
  });
}

function judge({ spec, test }, copy, suites) {
  const suite = suites.find(({ name }) => relative(copy.apiFolder, name) === spec);
  const result = suite?.assertionResults.find(({ fullName }) => fullName === test);
  if (result === undefined) return { verdict: 'no such test ran', output: suite?.message ?? '' };
  const output = result.failureMessages.join('\n');
  if (result.status === 'failed' && NO_VERDICT.test(output)) return { verdict: 'the test could not judge', output };
  return { verdict: result.status, output };
}

function quoteForPattern(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
