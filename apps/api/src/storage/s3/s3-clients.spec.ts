import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { expect, it } from '@jest/globals';
import { readEnvironment } from '../../config/env.js';
import { toStorageOptions } from '../storage.options.js';
import { S3Clients } from './s3-clients.js';

it('sends as many bodies at once as callers give: waiting for a socket counts as a failed connection', async () => {
  const uploads = 12;
  const waiting: ServerResponse[] = [];
  const server = createServer((request, response) => {
    request.resume();
    waiting.push(response);
    if (waiting.length === uploads) for (const answer of waiting) answer.setHeader('etag', '"e"').end();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const environment = readEnvironment({
    DATABASE_URL: 'postgresql://localhost/none',
    AUTH_JWT_SECRET: 'a secret of at least 32 characters',
    S3_ENDPOINT: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    S3_REGION: 'us-east-1',
    S3_BUCKET: 'bucket',
    S3_ACCESS_KEY_ID: 'key',
    S3_SECRET_ACCESS_KEY: 'secret',
    S3_QUEUE_SIZE: '1',
    TRANSFER_CONCURRENCY: '1',
  });
  const clients = new S3Clients(toStorageOptions(environment));
  const puts = Array.from({ length: uploads }, (_, index) =>
    clients.parts.send(new PutObjectCommand({ Bucket: 'bucket', Key: `k${index}`, Body: Buffer.from('x') })),
  );
  expect(await Promise.all(puts)).toHaveLength(uploads);
  clients.onApplicationShutdown();
  server.close();
});
