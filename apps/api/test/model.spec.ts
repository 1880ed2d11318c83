// docs/model/transfer.pml says of each step which method it models. Where one is gone or has another name, the model no
// longer shows anything of the code: change both together. `pnpm model` has spin walk it.
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from '@jest/globals';
import { parseSourceFile } from './architecture/source-file.js';

const repository = fileURLToPath(new URL('../../..', import.meta.url));
const storage = join(repository, 'apps/api/src/storage');

const model = readFileSync(join(repository, 'docs/model/transfer.pml'), 'utf8');
const processes = model.split(/^(?=proctype )/m).slice(1);
const namesIn = (text: string) => [...text.matchAll(/\/\/ (\w+\.\w+)$/gm)].map(([, name]) => name);

const methods = globSync('**/*.ts', { cwd: storage })
  .filter((path) => !path.endsWith('.spec.ts'))
  .flatMap((path) => parseSourceFile(path, readFileSync(join(storage, path), 'utf8')).methods);

it.each(['Worker', 'PurgeWorker', 'Removal', 'User'])('names the code that its process %s models', (process) => {
  expect(namesIn(processes.find((text) => text.startsWith(`proctype ${process}(`)) ?? '').length).toBeGreaterThan(3);
});

it.each([...new Set(namesIn(model))].sort())('models %s, which is there', (name) => {
  expect(methods).toContain(name);
});

it('would see a method that is gone', () => {
  const { methods } = parseSourceFile('a.ts', 'class A { private async renew(): Promise<void> {} }');
  expect(methods).toEqual(['A.renew']);
});
