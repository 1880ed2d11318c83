// Starts the processes of a run and waits for them.
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

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
