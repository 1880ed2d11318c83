import { once } from 'node:events';
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { HeadObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { afterEach, expect, it } from '@jest/globals';
import { TEST_ENCRYPTION_KEY } from '../../../test/support/test-token.js';
import { readEnvironment } from '../../config/env.js';
import { toStorageOptions } from '../storage.options.js';
import { S3Clients } from './s3-clients.js';

const servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});

async function startClients(listener: RequestListener) {
  const server = createServer(listener);
  servers.push(server);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const environment = readEnvironment({
    DATABASE_URL: 'postgresql://localhost/none',
    AUTH_JWT_SECRET: 'a secret of at least 32 characters',
    DATA_ENCRYPTION_KEY: TEST_ENCRYPTION_KEY,
    S3_ENDPOINT: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    S3_REGION: 'us-east-1',
    S3_BUCKET: 'bucket',
    S3_ACCESS_KEY_ID: 'key',
    S3_SECRET_ACCESS_KEY: 'secret',
    S3_QUEUE_SIZE: '1',
    TRANSFER_CONCURRENCY: '1',
  });
  return { server, clients: new S3Clients(toStorageOptions(environment)) };
}

it('sends as many bodies at once as callers give: waiting for a socket counts as a failed connection', async () => {
  const uploads = 12;
  const waiting: ServerResponse[] = [];
  const { clients } = await startClients((request, response) => {
    request.resume();
    waiting.push(response);
    if (waiting.length === uploads) for (const answer of waiting) answer.setHeader('etag', '"e"').end();
  });
  const puts = Array.from({ length: uploads }, (_, index) =>
    clients.parts.send(new PutObjectCommand({ Bucket: 'bucket', Key: `k${index}`, Body: Buffer.from('x') })),
  );
  expect(await Promise.all(puts)).toHaveLength(uploads);
  clients.onApplicationShutdown();
});

it('ends its connections with the process', async () => {
  const { server, clients } = await startClients((request, response) => {
    request.resume();
    response.setHeader('etag', '"e"').end();
  });
  server.keepAliveTimeout = 0; // Only the client ends them.
  const closed: Promise<unknown>[] = [];
  server.on('connection', (socket: Socket) => closed.push(once(socket, 'close')));
  await clients.parts.send(new PutObjectCommand({ Bucket: 'bucket', Key: 'key', Body: Buffer.from('x') }));
  await clients.control.send(new HeadObjectCommand({ Bucket: 'bucket', Key: 'key' }));
  expect(closed).toHaveLength(2);
  clients.onApplicationShutdown();
  await Promise.all(closed);
}, 20_000);
