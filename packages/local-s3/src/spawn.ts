import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { LocalS3, LocalS3Options } from './server.js';

/** Both from src (tests) and from dist: a child process runs compiled code. */
const MAIN = fileURLToPath(new URL('../dist/main.js', import.meta.url));
/** The child gives its requests 5 s; after this it is ended by force. */
const CLOSE_TIMEOUT_MS = 8000;

export interface LocalS3Process extends LocalS3 {
  readonly pid: number;
  /** SIGKILL; resolves when the process is gone. What was published before is there at the next start. */
  kill(): Promise<void>;
}

/** What the child sends once: it listens, or it cannot. */
export type StartReport = { readonly endpoint: string; readonly port: number } | { readonly failure: string };

/**
 * Starts an S3 server in a process of its own and resolves when it listens. The process ignores SIGINT, so a Ctrl-C in the terminal
 * leaves it to its parent, and ends by itself when the parent is gone.
 * @throws Error with the child's own reason: port taken, folder not writable or in use
 */
export async function spawnLocalS3(options: LocalS3Options): Promise<LocalS3Process> {
  // The options go over IPC: argv and environment can be read by others. Of the environment only what Node itself needs is handed on.
  const child = fork(MAIN, [], {
    env: { PATH: process.env.PATH, TMPDIR: process.env.TMPDIR, TZ: process.env.TZ },
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const report = await startReport(child, options);
  if ('failure' in report) {
    await end(child, 'SIGKILL');
    throw new Error(report.failure);
  }
  return {
    endpoint: report.endpoint,
    port: report.port,
    pid: child.pid ?? 0,
    kill: () => end(child, 'SIGKILL'),
    close: async () => {
      const timer = setTimeout(() => child.kill('SIGKILL'), CLOSE_TIMEOUT_MS);
      await end(child, 'SIGTERM');
      clearTimeout(timer);
    },
  };
}

function startReport(child: ChildProcess, options: LocalS3Options): Promise<StartReport> {
  return new Promise((resolve) => {
    const fail = (reason: string): void => resolve({ failure: `The local S3 server did not start: ${reason}` });
    child.once('error', (error) => fail(error.message));
    child.once('exit', (code, signal) => fail(`its process ended with ${signal ?? `code ${code}`}.`));
    child.once('message', (message) => {
      const report = message as StartReport;
      if ('failure' in report) fail(report.failure);
      else resolve(report);
    });
    child.send(options, (error) => {
      if (error) fail(error.message);
    });
  });
}

async function end(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  await exited;
}
