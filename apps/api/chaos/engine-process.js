// The parent's side of engine.js.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const KiB = 1024;
/** The engine has ended its work when it is told to go; what does not let its process end is a handle that it forgot. */
const END_LIMIT_MS = 10_000;

export class EngineProcess {
  #child;
  #exited;
  #waiting = new Map();
  #lastId = 0;
  #ended;

  /** `onLine` sees every line of its log and of what else it prints. */
  static async start(environment, { cwd, onLine }) {
    const engine = new EngineProcess();
    engine.#child = fork(fileURLToPath(new URL('engine.js', import.meta.url)), [], {
      cwd,
      env: { PATH: process.env.PATH, ...environment },
      // The first as the product's own start commands run it. The second has V8 collect its garbage soon: what is
      // measured is what the engine holds, not how long V8 puts its work off.
      execArgv: ['--max-semi-space-size=1', '--heap-growing-percent=25'],
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    const { stdout, stderr } = engine.#child;
    for (const stream of [stdout, stderr]) createInterface({ input: stream }).on('line', onLine);
    engine.#exited = once(engine.#child, 'exit');
    engine.#child.on('message', (message) => engine.#settle(message));
    engine.#child.on('exit', (code, signal) => engine.#fail(new Error(`the engine ended with ${signal ?? code}`)));
    await engine.#answerTo('ready');
    return engine;
  }

  ask(action, request) {
    this.#lastId += 1;
    const answer = this.#answerTo(this.#lastId);
    if (this.#child.connected) this.#child.send({ id: this.#lastId, action, request });
    return answer;
  }

  /** Sets the peak back to what is resident now (man 5 proc). */
  async resetPeak() {
    await writeFile(`/proc/${this.#child.pid}/clear_refs`, '5');
    return await this.#readMemory('VmRSS');
  }

  async peakBytes() {
    return await this.#readMemory('VmHWM');
  }

  /** @returns what kept its process from ending well, else undefined */
  async end() {
    this.#child.send({ action: 'end' });
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), END_LIMIT_MS);
    const [code, signal] = await this.#exited;
    clearTimeout(timer);
    return code === 0 ? undefined : `the engine's process ended with ${signal ?? code}`;
  }

  async kill() {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGKILL');
    await this.#exited;
  }

  #answerTo(id) {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  #settle({ id, answer, failure }) {
    const { resolve, reject } = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (failure === undefined) resolve(answer);
    else reject(new Error(failure));
  }

  #fail(error) {
    this.#ended = error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  async #readMemory(field) {
    const status = await readFile(`/proc/${this.#child.pid}/status`, 'utf8');
    return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)[1]) * KiB;
  }
}
