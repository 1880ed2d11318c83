import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** Lines of the log that are kept for the message of a failure. */
const LINES_SHOWN = 30;

export interface ProductProcessOptions {
  /** A script and its arguments, for the Node that runs this. */
  readonly script: readonly string[];
  readonly nodeOptions?: readonly string[];
  /** The whole environment, but for PATH. */
  readonly env: Readonly<Record<string, string>>;
  /** Without a .env, so that the environment is all there is. */
  readonly cwd: string;
  readonly onLine?: (line: string) => void;
}

/** A process of the product, to be killed, stopped and woken. */
export class ProductProcess {
  readonly lines: string[] = [];
  private readonly exited: Promise<unknown>;
  private watchers: (() => void)[] = [];

  private constructor(private readonly child: ChildProcess) {
    this.exited = once(child, 'exit');
    child.once('exit', () => this.tell());
  }

  static start({ script, nodeOptions = [], env, cwd, onLine }: ProductProcessOptions): ProductProcess {
    const child = spawn(process.execPath, [...nodeOptions, ...script], {
      cwd,
      env: { PATH: process.env.PATH, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const running = new ProductProcess(child);
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue;
      createInterface({ input: stream }).on('line', (line) => {
        running.lines.push(line);
        onLine?.(line);
        running.tell();
      });
    }
    return running;
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** The first line, of those printed or to come, that fits. @throws Error when the process ends before */
  async printed(pattern: RegExp): Promise<RegExpExecArray> {
    let seen = 0;
    for (;;) {
      for (; seen < this.lines.length; seen += 1) {
        const found = pattern.exec(this.lines[seen] ?? '');
        if (found !== null) return found;
      }
      if (this.hasEnded) throw new Error(`it ended without ${pattern}:\n${this.lines.slice(-LINES_SHOWN).join('\n')}`);
      await new Promise<void>((resolve) => this.watchers.push(resolve));
    }
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  /** SIGKILL; resolves when the process is gone. */
  async kill(): Promise<void> {
    if (this.hasEnded) return;
    this.child.kill('SIGKILL');
    await this.exited;
  }

  /** SIGTERM, and SIGKILL after `limitMs`; its exit code or the signal that ended it. */
  async end(limitMs: number): Promise<number | NodeJS.Signals | null> {
    if (!this.hasEnded) {
      const timer = setTimeout(() => this.child.kill('SIGKILL'), limitMs);
      this.child.kill('SIGTERM');
      await this.exited;
      clearTimeout(timer);
    }
    return this.child.exitCode ?? this.child.signalCode;
  }

  private tell(): void {
    for (const resolve of this.watchers.splice(0)) resolve();
  }
}
