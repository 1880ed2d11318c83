import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const POLL_MS = 50;
const TAIL_LINES = 15;

export interface Daemon {
  readonly isRunning: boolean;
  /** SIGKILL for the process and all that it started. Resolves when it is gone. */
  kill(): Promise<void>;
  /** SIGTERM, and SIGKILL after `limitMs`. */
  end(limitMs: number): Promise<void>;
  /**
   * Resolves once `isReady` is true; a check that throws counts as not yet.
   * @throws Error with the last lines of the log, when the process ends first or `limitMs` is over
   */
  untilReady(isReady: () => Promise<boolean>, limitMs: number): Promise<void>;
}

/**
 * Starts a server in a session of its own, so that a Ctrl-C in the terminal reaches this process alone, which then ends it.
 * It cannot outlive this process: the kernel kills it when its parent is gone, however that came about.
 */
export function startDaemon(command: readonly string[], logFile: string, env: NodeJS.ProcessEnv): Daemon {
  const log = openSync(logFile, 'a');
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...command], {
    detached: true,
    stdio: ['ignore', log, log],
    env,
  });
  closeSync(log);
  const name = path.basename(logFile, '.log');
  let failure: Error | undefined;
  child.once('error', (error) => {
    failure = error;
  });
  const isRunning = (): boolean => child.pid !== undefined && child.exitCode === null && child.signalCode === null;
  const describeEnd = (): string =>
    failure?.message ?? (child.signalCode ? `it ended by ${child.signalCode}` : `it ended with code ${child.exitCode}`);

  async function end(signal: NodeJS.Signals): Promise<void> {
    const exited = isRunning() ? once(child, 'exit') : undefined;
    signalSession(child, signal);
    await exited;
    signalSession(child, 'SIGKILL'); // What the process has started and left behind.
  }

  return {
    get isRunning() {
      return isRunning();
    },
    kill: () => end('SIGKILL'),
    async end(limitMs) {
      const timer = setTimeout(() => signalSession(child, 'SIGKILL'), limitMs);
      await end('SIGTERM');
      clearTimeout(timer);
    },
    async untilReady(isReady, limitMs) {
      const deadline = performance.now() + limitMs;
      while (!(await isReady().catch(() => false))) {
        const isLate = performance.now() > deadline;
        if (isRunning() && !isLate) {
          await delay(POLL_MS);
          continue;
        }
        const reason = isLate ? `it was not ready after ${limitMs / 1000} s` : describeEnd();
        throw new Error(`${name} did not start: ${reason}\n${await readTail(logFile)}`);
      }
    },
  };
}

/** The session's leader leads its process group too. A group that is gone is what the caller wants anyway. */
function signalSession(leader: ChildProcess, signal: NodeJS.Signals): void {
  if (leader.pid === undefined) return;
  try {
    process.kill(-leader.pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function readTail(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch(() => ''); // Nothing was written.
  return text.trim().split('\n').slice(-TAIL_LINES).join('\n');
}
