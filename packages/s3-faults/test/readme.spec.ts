import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { FAULT_NAMES, FAULTS, type Fault } from '../src/index.js';

it('has every fault in the table of the README, as it is', async () => {
  const readme = await readFile(join(import.meta.dirname, '..', 'README.md'), 'utf8');
  const rows = FAULT_NAMES.map((name) => {
    const { operations, parameters, title }: Fault = FAULTS[name];
    const defaults = Object.entries(parameters).map(([parameter, value]) => `${parameter} ${value}`);
    return `| \`${name}\` | ${operations.join(', ') || 'any'} | ${defaults.join(', ')} | ${title} |`.replaceAll(
      / +/g,
      ' ',
    );
  });
  const table = readme
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.replaceAll(/ +/g, ' '));
  expect(table).toEqual(rows);
});
