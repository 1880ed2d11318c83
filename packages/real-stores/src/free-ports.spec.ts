import { createServer } from 'node:http';
import { describe, expect, it } from '@jest/globals';
import { findFreePorts } from './free-ports.js';

describe('findFreePorts', () => {
  it('gives different ports that a server can take', async () => {
    const ports = await findFreePorts(20);
    expect(new Set(ports).size).toBe(20);
    for (const port of ports) {
      const server = createServer();
      await new Promise<void>((resolve, reject) =>
        server.once('error', reject).listen({ port, host: '127.0.0.1' }, resolve),
      );
      await new Promise((resolve) => server.close(resolve));
    }
  });
});
