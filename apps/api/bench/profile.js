// One transfer under the CPU profiler: which functions the time goes to.
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { product, proveArrival } from './contenders.js';
import { digestOf } from './source-bytes.js';

const SHOWN = 25;

export async function profileTransfer(stage, { bytes }) {
  const folder = join(stage.folder, 'profile');
  await mkdir(folder);
  const { endpoint } = stage.sink.ready;
  const nodeOptions = ['--cpu-prof', `--cpu-prof-dir=${folder}`];
  const url = stage.sourceUrl({ bytes });
  const run = await product(stage, { url, endpoint, bytes, sha256: digestOf(bytes), nodeOptions });
  await proveArrival(stage.sink, run, bytes);
  const [file] = await readdir(folder);
  const rows = selfTimes(JSON.parse(await readFile(join(folder, file), 'utf8')));
  console.log(`createAndTransfer of ${bytes / 1024 ** 2} MiB, start of the process included: self time by function`);
  console.table(rows.slice(0, SHOWN));
}

function selfTimes({ nodes, samples, timeDeltas }) {
  const functions = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const microseconds = new Map();
  let total = 0;
  for (const [index, id] of samples.entries()) {
    const name = functions.get(id);
    if (name === '(idle)') continue;
    microseconds.set(name, (microseconds.get(name) ?? 0) + timeDeltas[index]);
    total += timeDeltas[index];
  }
  return [...microseconds]
    .sort(([, a], [, b]) => b - a)
    .map(([name, time]) => ({
      function: name,
      ms: Math.round(time / 1_000),
      '%': Math.round((time / total) * 1_000) / 10,
    }));
}

/** Where the function stands: files of packages from the package's name on, ours from `dist` on. */
function nameOf({ functionName, url, lineNumber }) {
  const place = url.replace(/^file:.*?\/(node_modules\/(?!.*\/node_modules\/)|apps\/api\/)/, '');
  return url === '' ? functionName : `${functionName || '(anonymous)'} ${place}:${lineNumber + 1}`;
}
