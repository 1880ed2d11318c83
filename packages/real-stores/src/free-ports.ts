import { once } from 'node:events';
import { createServer } from 'node:net';

/**
 * Different free ports on 127.0.0.1. They are all held before the first is let go, so none comes twice; another process
 * may still take one before the server that gets it has bound it.
 */
export async function findFreePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen({ port: 0, host: '127.0.0.1' }));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => {
    const address = server.address();
    return address !== null && typeof address === 'object' ? address.port : 0;
  });
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}
