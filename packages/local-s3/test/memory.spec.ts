import { createHash } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { describe, expect, it } from '@jest/globals';
import { BUCKET, clientOf, spawnOn, temporaryFolder } from './support/server.js';

const MIB = 1024 ** 2;
const SIZE = 1024 * MIB;
/** Measured: 75 MiB at rest, at most 160 MiB for 1 GiB and for 5 GiB. */
const MAX_PEAK_MIB = 250;

async function peakMib(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

function* chunksOf(size: number): Generator<Buffer> {
  for (let sent = 0; sent < size; sent += MIB) yield Buffer.alloc(MIB, (sent / MIB) % 251);
}

describe('1 GiB', () => {
  it('goes in as one body and in parts, and out again, in constant memory', async () => {
    const dataDir = await temporaryFolder();
    const server = await spawnOn(dataDir);
    const client = clientOf(server.endpoint, { requestChecksumCalculation: 'WHEN_REQUIRED' });
    await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
    const expected = createHash('sha256');
    for (const chunk of chunksOf(SIZE)) expected.update(chunk);
    const digest = expected.digest('hex');

    await client.send(
      new PutObjectCommand({ Bucket: BUCKET, Key: 'single', Body: Readable.from(chunksOf(SIZE)), ContentLength: SIZE }),
    );
    const Body = Readable.from(chunksOf(SIZE));
    await new Upload({
      client,
      params: { Bucket: BUCKET, Key: 'parts', Body },
      partSize: 10 * MIB,
      queueSize: 4,
    }).done();
    for (const Key of ['single', 'parts']) {
      const answer = await client.send(new GetObjectCommand({ Bucket: BUCKET, Key }));
      const hash = createHash('sha256');
      for await (const chunk of answer.Body as Readable) hash.update(chunk as Buffer);
      expect(hash.digest('hex')).toBe(digest);
    }
    expect(await peakMib(server.pid)).toBeLessThan(MAX_PEAK_MIB);

    client.destroy();
    await server.close();
    await rm(dataDir, { recursive: true });
  }, 180_000);
});
