import { once } from 'node:events';
import { createServer } from 'node:net';

const ANY_PORT = 0;

/**
 * The first of `wished` that is free on 127.0.0.1, else any free one. Another process may still take it before the
 * caller does, so the caller tries again when its server cannot bind.
 */
export async function findFreePort(wished: readonly (number | undefined)[]): Promise<number> {
  for (const port of wished) {
    if (port && (await bind(port))) return port;
  }
  const port = await bind(ANY_PORT);
  if (!port) throw new Error('no free port on 127.0.0.1');
  return port;
}

async function bind(port: number): Promise<number | undefined> {
  const server = createServer().listen({ port, host: '127.0.0.1', exclusive: true });
  try {
    await once(server, 'listening');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'EADDRINUSE' || code === 'EACCES') return undefined;
    throw error;
  }
  const address = server.address();
  server.close();
  await once(server, 'close');
  return address && typeof address === 'object' ? address.port : undefined;
}
