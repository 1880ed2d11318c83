// docs/errors.md, the catalogue, the filter and the code say one thing. A code is added to all of them, or a test fails.
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { createProgram } from '../src/cli/program.js';
import { describeProblem } from '../src/http/storage-error.filter.js';
import { DatabaseUnavailableError } from '../src/prisma/database-error.js';
import { ERROR_CATALOGUE, type ErrorDescription } from '../src/storage/error-catalogue.js';
import { StorageError, type StorageErrorCode } from '../src/storage/storage.errors.js';
import { parseSourceFile } from './architecture/source-file.js';

const repository = fileURLToPath(new URL('../../..', import.meta.url));
const read = (path: string) => readFileSync(join(repository, path), 'utf8');
const entries = Object.entries(ERROR_CATALOGUE) as [StorageErrorCode, ErrorDescription][];

/** What makes errors out of codes: the classes, and the functions that choose one of several codes. */
const MAKERS = ['StorageError', 'SourceFault', 'failed', 'unsupported', 'toUnsupported'];

const problemOf = (error: Error) => describeProblem(error, { id: 'request-1', url: '/files' }).problem;

function findThrownCodes(): Set<string> {
  const folder = 'apps/api/src';
  const paths = globSync('**/*.ts', { cwd: join(repository, folder) }).filter(
    (path) => !path.endsWith('.spec.ts') && !path.startsWith('generated/'),
  );
  const given = paths.flatMap((path) => parseSourceFile(path, read(join(folder, path))).givenTexts);
  return new Set(given.filter(({ callee }) => MAKERS.includes(callee)).map(({ text }) => text));
}

/** The cells of every line of the page's tables that is about a code. */
function readRows(page: string): string[][] {
  const lines = page.split('\n').filter((line) => line.startsWith('| `'));
  return lines.map((line) => line.split('|').slice(1, -1)).map((cells) => cells.map((cell) => cell.trim()));
}

describe('docs/errors.md', () => {
  it('has every code once, in the order and the words of the catalogue, with the status of the filter', () => {
    const rows = entries.map(([code, { cause, isRetryable, unless, advice }]) => {
      const retryable = `${isRetryable ? 'yes' : 'no'}${unless === undefined ? '' : `, unless ${unless}`}`;
      return [`\`${code}\``, String(problemOf(new StorageError(code, '')).status), cause, retryable, advice];
    });
    expect(readRows(read('docs/errors.md'))).toEqual(rows);
  });
});

describe('the catalogue', () => {
  it('has no code that nothing throws', () => {
    const thrown = findThrownCodes().add(new DatabaseUnavailableError().code);
    expect(entries.map(([code]) => code).filter((code) => !thrown.has(code))).toEqual([]);
  });

  it('advises variables and commands that there are', () => {
    const words = entries.map(([, { advice }]) => advice).join('\n');
    const variables = [...words.matchAll(/\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b/g)].map(([name]) => name);
    expect(variables.length).toBeGreaterThan(10);
    for (const name of variables) expect(read('.env.example')).toMatch(new RegExp(`^${name}=`, 'm'));
    const program = createProgram({
      interruption: new AbortController().signal,
      opened: new AsyncDisposableStack(),
    });
    const commands = [...words.matchAll(/pnpm storage (\w+)/g)].map(([, name]) => name);
    expect(program.commands.map((command) => command.name())).toEqual(expect.arrayContaining(commands));
  });

  it('speaks in plain sentences that fit into a line of a table', () => {
    for (const [code, { cause, advice, unless = 'nothing does' }] of entries) {
      for (const text of [cause, advice, unless]) {
        expect([code, text]).toEqual([code, expect.stringMatching(/^[^\n|`]{5,200}[^.\n|`]$/)]);
      }
    }
  });

  it('says of the database what its own error is answered with', () => {
    const { status, code, retryable } = problemOf(new DatabaseUnavailableError());
    expect(problemOf(new StorageError('DATABASE_UNAVAILABLE', ''))).toMatchObject({ status, code, retryable });
  });
});
