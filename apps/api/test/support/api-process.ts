import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The built app: `pnpm build` makes it, and `pnpm test` builds first. */
const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

export interface ApiProcess {
  /** All that it has printed so far. */
  readonly output: { stdout: string; stderr: string };
  /** Resolves to the URL that it says it listens on; rejects when it ends before. */
  listening(): Promise<string>;
  signal(name: NodeJS.Signals): void;
  /** Its exit code, or the signal that ended it. */
  ended(): Promise<number | NodeJS.Signals>;
}

/**
 * Starts the built app in a process of its own, whose working directory holds nothing but a `.env` of `dotEnv`, and
 * whose environment holds `env` alone.
 */
export async function startApiProcess({
  dotEnv = {},
  env = {},
  nodeOptions = [],
}: {
  dotEnv?: Record<string, string>;
  env?: Record<string, string>;
  nodeOptions?: string[];
}): Promise<ApiProcess> {
  const cwd = await mkdtemp(join(tmpdir(), 'api-process-'));
  const lines = Object.entries(dotEnv).map(([key, value]) => `${key}=${value}`);
  await writeFile(join(cwd, '.env'), lines.join('\n'));
  const child: ChildProcess = spawn(process.execPath, [...nodeOptions, MAIN], { cwd, env, stdio: 'pipe' });
  const output = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output.stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    output.stderr += text;
  });
  const ended = new Promise<number | NodeJS.Signals>((resolve) => {
    child.once('close', (code, signal) => {
      rm(cwd, { recursive: true, force: true }).then(() => resolve(code ?? signal ?? 'SIGKILL'), resolve);
    });
  });
  return {
    output,
    listening: () =>
      new Promise((resolve, reject) => {
        const look = () => {
          const url = /listening on (http:\/\/[\w.:]+)/.exec(output.stdout)?.[1];
          if (url !== undefined) resolve(url);
        };
        child.stdout?.on('data', look);
        look();
        ended.then((code) => reject(new Error(`it ended with ${code}: ${output.stderr}${output.stdout}`)), reject);
      }),
    signal: (name) => child.kill(name),
    ended: () => ended,
  };
}
