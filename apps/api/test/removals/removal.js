import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const FOLDER = new URL('.', import.meta.url);
const SUFFIX = '.patch';

/**
 * The removals by name, in alphabetical order. The head of a patch says in words what it takes out, and which test has
 * to notice, by its whole name:
 *
 *     Takes out: the limit on redirects.
 *     Noticed in: src/storage/source/source-reader.spec.ts
 *     Noticed by: SourceReader follows redirects, a limited number of them
 *
 * @throws Error naming the patch whose head lacks one of them, or the name in `only` that is none
 */
export async function readRemovals(only) {
  const files = (await readdir(FOLDER)).filter((file) => file.endsWith(SUFFIX)).sort();
  const names = files.map((file) => file.slice(0, -SUFFIX.length));
  const unknown = only.filter((name) => !names.includes(name));
  if (unknown.length > 0) throw new Error(`no such removal: ${unknown.join(', ')}; there are ${names.join(', ')}`);
  return await Promise.all(names.filter((name) => only.length === 0 || only.includes(name)).map(readRemoval));
}

async function readRemoval(name) {
  const url = new URL(`${name}${SUFFIX}`, FOLDER);
  const text = await readFile(url, 'utf8');
  const [head = ''] = text.split(/^(?=diff )/m, 1);
  const read = (field) => {
    const value = new RegExp(`^${field}: (.+)$`, 'm').exec(head)?.[1];
    if (value === undefined) throw new Error(`the head of ${name}${SUFFIX} has no line "${field}: ..."`);
    return value;
  };
  return {
    name,
    path: fileURLToPath(url),
    takesOut: read('Takes out'),
    spec: read('Noticed in'),
    test: read('Noticed by'),
    changes: [...text.matchAll(/^\+\+\+ b\/(.+)$/gm)].map(([, file]) => file),
  };
}
