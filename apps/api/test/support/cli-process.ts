import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** The built CLI: tests run what users run. */
const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const POLL_MS = 50;
const GONE_LIMIT_MS = 15_000;

/** A working directory without `.env`, and a data folder in it. */
export interface CliHome {
  readonly folder: string;
  readonly dataDir: string;
  remove(): Promise<void>;
}

export async function makeCliHome(): Promise<CliHome> {
  const folder = await mkdtemp(join(tmpdir(), 'cli-'));
  // Started as root, PostgreSQL runs as a user of its own and must reach its files.
  await chmod(folder, 0o711);
  return {
    folder,
    dataDir: join(folder, 'data'),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

/** One command in a process group of its own, as a shell starts it. */
export class CliProcess {
  stdout = '';
  stderr = '';
  private readonly child: ChildProcess;
  private readonly exited: Promise<unknown[]>;

  constructor(home: CliHome, args: readonly string[], variables: Record<string, string> = {}) {
    // Nothing of the machine's own settings (DATABASE_URL, S3_*) may reach the command.
    const { PATH = '', HOME = '', TMPDIR } = process.env;
    this.child = spawn(process.execPath, [MAIN, ...args], {
      cwd: home.folder,
      env: { PATH, HOME, ...(TMPDIR ? { TMPDIR } : {}), DATA_DIR: home.dataDir, ...variables },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
    });
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    this.exited = once(this.child, 'close');
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** Resolves to the exit code, null when a signal ended the process. */
  async exit(): Promise<number | null> {
    return (await this.exited)[0] as number | null;
  }

  /** Ctrl-C: a terminal sends SIGINT to the whole process group. */
  signalGroup(signal: NodeJS.Signals): void {
    process.kill(-this.pid, signal);
  }

  /** Waits until `find` gives something; fails with the command's output when it ends before. */
  async until<Found>(find: () => Found | undefined | Promise<Found | undefined>): Promise<Found> {
    for (;;) {
      const found = await find();
      if (found !== undefined) return found;
      if (this.child.exitCode !== null || this.child.signalCode !== null) {
        throw new Error(`the command ended too early:\n${this.stdout}\n${this.stderr}`);
      }
      await delay(POLL_MS);
    }
  }

  /** The process and everything below it, as process ids. */
  async tree(): Promise<number[]> {
    const parents = new Map<number, number>();
    for (const name of await readdir('/proc')) {
      const pid = Number(name);
      if (Number.isInteger(pid)) parents.set(pid, await parentOf(pid));
    }
    const tree = [this.pid];
    for (const pid of tree) for (const [child, parent] of parents) if (parent === pid) tree.push(child);
    return tree;
  }
}

/** What a transfer may say on stderr that goes well: on a busy machine it takes long enough to show its progress. */
export const PROGRESS_ALONE = /^([\d.]+ \S*B( of [\d.]+ \S*B)?(, .*)?\n)*$/;

/** Runs a command to its end. */
export async function runCli(home: CliHome, args: readonly string[], variables: Record<string, string> = {}) {
  const command = new CliProcess(home, args, variables);
  const exitCode = await command.exit();
  return { exitCode, stdout: command.stdout, stderr: command.stderr };
}

/** Those of `pids` that still run after at most 15 s. */
export async function stillRunning(pids: readonly number[]): Promise<number[]> {
  const deadline = performance.now() + GONE_LIMIT_MS;
  for (;;) {
    const running: number[] = [];
    for (const pid of pids) if ((await parentOf(pid)) !== 0) running.push(pid);
    if (running.length === 0 || performance.now() > deadline) return running;
    await delay(POLL_MS);
  }
}

/** 0 for a process that is gone, or ended and only not yet collected by its parent. */
async function parentOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ''); // gone
  const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return state === 'Z' ? 0 : Number(parent ?? 0);
}
