// A Redis server of our own, on loopback, for the time of a row.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';

/** Of Debian's package redis-server, or another that REDIS_SERVER names. */
const PROGRAM = process.env.REDIS_SERVER ?? '/usr/bin/redis-server';

export function findRedis() {
  return existsSync(PROGRAM) ? PROGRAM : undefined;
}

/** `fsync`: of the log of all changes, as redis.conf's `appendfsync` has it. */
export async function startRedis(folder, fsync) {
  await mkdir(folder, { recursive: true });
  const port = await findFreePort();
  const log = ['--appendonly', 'yes', '--appendfsync', fsync, '--save', ''];
  const policy = ['--maxmemory-policy', 'noeviction'];
  const args = ['--bind', '127.0.0.1', '--port', String(port), '--dir', folder, ...log, ...policy];
  const child = spawn(PROGRAM, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout });
  const exited = once(child, 'exit');
  await Promise.race([
    new Promise((resolve) => lines.on('line', (line) => /ready to accept connections/i.test(line) && resolve())),
    exited.then(([code, signal]) => {
      throw new Error(`redis-server ended with ${signal ?? code}`);
    }),
  ]);
  return {
    port,
    pid: child.pid,
    async stop() {
      child.kill();
      await exited;
    },
  };
}

async function findFreePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
