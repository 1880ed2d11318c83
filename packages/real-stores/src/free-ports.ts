import { once } from 'node:events';
import { createServer, type Server } from 'node:net';

/**
 * Different free ports on 127.0.0.1. They are all held before the first is let go, so none comes twice; another process
 * may still take one before the server that gets it has bound it.
 */
export async function findFreePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, () => hold(0)));
  const ports = servers.map((server) => {
    const address = server.address();
    return address !== null && typeof address === 'object' ? address.port : 0;
  });
  await Promise.all(servers.map(release));
  return ports;
}

/**
 * Swift and radosgw share a port with whoever allows it, so a start on a taken one would go well, and the other would answer.
 * @throws Error when another process listens there
 */
export async function requireFreePort(port: number): Promise<void> {
  const server = await hold(port).catch((cause: unknown) => {
    throw new Error(`Port ${port} on 127.0.0.1 is taken.`, { cause });
  });
  await release(server);
}

async function hold(port: number): Promise<Server> {
  const server = createServer().listen({ port, host: '127.0.0.1', exclusive: true });
  await once(server, 'listening');
  return server;
}

async function release(server: Server): Promise<void> {
  await once(server.close(), 'close');
}
