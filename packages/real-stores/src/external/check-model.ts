import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { installPackages } from '../debian-packages.js';
import { readTally, type Tally } from './tally.js';

const CHECK = fileURLToPath(new URL('../../../../docs/model/check.js', import.meta.url));
const PACKAGES = ['spin', 'gcc', 'libc6-dev'];

/** Has spin walk the model of lease, phases and store: docs/model. */
export async function checkModel(print: (line: string) => void, signal: AbortSignal): Promise<Tally> {
  await installPackages(PACKAGES);
  const child = spawn(process.execPath, [CHECK], { stdio: ['ignore', 'pipe', 'inherit'] });
  const stop = (): void => void child.kill('SIGTERM');
  signal.addEventListener('abort', stop, { once: true });
  const chunks: string[] = [];
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => chunks.push(chunk));
  const [code] = (await once(child, 'close')) as [number | null];
  signal.removeEventListener('abort', stop);
  const lines = chunks.join('').trimEnd().split('\n');
  const tally = readTally(lines.pop() ?? '');
  for (const line of lines) print(line);
  return code === 0 ? tally : { ...tally, failed: Math.max(tally.failed, 1) };
}
