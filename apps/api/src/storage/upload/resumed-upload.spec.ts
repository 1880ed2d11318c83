import { createHash, randomUUID } from 'node:crypto';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer as readBuffer } from 'node:stream/consumers';
import {
  AbortMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  ListPartsCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { type BehaviourName, contentSha256, type HostileSource, startHostileSource } from '@s3-transfer/hostile-source';
import { kindOf, openStoreWay, type StoreWay } from '../../../test/support/store-way.js';
import { startTestStorage, type TestStorage } from '../../../test/support/test-storage.js';
import type { ByteSource } from '../source/byte-source.js';
import { SourceReader } from '../source/source-reader.js';
import type { SourceVersion } from '../source/source-version.js';
import { StorageError } from '../storage.errors.js';
import { type LeftUpload, ObjectUploader, type WriteRequest } from './object-uploader.js';
import { PartBufferPool } from './part-buffer-pool.js';
import { StoredObjectReader } from './stored-object-reader.js';
import type { StoredPart } from './stored-part.js';

const MiB = 1024 * 1024;
const PART = 5 * MiB;
const QUEUE = 2;
const PARTS = 6;
const FILE = { sizeBytes: (PARTS - 1) * PART + 12_345, seed: 11 };
const lost = () => new StorageError('TRANSFER_LOST', 'the process died');

let hostile: HostileSource;
let storage: TestStorage;
let s3: S3Client;
let way: StoreWay;
let uploader: ObjectUploader;

beforeAll(async () => {
  hostile = await startHostileSource();
  way = await openStoreWay(() => storage.store.variables.S3_ENDPOINT);
  storage = await startTestStorage({
    S3_ENDPOINT: way.endpoint,
    S3_QUEUE_SIZE: String(QUEUE),
    S3_STORE: 'local-s3',
    S3_ANSWER_TIMEOUT_MS: '2000',
    SOURCE_MAX_CONNECTIONS: '1',
  });
  s3 = storage.store.createClient();
  uploader = storage.get(ObjectUploader);
});

afterAll(async () => {
  s3.destroy();
  await storage.stop();
  way.close();
  await hostile.close();
});

beforeEach(() => way.reset());

/** One file on its way, and what its row would hold of it. */
class Journey {
  readonly bucket = storage.bucket;
  readonly key = `objects/${randomUUID()}`;
  readonly id = randomUUID();
  readonly url: URL;
  readonly parts: StoredPart[] = [];
  uploadId = '';
  partSizeBytes = 0;
  version: SourceVersion | null = null;
  bytesRead = 0;
  readsBegun = 0;
  private tries = 0;

  constructor(behaviour: BehaviourName = 'honest-etag') {
    this.url = new URL(hostile.urlOf(behaviour, FILE));
  }

  async open(fromBytes = 0): Promise<ByteSource> {
    const { url, version } = this;
    const onBytes = (bytes: Buffer) => {
      this.bytesRead += bytes.length;
    };
    const resume = fromBytes > 0 && version !== null ? { resume: { fromBytes, version } } : {};
    return this.count(await storage.get(SourceReader).open({ url, onBytes, ...resume }, new AbortController().signal));
  }

  /** Writes what `source` gives, as a runner does. */
  async write(source: ByteSource, changes: Partial<WriteRequest> = {}) {
    if (changes.resume === undefined) this.tries += 1; // The object carries the token of the try that began its upload.
    const { hooks, ...rest } = changes;
    return await uploader.write({
      bucket: this.bucket,
      key: this.key,
      source,
      contentType: 'video/mp4',
      token: `${this.id}.${this.tries}`,
      hooks: {
        onUploadId: async (uploadId, { partSizeBytes }) => void Object.assign(this, { uploadId, partSizeBytes }),
        ...hooks,
        onPart: async (part) => {
          this.version = source.version;
          this.parts.push(part);
          await hooks?.onPart?.(part);
        },
      },
      ...rest,
    });
  }

  /** Ends as a process that dies after the store took so many parts: nothing is cleaned up. */
  async dieAfter(parts: number): Promise<void> {
    const onPart = async () => {
      if (this.parts.length >= parts) throw lost();
    };
    await expect(this.write(await this.open(), { hooks: { onPart } })).rejects.toMatchObject({ code: 'TRANSFER_LOST' });
  }

  async find(changes: Partial<LeftUpload> = {}) {
    return await uploader.findResumable({ ...this.left, ...changes }, new AbortController().signal);
  }

  /** Goes on with what findResumable gives. */
  async goOn(changes: Partial<WriteRequest> = {}) {
    const resume = await this.find();
    if (resume === null) throw new Error('nothing to go on with');
    const fromBytes = resume.parts.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    return { fromBytes, uploaded: await this.write(await this.open(fromBytes), { resume, ...changes }) };
  }

  async storedNumbers(): Promise<number[]> {
    const { bucket: Bucket, key: Key, uploadId: UploadId } = this;
    const { Parts = [] } = await s3.send(new ListPartsCommand({ Bucket, Key, UploadId }));
    return Parts.map(({ PartNumber = 0 }) => PartNumber);
  }

  async read() {
    const object = await s3.send(new GetObjectCommand({ Bucket: this.bucket, Key: this.key }));
    const sha256 = createHash('sha256').update((await object.Body?.transformToByteArray()) ?? '');
    return { sha256: sha256.digest('hex'), token: object.Metadata?.['transfer-token'] };
  }

  get left(): LeftUpload {
    const { bucket, key, uploadId, partSizeBytes, parts } = this;
    return { bucket, key, uploadId, partSizeBytes, parts };
  }

  private count(source: ByteSource): ByteSource {
    const read = source.read.bind(source);
    source.read = (buffer) => {
      if (buffer.length > 1) this.readsBegun += 1;
      return read(buffer);
    };
    return source;
  }
}

const partNumberOf = (url = '') => Number(new URL(url, 'http://store').searchParams.get('partNumber'));

describe('an upload that another process began', () => {
  it('is gone on with behind its stored parts, under its id, and has the bytes of the source', async () => {
    const journey = new Journey();
    await journey.dieAfter(3);
    way.reset();
    const sent: number[] = [];
    let complete: Promise<Buffer> | undefined;
    way.disturb = (request) => {
      if (kindOf(request) === 'part') sent.push(partNumberOf(request.url));
      if (kindOf(request) === 'complete') complete = readBuffer(request);
      return false;
    };
    const onUploadId = jest.fn(async () => {});
    const { fromBytes, uploaded } = await journey.goOn({ hooks: { onUploadId } });
    const stored = fromBytes / PART;
    expect(stored).toBeGreaterThanOrEqual(3 - QUEUE);
    expect(uploaded.size).toBe(FILE.sizeBytes);
    expect(await journey.read()).toEqual({ sha256: await contentSha256(FILE), token: `${journey.id}.1` });
    expect(way.seen).not.toContain('create');
    expect(onUploadId).not.toHaveBeenCalled();
    expect(sent.sort((one, other) => one - other)).toEqual(
      Array.from({ length: PARTS - stored }, (_, index) => stored + 1 + index),
    );
    // All with the checksum that they were sent with: AWS takes none of them without.
    expect(String(await complete).match(/<ChecksumCRC32>/g)).toHaveLength(PARTS);
    expect(storage.get(PartBufferPool).bytes.held).toBe(0);
  });

  it('is read again for no more than the parts in flight and one', async () => {
    const journey = new Journey();
    const held = Promise.withResolvers<void>();
    way.disturb = (request, response) => {
      if (partNumberOf(request.url) !== 2) return false;
      // The store says nothing of this part, while all others go well.
      request.resume();
      response.on('close', held.resolve);
      return true;
    };
    const taken: number[] = [];
    let readsBegun = 0;
    const onPart = async ({ number }: StoredPart) => {
      taken.push(number);
      if (taken.length < 1 + QUEUE) return;
      readsBegun = journey.readsBegun;
      throw lost();
    };
    await expect(journey.write(await journey.open(), { hooks: { onPart } })).rejects.toThrow();
    await held.promise;
    expect(taken).toEqual([1, 3, 4]);
    expect(readsBegun).toBe(4);
    const bytesRead = journey.bytesRead;
    way.reset();
    const { fromBytes } = await journey.goOn();
    expect(fromBytes).toBe(PART);
    expect(bytesRead - fromBytes).toBeLessThanOrEqual((QUEUE + 1) * PART);
    expect(journey.bytesRead - FILE.sizeBytes).toBeLessThanOrEqual((QUEUE + 1) * PART);
    expect((await journey.read()).sha256).toBe(await contentSha256(FILE));
  });

  it('of which all parts are stored is only completed', async () => {
    const journey = new Journey();
    await expect(
      journey.write(await journey.open(), { hooks: { beforeObject: () => Promise.reject(lost()) } }),
    ).rejects.toMatchObject({ code: 'TRANSFER_LOST' });
    const asked = hostile.requests.length;
    way.reset();
    const sizes: number[] = [];
    const beforeObject = async (size: number) => void sizes.push(size);
    const { fromBytes } = await journey.goOn({ hooks: { beforeObject } });
    expect(fromBytes).toBe(FILE.sizeBytes);
    expect(sizes).toEqual([FILE.sizeBytes]);
    expect(hostile.requests).toHaveLength(asked);
    expect(way.seen.slice(0, 2)).toEqual(['list parts', 'complete']);
    expect((await journey.read()).sha256).toBe(await contentSha256(FILE));
  });

  it('is of the version that its source had when the id was told, though the file began anew before', async () => {
    const journey = new Journey('etag-changes');
    const source = await journey.open();
    const atFirst = source.version;
    let whenTold: SourceVersion | null = null;
    const onUploadId = async () => {
      whenTold = source.version;
    };
    await journey.write(source, { hooks: { onUploadId } });
    expect(whenTold).toMatchObject({ length: FILE.sizeBytes });
    expect(whenTold).not.toEqual(atFirst);
    expect(source.version).toEqual(whenTold);
    expect((await journey.read()).sha256).toBe(await contentSha256({ ...FILE, seed: FILE.seed + 1 }));
  });

  it('may be gone on with as often as it takes', async () => {
    const journey = new Journey();
    await journey.dieAfter(2);
    const onPart = async () => {
      throw lost();
    };
    await expect(journey.goOn({ hooks: { onPart } })).rejects.toMatchObject({ code: 'TRANSFER_LOST' });
    await journey.goOn();
    expect((await journey.read()).sha256).toBe(await contentSha256(FILE));
  });

  it('is refused where the stored parts are not the beginning of this file', async () => {
    const journey = new Journey();
    await journey.dieAfter(2);
    const resume = await journey.find();
    const parts = resume?.parts.map((part) => ({ ...part, sizeBytes: part.sizeBytes - 1 })) ?? [];
    const wrong = { uploadId: journey.uploadId, partSizeBytes: PART, parts };
    await expect(journey.write(await journey.open(), { resume: wrong })).rejects.toMatchObject({
      code: 'SOURCE_NOT_RESUMABLE',
    });
  });
});

describe('a part whose bytes changed in the store before another process went on', () => {
  /** As a disk does that loses a bit: in the file that local-s3 keeps the part in. */
  async function flipByte({ bucket, uploadId }: LeftUpload, number: number, position: number): Promise<void> {
    const folder = join(storage.store.dataDir ?? '', 'buckets', bucket);
    const part = JSON.parse(await readFile(join(folder, 'uploads', uploadId, `${number}.json`), 'utf8'));
    const file = await open(join(folder, 'data', part.file), 'r+');
    const byte = Buffer.alloc(1);
    await file.read(byte, 0, 1, position);
    await file.write(Buffer.of((byte[0] ?? 0) ^ 1), 0, 1, position);
    await file.close();
  }

  it('is found and named when the object is read back', async () => {
    const journey = new Journey();
    await journey.dieAfter(4);
    await flipByte(journey.left, 2, PART - 1);
    const { uploaded } = await journey.goOn();
    const object = { ...journey.left, size: uploaded.size };
    const reading = storage.get(StoredObjectReader).hash(object, new AbortController().signal);
    await expect(reading).rejects.toMatchObject({
      code: 'STORED_BYTES_CHANGED',
      isRetryable: true,
      message: expect.stringContaining('part 2 '),
    });
  });

  it('and which did not, has the SHA-256 of the source', async () => {
    const journey = new Journey();
    await journey.dieAfter(4);
    const { uploaded } = await journey.goOn();
    const object = { ...journey.left, size: uploaded.size };
    expect(await storage.get(StoredObjectReader).hash(object, new AbortController().signal)).toBe(
      await contentSha256(FILE),
    );
  });
});

describe('findResumable', () => {
  const PAGE = 1_000;
  let upload: LeftUpload;

  /** Small parts, which no object can be made of; sent by a foreign client, so as to know nothing of our own. */
  async function store(numbers: readonly number[], sizeBytes = 5): Promise<void> {
    const place = { Bucket: storage.bucket, Key: upload.key, UploadId: upload.uploadId };
    const parts = await Promise.all(
      numbers.map(async (number) => {
        const Body = Buffer.alloc(sizeBytes, number);
        const { ETag = '' } = await s3.send(new UploadPartCommand({ ...place, PartNumber: number, Body }));
        return { number, sizeBytes, etag: ETag, digest: 'md5:' };
      }),
    );
    upload = { ...upload, parts: [...upload.parts, ...parts] };
  }

  const find = (changes: Partial<LeftUpload> = {}) =>
    uploader.findResumable({ ...upload, ...changes }, new AbortController().signal);
  const numbersOf = (found: Awaited<ReturnType<typeof find>>) => found?.parts.map(({ number }) => number);

  beforeEach(async () => {
    const place = { bucket: storage.bucket, key: `objects/${randomUUID()}` };
    const { UploadId = '' } = await s3.send(new CreateMultipartUploadCommand({ Bucket: place.bucket, Key: place.key }));
    upload = { ...place, uploadId: UploadId, partSizeBytes: 5, parts: [] };
  });

  it('gives the parts before the first one that the store does not have', async () => {
    await store([1, 2, 4]);
    expect(await find()).toEqual({
      uploadId: upload.uploadId,
      partSizeBytes: 5,
      parts: upload.parts.slice(0, 2),
      namesChecksums: expect.any(Boolean),
    });
  });

  it('gives the parts before the first one that nobody wrote down', async () => {
    await store([1, 2, 3]);
    expect(numbersOf(await find({ parts: upload.parts.filter(({ number }) => number !== 2) }))).toEqual([1]);
  });

  it('does not count a part of another ETag', async () => {
    await store([1, 2, 3]);
    const parts = upload.parts.map((part) => (part.number === 2 ? { ...part, etag: '"another"' } : part));
    expect(numbersOf(await find({ parts }))).toEqual([1]);
  });

  it('does not count a part of another size', async () => {
    await store([1, 2, 3]);
    const parts = upload.parts.map((part) => (part.number === 2 ? { ...part, sizeBytes: 6 } : part));
    expect(numbersOf(await find({ parts }))).toEqual([1]);
  });

  it('takes a short part as the last one alone', async () => {
    await store([1]);
    await store([2], 3);
    expect(numbersOf(await find())).toEqual([1, 2]);
    await store([3]);
    expect(numbersOf(await find())).toEqual([1]);
  });

  it('looks at every page', async () => {
    const numbers = Array.from({ length: PAGE + 2 }, (_, index) => index + 1);
    const item = (number: number) =>
      `<Part><PartNumber>${number}</PartNumber><Size>5</Size><ETag>&quot;${number}&quot;</ETag></Part>`;
    way.disturb = (request, response) => {
      const after = Number(new URL(request.url ?? '', 'http://store').searchParams.get('part-number-marker'));
      const page = numbers.slice(after, after + PAGE);
      const next = `<IsTruncated>${after === 0}</IsTruncated><NextPartNumberMarker>${after + page.length}</NextPartNumberMarker>`;
      response.setHeader('content-type', 'application/xml');
      response.end(`<ListPartsResult>${next}${page.map(item).join('')}</ListPartsResult>`);
      return true;
    };
    const parts = numbers.map((number) => ({ number, sizeBytes: 5, etag: `"${number}"`, digest: 'md5:' }));
    expect(numbersOf(await find({ parts }))).toEqual(numbers);
    expect(way.seen).toEqual(['list parts', 'list parts']);
  });

  it.each<[string, Partial<LeftUpload>]>([
    ['no part was written down', { parts: [] }],
    ['the part size is none', { partSizeBytes: 0 }],
    ['the part size is another', { partSizeBytes: 4 }],
  ])('gives nothing where %s', async (_what, changes) => {
    await store([1, 2]);
    expect(await find(changes)).toBeNull();
  });

  it('gives nothing where the upload is gone', async () => {
    await store([1, 2]);
    const { bucket: Bucket, key: Key, uploadId: UploadId } = upload;
    await s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
    expect(await find()).toBeNull();
  });

  it('ends with its signal, also while the store is away', async () => {
    await store([1]);
    const reason = new Error('the lease ran out');
    const end = new AbortController();
    way.disturb = (_request, response) => {
      response.destroy();
      end.abort(reason);
      return true;
    };
    await expect(uploader.findResumable(upload, end.signal)).rejects.toBe(reason);
  });
});

describe('parts of an upload that fails', () => {
  const onDiscarded = jest.fn();

  beforeEach(() => void onDiscarded.mockClear());

  /** The store refuses part 3, and answers part 2 when that is known. */
  function refuseThird() {
    const { promise: isKnown, resolve: answerSecond } = Promise.withResolvers<void>();
    way.delay = (request) => (partNumberOf(request.url) === 2 ? isKnown : undefined);
    way.disturb = (request, response) => {
      if (partNumberOf(request.url) !== 3) return false;
      request.resume();
      response.writeHead(403, { 'content-type': 'application/xml' }).end('<Error><Code>AccessDenied</Code></Error>');
      return true;
    };
    return { answerSecond };
  }

  it('stay where their owner wants to go on, those under way included', async () => {
    const journey = new Journey();
    const { answerSecond } = refuseThird();
    const keepParts = jest.fn((_error: unknown) => {
      answerSecond();
      return true;
    });
    const writing = journey.write(await journey.open(), { keepParts, hooks: { onDiscarded } });
    await expect(writing).rejects.toMatchObject({ code: 'STORE_ACCESS_DENIED' });
    expect(keepParts).toHaveBeenCalledTimes(1);
    expect(keepParts).toHaveBeenCalledWith(expect.objectContaining({ code: 'STORE_ACCESS_DENIED' }));
    expect(journey.parts.map(({ number }) => number).sort()).toEqual([1, 2]);
    expect(await journey.storedNumbers()).toEqual([1, 2]);
    expect(onDiscarded).not.toHaveBeenCalled();
    expect(way.seen).not.toContain('abort');
    way.reset();
    await journey.goOn();
    expect((await journey.read()).sha256).toBe(await contentSha256(FILE));
  });

  it('are not waited for longer than the store gets for an answer', async () => {
    const journey = new Journey();
    way.disturb = (request, response) => {
      const number = partNumberOf(request.url);
      if (number !== 2 && number !== 3) return false;
      request.resume();
      if (number === 3) response.writeHead(403).end();
      return true;
    };
    const writing = journey.write(await journey.open(), { keepParts: () => true, hooks: { onDiscarded } });
    await expect(writing).rejects.toMatchObject({ code: 'STORE_ACCESS_DENIED' });
    expect(await journey.storedNumbers()).toEqual([1]);
  });

  it.each([
    ['does not want to go on', () => false],
    ['was not asked for', undefined],
  ])('are gone where their owner %s', async (_what, keepParts) => {
    const journey = new Journey();
    refuseThird();
    const writing = journey.write(await journey.open(), { keepParts, hooks: { onDiscarded } });
    await expect(writing).rejects.toMatchObject({ code: 'STORE_ACCESS_DENIED' });
    await expect(journey.storedNumbers()).rejects.toMatchObject({ name: 'NoSuchUpload' });
    expect(onDiscarded).toHaveBeenCalledTimes(1);
  });

  it('are gone too where the upload was gone on with', async () => {
    const journey = new Journey();
    await journey.dieAfter(2);
    const onPart = () => Promise.reject(new StorageError('TRANSFER_CANCELLED', 'enough'));
    await expect(journey.goOn({ hooks: { onPart, onDiscarded } })).rejects.toMatchObject({
      code: 'TRANSFER_CANCELLED',
    });
    await expect(journey.storedNumbers()).rejects.toMatchObject({ name: 'NoSuchUpload' });
    expect(onDiscarded).toHaveBeenCalledTimes(1);
  });

  it('are gone where nobody was told the id of the upload', async () => {
    const journey = new Journey();
    const keepParts = jest.fn(() => true);
    const onUploadId = async (uploadId: string) => {
      journey.uploadId = uploadId;
      throw new Error('the database is away');
    };
    const writing = journey.write(await journey.open(), { keepParts, hooks: { onUploadId, onDiscarded } });
    await expect(writing).rejects.toThrow('the database is away');
    expect(keepParts).not.toHaveBeenCalled();
    await expect(journey.storedNumbers()).rejects.toMatchObject({ name: 'NoSuchUpload' });
  });

  it('are not touched where another took the file over, and nobody is asked', async () => {
    const journey = new Journey();
    const keepParts = jest.fn(() => false);
    const onPart = async () => {
      throw lost();
    };
    await expect(journey.write(await journey.open(), { keepParts, hooks: { onPart } })).rejects.toMatchObject({
      code: 'TRANSFER_LOST',
    });
    expect(keepParts).not.toHaveBeenCalled();
    expect(await journey.storedNumbers()).toContain(1);
  });
});
