import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { LocalStackOptions } from '../src/index.js';

const FIXTURE = fileURLToPath(new URL('./fixtures/hold-stack.mjs', import.meta.url));

/** A process, leader of its own group as a command in a terminal is, that has started a stack. */
export interface StackHolder {
  /** Ctrl-C: SIGINT to the whole group; resolves when the process has heard it. */
  interrupt(): Promise<void>;
  /** kill -9 of this process alone. */
  kill(): Promise<void>;
}

export async function holdStack(options: LocalStackOptions): Promise<StackHolder> {
  const child = spawn(process.execPath, [FIXTURE, JSON.stringify(options)], {
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const { pid } = child;
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const { done } = await lines.next();
  if (done || !pid) throw new Error('the stack did not start');
  return {
    async interrupt() {
      process.kill(-pid, 'SIGINT');
      const { value } = await lines.next();
      if (value !== 'SIGINT') throw new Error(`unexpected: ${value}`);
    },
    async kill() {
      if (child.signalCode) return;
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    },
  };
}
