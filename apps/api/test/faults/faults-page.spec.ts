import { readFile, writeFile } from 'node:fs/promises';
import { expect, it } from '@jest/globals';
import { formatFaultsPage } from './faults-page.js';

const PAGE = new URL('../../../../docs/faults.md', import.meta.url);

it('docs/faults.md says what the tables say; FAULTS_PAGE=write writes it anew', async () => {
  if (process.env.FAULTS_PAGE === 'write') await writeFile(PAGE, formatFaultsPage());
  expect(await readFile(PAGE, 'utf8')).toBe(formatFaultsPage());
});

it('no row stands in it twice', () => {
  const rows = formatFaultsPage()
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split(' | ').slice(0, 3).join(' | '));
  expect(rows.filter((row, index) => rows.indexOf(row) !== index)).toEqual([]);
});
