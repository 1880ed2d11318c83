// Starts the processes of a run and waits for them.
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const CLOCK_TICKS_A_SECOND = 100;

/**
 * Forks a file beside this one. Resolves when it has sent its first message, `ready`; `ask` sends one and resolves with
 * the answer.
 */
export async function startProcess(file, { args = [], cwd, environment = {}, nodeOptions = [] }) {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), args, {
    cwd,
    env: { PATH: process.env.PATH, ...environment },
    execArgv: nodeOptions,
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
  });
  let errors = '';
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  const exited = once(child, 'close'); // Not `exit`: its last words may still be on their way.
  const nextMessage = async () => {
    const [answer] = await Promise.race([
      once(child, 'message'),
      exited.then(([code, signal]) => {
        const [reason = errors] = /^\w*Error.*$/m.exec(errors) ?? [];
        throw new Error(`${file} ended with ${signal ?? code}: ${reason}`, { cause: errors });
      }),
    ]);
    return answer;
  };
  return {
    ready: await nextMessage(),
    pid: child.pid,
    exited,
    ask(question) {
      const answer = nextMessage();
      child.send(question);
      return answer;
    },
    async stop() {
      child.kill();
      await exited;
    },
  };
}

/** CPU seconds of a process so far: user and system, Linux's clock ticks of 10 ms. */
export async function readCpuSeconds(pid) {
  return (await readProcess(pid)).cpuSeconds;
}

/** The same of a process and all that it ever started. */
export async function readTreeCpuSeconds(pid) {
  const numbers = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const processes = await Promise.all(numbers.map((number) => readProcess(number).catch(() => undefined)));
  const children = processes.filter((process) => process?.parent === pid);
  const own = await readProcess(pid);
  return children.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, own.cpuSeconds + own.endedChildrenCpuSeconds);
}

export async function readParent(pid) {
  return (await readProcess(pid)).parent;
}

/** proc(5): fields behind the name in brackets, which may hold anything. */
async function readProcess(pid) {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  const [, parent] = fields;
  const [user, system, endedUser, endedSystem] = fields.slice(11, 15).map((ticks) => ticks / CLOCK_TICKS_A_SECOND);
  return { parent, cpuSeconds: user + system, endedChildrenCpuSeconds: endedUser + endedSystem };
}

/** Runs a file that sends one message, its figures, and ends. */
export async function runProcess(file, options) {
  const { ready, exited } = await startProcess(file, options);
  await exited;
  return ready;
}

/**
 * Runs a command to its end. `cpuSeconds` is its own and that of its children: bash reads it from wait4, which Node does
 * not hand out.
 */
export async function runCommand(command, { cwd, environment = {} }) {
  // Debian's own directories alone: a rival is the one whose version is printed, not another of the user's PATH.
  const env = { PATH: '/usr/bin:/bin', HOME: cwd, TIMEFORMAT: '%U %S', ...environment };
  const child = spawn('bash', ['-o', 'pipefail', '-c', 'time "$@"', 'bash', ...command], { cwd, env });
  let output = '';
  let errors = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  const [code] = await once(child, 'close');
  const endedAt = Date.now();
  const lines = errors.trim().split('\n');
  const [user, system] = lines.pop().split(' ').map(Number);
  if (code !== 0) throw new Error(`${command[0]} ended with ${code}: ${lines.slice(-5).join(' ')}`);
  return { output, endedAt, cpuSeconds: user + system };
}
