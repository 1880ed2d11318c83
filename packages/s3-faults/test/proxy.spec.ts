import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage, type RequestListener } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { Readable, type Writable } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type S3FaultProxy, startS3FaultProxy } from '../src/index.js';
import { BUCKET, type StoreUnderFaults, startStoreUnderFaults, uniqueKey } from './support/store-under-faults.js';

const MIB = 1024 ** 2;

let store: StoreUnderFaults;
beforeAll(async () => {
  store = await startStoreUnderFaults();
});
afterAll(() => store.stop());

describe('without rules', () => {
  it('lets a multipart upload through unchanged, signatures included, and logs it', async () => {
    const { client, proxy } = store;
    const Key = `${uniqueKey('a folder/ü')}+&=?.bin`;
    const parts = [randomBytes(5 * MIB), randomBytes(100)];
    const { UploadId } = await client.send(
      new CreateMultipartUploadCommand({ Bucket: BUCKET, Key, Metadata: { token: 'of-this-upload' } }),
    );
    const done = [];
    for (const [index, Body] of parts.entries()) {
      const PartNumber = index + 1;
      const { ETag } = await client.send(new UploadPartCommand({ Bucket: BUCKET, Key, UploadId, PartNumber, Body }));
      done.push({ PartNumber, ETag });
    }
    const upload = { Bucket: BUCKET, Key, UploadId, MultipartUpload: { Parts: done } };
    await client.send(new CompleteMultipartUploadCommand(upload));
    const { ContentLength, Metadata } = await client.send(new HeadObjectCommand({ Bucket: BUCKET, Key }));
    const { Body } = await client.send(new GetObjectCommand({ Bucket: BUCKET, Key }));

    expect(ContentLength).toBe(5 * MIB + 100);
    expect(Metadata).toEqual({ token: 'of-this-upload' });
    const received = (await Body?.transformToByteArray()) ?? new Uint8Array();
    expect(sha256(received)).toBe(sha256(Buffer.concat(parts)));
    const common = { bucket: BUCKET, key: Key, attempt: 1, fault: undefined, isForwarded: true, status: 200 };
    expect(proxy.calls).toEqual([
      expect.objectContaining({ ...common, operation: 'CreateMultipartUpload' }),
      expect.objectContaining({ ...common, operation: 'UploadPart', partNumber: 1, uploadId: UploadId }),
      expect.objectContaining({ ...common, operation: 'UploadPart', partNumber: 2, uploadId: UploadId }),
      expect.objectContaining({ ...common, operation: 'CompleteMultipartUpload', uploadId: UploadId }),
      expect.objectContaining({ ...common, operation: 'HeadObject' }),
      expect.objectContaining({ ...common, operation: 'GetObject', storeStatus: 200 }),
    ]);
  });

  it('lets presigned URLs, streamed bodies and errors of the store through', async () => {
    const { client } = store;
    const Key = uniqueKey();
    const body = randomBytes(3 * MIB);
    await client.send(
      new PutObjectCommand({ Bucket: BUCKET, Key, Body: Readable.from([body]), ContentLength: body.length }),
    );
    const url = await getSignedUrl(client, new GetObjectCommand({ Bucket: BUCKET, Key }));
    const answer = await fetch(url, { headers: { range: 'bytes=10-19' } });
    expect(answer.status).toBe(206);
    expect(Buffer.from(await answer.arrayBuffer())).toEqual(body.subarray(10, 20));

    const missing = client.send(new GetObjectCommand({ Bucket: BUCKET, Key: uniqueKey('missing') }));
    await expect(missing).rejects.toMatchObject({ name: 'NoSuchKey' });
    await expect(client.send(new ListObjectsV2Command({ Bucket: 'no-such-bucket' }))).rejects.toMatchObject({
      name: 'NoSuchBucket',
    });
  });
});

