import { createHash, randomBytes, randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { kindOf, openStoreWay, type StoreWay } from '../../../test/support/store-way.js';
import { startTestStorage, type TestStorage } from '../../../test/support/test-storage.js';
import { ObjectUploader } from './object-uploader.js';
import { StoredObjectReader } from './stored-object-reader.js';
import type { StoredPart } from './stored-part.js';
import { StreamSource } from './stream-source.js';

const MiB = 1024 * 1024;
const PART = 5 * MiB;
/** More than one range, and a short part at the end. */
const CONTENT = randomBytes(70 * MiB + 7);

let storage: TestStorage;
let way: StoreWay;
let key: string;

beforeAll(async () => {
  way = await openStoreWay(() => storage.store.variables.S3_ENDPOINT);
  storage = await startTestStorage({ S3_ENDPOINT: way.endpoint, S3_STORE: 'local-s3', S3_ANSWER_TIMEOUT_MS: '1000' });
  key = await write(CONTENT);
});

afterAll(async () => {
  await storage.stop();
  way.close();
});

beforeEach(() => way.reset());

async function write(content: Buffer): Promise<string> {
  const key = `objects/${randomUUID()}`;
  const source = new StreamSource(Readable.from([content]), { length: content.length });
  const request = { bucket: storage.bucket, key, source, contentType: 'video/mp4', token: `${randomUUID()}.1` };
  await storage.get(ObjectUploader).write(request);
  return key;
}

const digests: Record<string, (bytes: Buffer) => string> = {
  crc32: (bytes) => `crc32:${Buffer.from(crc32(bytes).toString(16).padStart(8, '0'), 'hex').toString('base64')}`,
  md5: (bytes) => `md5:${createHash('md5').update(bytes).digest('base64')}`,
  sha256: (bytes) => `sha256:${createHash('sha256').update(bytes).digest('base64')}`,
};

/** What would be on record of the parts, hashed one way after the other. */
function partsOf(content: Buffer, partSizeBytes = PART): StoredPart[] {
  const ways = Object.values(digests);
  return Array.from({ length: Math.ceil(content.length / partSizeBytes) }, (_, index) => {
    const bytes = content.subarray(index * partSizeBytes, (index + 1) * partSizeBytes);
    const digest = ways[index % ways.length]?.(bytes) ?? '';
    return { number: index + 1, sizeBytes: bytes.length, etag: '', digest };
  });
}

function hash(parts: StoredPart[] = [], signal = new AbortController().signal) {
  const object = { bucket: storage.bucket, key, size: CONTENT.length, parts, partSizeBytes: PART };
  return storage.get(StoredObjectReader).hash(object, signal);
}

/** Answers the first range by itself: with its first bytes, and whatever `end` does then. */
function answerHalf(end: (response: ServerResponse) => void, headers: Record<string, string> = {}) {
  let isFirst = true;
  way.disturb = (request, response) => {
    if (kindOf(request) !== 'get' || !isFirst) return false;
    isFirst = false;
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    const length = Number(last) + 1;
    const range = { 'content-length': length, 'content-range': `bytes ${first}-${last}/${CONTENT.length}` };
    response.writeHead(206, { ...range, ...headers });
    response.write(CONTENT.subarray(0, 8 * MiB + 1), () => end(response));
    return true;
  };
}

/** Ends of the ranges that are asked for from now on: one that a busy machine has asked for twice counts once. */
function watchEnds(): Set<number> {
  const ends = new Set<number>();
  way.disturb = (request) => {
    ends.add(Number(request.headers.range?.split('-')[1]));
    return false;
  };
  return ends;
}

const sha256 = createHash('sha256').update(CONTENT).digest('hex');

describe('an object that is read back', () => {
  it('has the SHA-256 of all its bytes, and every part is what was sent, however it was hashed', async () => {
    const ends = watchEnds();
    expect(await hash(partsOf(CONTENT))).toBe(sha256);
    expect([...ends]).toEqual([64 * MiB - 1, CONTENT.length - 1]);
  });

  it.each(Object.keys(digests))(
    'is refused with the number of the part that is not what was sent: %s',
    async (name) => {
      const sent = Buffer.from(CONTENT.subarray(PART, 2 * PART));
      sent[PART - 1] = (sent[PART - 1] ?? 0) ^ 1;
      const other = { number: 2, sizeBytes: PART, etag: '', digest: digests[name]?.(sent) ?? '' };
      await expect(hash([other])).rejects.toMatchObject({
        code: 'STORED_BYTES_CHANGED',
        message: expect.stringContaining('part 2 '),
      });
    },
  );

  it('is not read further where a part is not what was sent', async () => {
    const [first] = partsOf(CONTENT);
    const ends = watchEnds();
    await expect(hash([{ ...(first as StoredPart), digest: 'crc32:AAAAAA==' }])).rejects.toMatchObject({
      code: 'STORED_BYTES_CHANGED',
    });
    expect([...ends]).toEqual([64 * MiB - 1]);
  });

  it.each<[string, (response: ServerResponse) => void]>([
    ['breaks off', (response) => response.destroy()],
    ['falls silent', () => {}],
  ])('is taken up from the exact byte when the answer %s', async (_what, end) => {
    const asked: unknown[] = [];
    answerHalf(end);
    const { disturb } = way;
    way.disturb = (request, response) => {
      asked.push(request.headers.range);
      return disturb(request, response);
    };
    expect(await hash(partsOf(CONTENT))).toBe(sha256);
    expect(asked[1]).toMatch(/^bytes=[1-9]\d*-67108863$/);
  });

  it('is refused when another took its place meanwhile', async () => {
    answerHalf((response) => response.destroy(), { etag: '"before"' });
    await expect(hash()).rejects.toMatchObject({
      code: 'STORED_BYTES_CHANGED',
      message: expect.stringContaining('changed while it was read back'),
    });
  });

  it('is refused when the store gives another range than was asked for', async () => {
    way.disturb = (_request, response) => {
      response.end('the whole of it');
      return true;
    };
    await expect(hash()).rejects.toMatchObject({ code: 'UPLOAD_FAILED' });
  });

  it('is refused when it is not there', async () => {
    const object = { bucket: storage.bucket, key: 'nothing', size: 5, parts: [], partSizeBytes: PART };
    const reading = storage.get(StoredObjectReader).hash(object, new AbortController().signal);
    await expect(reading).rejects.toMatchObject({ code: 'OBJECT_NOT_FOUND' });
  });

  it('is let go of at once with its signal', async () => {
    const reason = new Error('the lease ran out');
    const end = new AbortController();
    answerHalf(() => end.abort(reason));
    await expect(hash([], end.signal)).rejects.toBe(reason);
    expect(way.seen).toEqual(['get']);
  });

  it('is asked for nowhere when it is empty', async () => {
    const object = { bucket: storage.bucket, key: 'empty', size: 0, parts: [], partSizeBytes: PART };
    expect(await storage.get(StoredObjectReader).hash(object, new AbortController().signal)).toBe(
      createHash('sha256').digest('hex'),
    );
    expect(way.seen).toEqual([]);
  });
});
