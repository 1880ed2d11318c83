import { createHash, randomBytes } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { LocalS3Process } from '../src/index.js';
import { connectTo, sign } from './support/raw-request.js';
import {
  BUCKET,
  clientOf,
  dataFilesOf,
  refusalOf,
  spawnOn,
  temporaryFilesOf,
  temporaryFolder,
  until,
} from './support/server.js';

const MIN_PART = 5 * 1024 ** 2;
let dataDir: string;
let server: LocalS3Process;
let client: S3Client;

beforeEach(async () => {
  dataDir = await temporaryFolder();
  await restart();
  await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
});
afterEach(async () => {
  client.destroy();
  await server.kill();
  await rm(dataDir, { recursive: true, force: true });
});

async function restart(): Promise<void> {
  client?.destroy();
  server = await spawnOn(dataDir);
  client = clientOf(server.endpoint);
}

const sha256 = (data: Uint8Array | undefined): string =>
  createHash('sha256')
    .update(data ?? '')
    .digest('hex');
const bytesOf = async (Key: string): Promise<Uint8Array | undefined> =>
  (await client.send(new GetObjectCommand({ Bucket: BUCKET, Key }))).Body?.transformToByteArray();
const put = (Key: string, Body: string | Buffer) => client.send(new PutObjectCommand({ Bucket: BUCKET, Key, Body }));

/** Sends the head and a third of a body, and kills the server once it writes that to the disk. */
async function killInTheMiddle(path: string, query: string): Promise<void> {
  const before = (await dataFilesOf(dataDir)).length;
  const headers = { 'content-length': String(30 * 1024 ** 2) };
  const { head } = sign(server.port, { method: 'PUT', path, query, payloadHash: 'UNSIGNED-PAYLOAD', headers });
  const socket = await connectTo(server.port);
  socket.on('error', () => {}); // The reset is what this is about.
  socket.write(head);
  socket.write(Buffer.alloc(10 * 1024 ** 2, 'n'));
  await until(async () => (await dataFilesOf(dataDir)).length > before);
  await server.kill();
  socket.destroy();
  expect(await dataFilesOf(dataDir)).toHaveLength(before + 1);
}