describe('bodies', () => {
  const TOO_MUCH = 256 * MIB;

  it('of requests are read no faster than the store reads them', async () => {
    const slow = await startStore(() => {});
    const { hostname, port } = new URL(slow.proxy.endpoint);
    const client = connect(Number(port), hostname);
    client.write(`PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: ${TOO_MUCH}\r\n\r\n`);
    expect(await bytesUntilStall(client)).toBeLessThan(64 * MIB);
    client.destroy();
    await slow.stop();
  });

  it('of answers are read no faster than the client reads them', async () => {
    const { promise: sent, resolve } = Promise.withResolvers<number>();
    const eager = await startStore((_, response) => {
      response.writeHead(200, { 'content-length': TOO_MUCH });
      resolve(bytesUntilStall(response));
    });
    const { hostname, port } = new URL(eager.proxy.endpoint);
    const client = connect(Number(port), hostname).pause();
    client.write('GET /b/k HTTP/1.1\r\nHost: h\r\n\r\n');
    expect(await sent).toBeLessThan(64 * MIB);
    client.destroy();
    await eager.stop();
  });

  it('that the store refuses do not cost the client the answer', async () => {
    const request = httpRequest(`${store.proxy.endpoint}/${BUCKET}/key`, { method: 'PUT' });
    request.setHeader('content-length', 20 * MIB);
    request.end(randomBytes(20 * MIB));
    const [answer] = (await once(request, 'response')) as [IncomingMessage];
    expect(answer.statusCode).toBe(403);
    await once(request, 'close');
  });
});

describe('connections', () => {
  it('are dropped by close, whatever hangs on them', async () => {
    const silent = await startStore(() => {});
    silent.proxy.inject({ fault: 'black-hole-before-forward' });
    const hanging = ['a', 'b'].map((key) => fetch(`${silent.proxy.endpoint}/b/${key}`));
    await silent.proxy.waitForCall(({ isForwarded }) => isForwarded);
    await silent.proxy.waitForCall(({ fault }) => fault === 'black-hole-before-forward');
    expect(silent.proxy.openConnections).toBe(2);
    const outcomes = Promise.allSettled(hanging);
    await silent.stop();
    expect((await outcomes).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(silent.proxy.openConnections).toBe(0);
    expect(silent.proxy.calls.map(({ isOver }) => isOver)).toEqual([true, true]);
  });

  it('are reset at once, even if the client does not read what is written', async () => {
    const { promise: isStalled, resolve } = Promise.withResolvers<number>();
    const eager = await startStore((_, response) => resolve(bytesUntilStall(response)));
    const { hostname, port } = new URL(eager.proxy.endpoint);
    const client = connect(Number(port), hostname).pause();
    client.on('error', () => {}); // The reset, which it may or may not notice while it does not read.
    client.write('GET /b/unread HTTP/1.1\r\nHost: h\r\n\r\n');
    await isStalled;
    eager.proxy.inject({ fault: 'refuse-connections', operation: 'HeadObject' });
    await expect(fetch(`${eager.proxy.endpoint}/b/k`, { method: 'HEAD' })).rejects.toThrow();
    await eager.proxy.waitForCall(({ key, isOver }) => key === 'unread' && isOver);
    expect(eager.proxy.openConnections).toBe(0);
    client.destroy();
    await eager.stop();
  });

  it('to the store end with those of a client that leaves', async () => {
    const { promise: left, resolve } = Promise.withResolvers<void>();
    const silent = await startStore((request) => request.socket.once('close', () => resolve()));
    const leaving = new AbortController();
    const call = fetch(`${silent.proxy.endpoint}/b/k`, { signal: leaving.signal });
    await silent.proxy.waitForCall(({ isForwarded }) => isForwarded);
    leaving.abort();
    await expect(call).rejects.toThrow();
    await left;
    await silent.proxy.waitForCall(({ isOver }) => isOver);
    await silent.stop();
  });

  it('are reset when the store cannot be reached', async () => {
    const proxy = await startS3FaultProxy({ target: 'http://127.0.0.1:1' });
    await expect(fetch(`${proxy.endpoint}/b/k`)).rejects.toMatchObject({ cause: { code: 'ECONNRESET' } });
    expect(proxy.calls).toEqual([expect.objectContaining({ fault: undefined, status: undefined, isOver: true })]);
    await proxy.close();
  });
});

interface PlainStore {
  readonly proxy: S3FaultProxy;
  stop(): Promise<void>;
}

/** A store that does no more than `answer` does. */
async function startStore(answer: RequestListener): Promise<PlainStore> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const proxy = await startS3FaultProxy({ target: `http://127.0.0.1:${port}` });
  return {
    proxy,
    stop: async () => {
      await proxy.close();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Writes until nothing is taken for half a second; what the system's buffers hold is in the sum. */
async function bytesUntilStall(stream: Writable): Promise<number> {
  const chunk = Buffer.alloc(MIB);
  for (let bytes = MIB; ; bytes += MIB) {
    if (stream.write(chunk)) continue;
    const drained = once(stream, 'drain').then(() => true);
    if (!(await Promise.race([drained, setTimeout(500, false)]))) return bytes;
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
