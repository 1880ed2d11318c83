// Not part of `pnpm test`: `pnpm test:external` runs it on real stores, which TEST_S3_* name.
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream/promises';
import {
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { StoreCapabilities } from '../src/storage/s3/store-capabilities.js';
import { startTestStorage, type TestStorage } from './support/test-storage.js';

const MiB = 1024 * 1024;
const PART_SIZE_BYTES = 5 * MiB;
/** One more than Swift takes. */
const MANY_PARTS = 1_001;
const MANY_PARTS_TIMEOUT_MS = 600_000;
/** What the started store takes, known from its settings and not from the product. */
const MAX_PARTS = Number(process.env.TEST_S3_MAX_PARTS ?? 10_000);

let storage: TestStorage;
let s3: S3Client;
let workspaceId: string;
let source: Server;
const sentHash = new Map<string, string>();

beforeAll(async () => {
  storage = await startTestStorage({
    S3_PART_SIZE_BYTES: String(PART_SIZE_BYTES),
    // The source runs in this process, beside servers that take all there is of the machine: it falls silent for seconds.
    SOURCE_HEADERS_TIMEOUT_MS: '60000',
    SOURCE_STALL_TIMEOUT_MS: '60000',
  });
  s3 = storage.store.createClient();
  workspaceId = await storage.database.createWorkspace();
  source = createServer(sendGenerated);
  await new Promise<void>((resolve) => source.listen(0, '127.0.0.1', resolve));
});

afterAll(async () => {
  source.close();
  source.closeAllConnections();
  s3.destroy();
  await storage.stop();
});

describe('a transfer to this store', () => {
  it('knows how many parts the store takes', async () => {
    expect((await storage.get(StoreCapabilities).profile()).maxParts.value).toBe(MAX_PARTS);
  });

  it.each([
    ['0 bytes', 0],
    ['1 part', PART_SIZE_BYTES],
    ['25 MiB', 25 * MiB],
  ])('brings %s', async (_what, size) => {
    await expectWhole(size);
  });

  it(
    `brings ${MANY_PARTS} x 5 MiB, in larger parts where the store takes fewer`,
    async () => {
      const { parts } = await expectWhole(MANY_PARTS * PART_SIZE_BYTES);
      if (MAX_PARTS >= MANY_PARTS) expect(parts).toBe(MANY_PARTS);
      else expect(parts).toBeLessThanOrEqual(MAX_PARTS);
    },
    MANY_PARTS_TIMEOUT_MS,
  );

  // A length that the source does not tell can only be refused where the parts end.
  if (MAX_PARTS < MANY_PARTS) {
    it(
      `refuses ${MANY_PARTS} x 5 MiB of a source that does not tell its length, with the figure`,
      async () => {
        const { path, transfer } = start(MANY_PARTS * PART_SIZE_BYTES, false);
        await expect(transfer).rejects.toMatchObject({
          code: 'UPLOAD_TOO_LARGE',
          message: expect.stringContaining(String(MAX_PARTS * PART_SIZE_BYTES)),
        });
        await expectNothing(path);
      },
      MANY_PARTS_TIMEOUT_MS,
    );

    it('refuses at once a length that no part size makes fit, with the figure', async () => {
      const { path, transfer } = start(MAX_PARTS * 5 * 1024 * MiB + 1);
      await expect(transfer).rejects.toMatchObject({
        code: 'UPLOAD_TOO_LARGE',
        message: expect.stringContaining(`${MAX_PARTS} parts`),
      });
      await expectNothing(path);
    });
  }
});

function start(size: number, isLengthTold = true) {
  const { port } = source.address() as AddressInfo;
  const path = `recordings/${workspaceId}/${randomUUID()}.mp4`;
  const query = new URLSearchParams({ path, size: String(size), told: String(isLengthTold) });
  const transfer = storage.transfers.createAndTransfer({
    sourceUrl: `http://127.0.0.1:${port}/video.mp4?${query}`,
    workspaceId,
    path,
    type: 'recording-video',
    mimeType: 'video/mp4',
  });
  return { path, transfer };
}

/** Transfers so many bytes, reads all of them back, and gives the number of parts. */
async function expectWhole(size: number): Promise<{ parts: number }> {
  const { path, transfer } = start(size);
  const file = await transfer;
  const place = { Bucket: storage.bucket, Key: path };
  const { Body } = await s3.send(new GetObjectCommand(place));
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of Body as AsyncIterable<Buffer>) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  const sha256 = sentHash.get(path);
  expect(file).toMatchObject({ transferStatus: 'DONE', size: BigInt(size), sha256 });
  expect({ bytes, sha256: hash.digest('hex') }).toEqual({ bytes: size, sha256 });
  // All stores that were tried make it of the parts' MD5 and their number, as AWS does.
  const { ETag = '' } = await s3.send(new HeadObjectCommand(place));
  await storage.s3.deleteObject(path);
  await expectNothing(path);
  return { parts: Number(/-(\d+)"$/.exec(ETag)?.[1] ?? 0) };
}

async function expectNothing(path: string): Promise<void> {
  const place = { Bucket: storage.bucket, Prefix: path };
  const objects = await s3.send(new ListObjectsV2Command(place));
  const uploads = await s3.send(new ListMultipartUploadsCommand(place));
  expect({ objects: objects.KeyCount, uploads: uploads.Uploads?.length ?? 0 }).toEqual({ objects: 0, uploads: 0 });
}

/** A body that no block of repeats, made as it is sent. */
async function sendGenerated({ url = '' }: { url?: string }, response: ServerResponse): Promise<void> {
  const { searchParams } = new URL(url, 'http://source');
  const size = Number(searchParams.get('size'));
  const hash = createHash('sha256');
  response.writeHead(200, searchParams.get('told') === 'true' ? { 'content-length': size } : {});
  const block = randomBytes(MiB);
  const blocks = async function* () {
    for (let sent = 0; sent < size; sent += block.length) {
      block.writeUInt32LE(sent / block.length, 0);
      const chunk = Buffer.from(block.subarray(0, size - sent));
      hash.update(chunk);
      yield chunk;
    }
    sentHash.set(searchParams.get('path') ?? '', hash.digest('hex'));
  };
  await pipeline(blocks, response).catch(() => {}); // A transfer that refuses breaks off.
}