describe('kill -9', () => {
  it('in the middle of a PutObject leaves the old object whole and no file of the new one', async () => {
    const old = randomBytes(1_000_000);
    await put('object', old);
    await killInTheMiddle(`/${BUCKET}/object`, '');
    await restart();
    expect(sha256(await bytesOf('object'))).toBe(sha256(old));
    expect(await dataFilesOf(dataDir)).toHaveLength(1);
    expect(await temporaryFilesOf(dataDir)).toEqual([]);
  });

  it('in the middle of a first PutObject leaves no object', async () => {
    await killInTheMiddle(`/${BUCKET}/object`, '');
    await restart();
    expect((await refusalOf(bytesOf('object'))).name).toBe('NoSuchKey');
    expect((await client.send(new ListObjectsV2Command({ Bucket: BUCKET }))).KeyCount).toBe(0);
    expect(await dataFilesOf(dataDir)).toEqual([]);
  });

  it('in the middle of an UploadPart keeps the finished parts, and the upload goes on', async () => {
    const { UploadId } = await client.send(
      new CreateMultipartUploadCommand({
        Bucket: BUCKET,
        Key: 'parts',
        Metadata: { token: 't' },
        ContentType: 'video/mp4',
      }),
    );
    const bodies = [randomBytes(MIN_PART), randomBytes(MIN_PART), randomBytes(1000)];
    const part = async (index: number): Promise<CompletedPart> => {
      const PartNumber = index + 1;
      const { ETag } = await client.send(
        new UploadPartCommand({ Bucket: BUCKET, Key: 'parts', UploadId, PartNumber, Body: bodies[index] }),
      );
      return { PartNumber, ETag };
    };
    const parts = [await part(0), await part(1)];
    // Part 2 comes once more and is cut: the one before it must stay.
    await killInTheMiddle(`/${BUCKET}/parts`, `partNumber=2&uploadId=${UploadId}`);
    await restart();
    const listed = await client.send(new ListPartsCommand({ Bucket: BUCKET, Key: 'parts', UploadId }));
    expect(listed.Parts?.map(({ PartNumber, ETag }) => ({ PartNumber, ETag }))).toEqual(parts);
    expect(await dataFilesOf(dataDir)).toHaveLength(2);

    parts.push(await part(2));
    await client.send(
      new CompleteMultipartUploadCommand({ Bucket: BUCKET, Key: 'parts', UploadId, MultipartUpload: { Parts: parts } }),
    );
    await server.kill();
    await restart();
    const read = await client.send(new GetObjectCommand({ Bucket: BUCKET, Key: 'parts' }));
    expect(read).toMatchObject({ ContentType: 'video/mp4', Metadata: { token: 't' } });
    expect(sha256(await read.Body?.transformToByteArray())).toBe(sha256(Buffer.concat(bodies)));
  });

  it('at any instant of Complete leaves the whole object or the whole upload, and the same Complete ends it', async () => {
    const bodies = [randomBytes(MIN_PART), randomBytes(MIN_PART), randomBytes(77)];
    const whole = sha256(Buffer.concat(bodies));
    const states = new Set<string>();
    // From "not yet arrived" to "answered", in steps of a millisecond: a Complete takes a few of them.
    for (let delay = 0; delay < 12 || !states.has('answered'); delay += 1) {
      const Key = `completed-${delay}`;
      const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket: BUCKET, Key }));
      const Parts = await Promise.all(
        bodies.map(async (Body, index) => {
          const PartNumber = index + 1;
          const { ETag } = await client.send(
            new UploadPartCommand({ Bucket: BUCKET, Key, UploadId, PartNumber, Body }),
          );
          return { PartNumber, ETag };
        }),
      );
      const complete = () =>
        client.send(new CompleteMultipartUploadCommand({ Bucket: BUCKET, Key, UploadId, MultipartUpload: { Parts } }));
      const files = (await dataFilesOf(dataDir)).length;
      const attempt = complete().then(
        () => 'answered',
        () => 'cut',
      );
      await Promise.race([attempt, new Promise((resolve) => setTimeout(resolve, delay))]);
      await server.kill();
      states.add(await attempt);
      await restart();
      const found = await bytesOf(Key).then(sha256, (error: Error) => error.name);
      expect([whole, 'NoSuchKey']).toContain(found);
      states.add(found === whole ? 'object' : 'upload');
      if (found !== whole) {
        const { Parts: kept } = await client.send(new ListPartsCommand({ Bucket: BUCKET, Key, UploadId }));
        expect(kept).toHaveLength(3);
      }
      expect(await dataFilesOf(dataDir)).toHaveLength(files);
      await complete();
      expect(sha256(await bytesOf(Key))).toBe(whole);
    }
    // The delays have met the server on both sides of the publication.
    expect([...states].sort()).toEqual(expect.arrayContaining(['object', 'upload']));
  });

  it('between many small writes loses none that was answered', async () => {
    const answered: string[] = [];
    let isKilled = false;
    const write = async (worker: number): Promise<void> => {
      for (let count = 0; !isKilled; count += 1) {
        const key = `small-${worker}-${count}`;
        try {
          await put(key, key);
        } catch {
          return; // Cut off by the kill: it may be there or not, but not in part.
        }
        answered.push(key);
      }
    };
    const workers = [0, 1, 2, 3].map(write);
    await until(async () => answered.length >= 100);
    await server.kill();
    isKilled = true;
    await Promise.all(workers);
    await restart();
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: BUCKET }));
    const listed = Contents.map(({ Key }) => Key ?? '');
    expect(listed).toEqual(expect.arrayContaining(answered));
    for (const key of listed) expect(Buffer.from((await bytesOf(key)) ?? []).toString()).toBe(key);
    expect(await dataFilesOf(dataDir)).toHaveLength(listed.length);
    expect(await readdir(join(dataDir, 'buckets', BUCKET, 'objects'))).toHaveLength(listed.length);
  });
});
