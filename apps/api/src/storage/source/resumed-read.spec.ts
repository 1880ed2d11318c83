import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import {
  type BehaviourName,
  contentSha256,
  type HostileSource,
  type ParameterValues,
  startHostileSource,
} from '@s3-transfer/hostile-source';
import { testSourceOptions } from '../../../test/support/test-source-options.js';
import type { SourceOptions, StorageOptions } from '../storage.options.js';
import type { ByteSource } from './byte-source.js';
import { SourceReader } from './source-reader.js';
import type { SourceRequest } from './source-request.js';
import { parseSourceVersion, type SourceVersion } from './source-version.js';

const MiB = 1024 * 1024;
const FILE = { sizeBytes: 300_000, seed: 7 };
const BUFFER_BYTES = 64 * 1024;

let hostile: HostileSource;

beforeAll(async () => {
  hostile = await startHostileSource();
});

afterAll(() => hostile.close());

interface Reading {
  behaviour?: BehaviourName;
  parameters?: ParameterValues;
  /** What the first of the two reads. */
  firstBytes?: number;
  bufferBytes?: number;
  options?: Partial<SourceOptions>;
  request?: Partial<SourceRequest>;
}

const readerOf = (options?: Partial<SourceOptions>) =>
  new SourceReader({
    source: testSourceOptions({ maxBytes: 1024 * MiB, retryDelayMs: 1, ...options }),
  } as StorageOptions);

/** Reads the beginning as a process that dies, and gives what such a one leaves in its row. */
async function readBeginning(url: URL, bytes: number) {
  const source = await readerOf().open({ url }, new AbortController().signal);
  const buffer = Buffer.alloc(bytes);
  const count = await source.read(buffer);
  const version = parseSourceVersion(JSON.parse(JSON.stringify(source.version)));
  source.destroy(new Error('the process died'));
  return { beginning: buffer.subarray(0, count), version };
}

async function readRest(source: ByteSource, bufferBytes: number): Promise<{ rest: Buffer; connections: number }> {
  const chunks: Buffer[] = [];
  let connections = 0;
  for (let isOver = false; !isOver; ) {
    const buffers = Array.from({ length: source.readsAtOnce }, () => Buffer.alloc(bufferBytes));
    const counts = await Promise.all(buffers.map((buffer) => source.read(buffer)));
    connections = Math.max(connections, hostile.openConnections);
    for (const [index, count] of counts.entries()) chunks.push(buffers[index]?.subarray(0, count) ?? Buffer.alloc(0));
    isOver = counts.some((count) => count < bufferBytes);
  }
  return { rest: Buffer.concat(chunks), connections };
}

/** Reads a file in two processes, and says what the second one asked for and showed. */
async function readInTwo({
  behaviour = 'honest-etag',
  parameters = {},
  firstBytes = BUFFER_BYTES,
  bufferBytes = BUFFER_BYTES,
  ...reading
}: Reading) {
  await hostile.connectionsClosed();
  const url = new URL(hostile.urlOf(behaviour, { ...FILE, ...parameters }));
  const { beginning, version } = await readBeginning(url, firstBytes);
  if (version === null) throw new Error('no other process could go on');
  await hostile.connectionsClosed();
  const before = hostile.requests.length;
  const shown: Buffer[] = [];
  const request = {
    url,
    onBytes: (bytes: Buffer) => void shown.push(Buffer.from(bytes)),
    onRestart: () => shown.splice(0),
    resume: { fromBytes: beginning.length, version },
    ...reading.request,
  };
  const source = await readerOf(reading.options).open(request, new AbortController().signal);
  const { rest, connections } = await readRest(source, bufferBytes);
  expect(Buffer.concat(shown).equals(rest)).toBe(true);
  const sha256 = createHash('sha256').update(beginning).update(rest).digest('hex');
  return { sha256, requests: hostile.requests.slice(before), connections, source, version };
}

describe('a file whose beginning another process has', () => {
  it.each<BehaviourName>(['honest-etag', 'honest-last-modified', 'honest-unannounced-ranges'])(
    'is read from there on, in one request for the rest: %s',
    async (behaviour) => {
      const inspect = jest.fn(async () => {});
      const { sha256, requests, source, version } = await readInTwo({ behaviour, request: { inspect } });
      expect(sha256).toBe(await contentSha256(FILE));
      expect(requests.map(({ range }) => range)).toEqual([`bytes=${BUFFER_BYTES}-`]);
      expect(requests[0]?.ifRange).toBe(version.etag ?? version.lastModified);
      expect(inspect).not.toHaveBeenCalled();
      expect(source).toMatchObject({ length: FILE.sizeBytes, isLengthVerified: true, version });
    },
  );

  it.each<[BehaviourName, ParameterValues]>([
    ['cut-every-n-bytes', { everyBytes: 100_000 }],
    ['reset-every-n-bytes', { everyBytes: 100_000 }],
    ['resume-500-once', {}],
    ['range-shorter', {}],
    ['range-unknown-total', {}],
  ])('is taken up as often as it breaks: %s', async (behaviour, parameters) => {
    const { sha256 } = await readInTwo({ behaviour, parameters });
    expect(sha256).toBe(await contentSha256(FILE));
  });

  it.each<BehaviourName>([
    'etag-changes',
    'last-modified-changes',
    'total-changes',
    'range-other-etag',
    'etag-missing-on-resume',
    'range-ignored',
    'range-ignored-other-etag',
    'range-wrong-start',
    'range-wrong-total',
    'range-multipart',
    'range-without-content-range',
    'resume-416',
    'resume-416-other-total',
    'resume-login-page',
  ])('is never mixed with another, nor read from its beginning: %s', async (behaviour) => {
    const reading = readInTwo({ behaviour });
    await expect(reading).rejects.toMatchObject({ code: 'SOURCE_NOT_RESUMABLE', isRetryable: true });
  });

  it('and which changes once more while it is read, is not gone on with', async () => {
    const reading = readInTwo({ behaviour: 'etag-alternates', parameters: { everyBytes: 100_000 } });
    await expect(reading).rejects.toMatchObject({ code: 'SOURCE_NOT_RESUMABLE' });
  });

  it('is asked for nowhere when all of it is there', async () => {
    const { requests, sha256 } = await readInTwo({ firstBytes: FILE.sizeBytes });
    expect(requests).toEqual([]);
    expect(sha256).toBe(await contentSha256(FILE));
  });

  it('is asked for at a fresh link where the old one has expired', async () => {
    const fresh = new URL(hostile.urlOf('link-expires', FILE));
    const refresh = jest.fn(async () => ({ url: fresh }));
    const url = new URL(fresh);
    url.searchParams.set('token', 'old');
    fresh.searchParams.set('token', 'new');
    const { beginning, version } = await readBeginning(url, BUFFER_BYTES);
    const resume = { fromBytes: beginning.length, version: version as SourceVersion };
    const source = await readerOf().open({ url, refresh, resume }, new AbortController().signal);
    const { rest } = await readRest(source, BUFFER_BYTES);
    expect(createHash('sha256').update(beginning).update(rest).digest('hex')).toBe(await contentSha256(FILE));
    expect(refresh).toHaveBeenCalledTimes(1);
  });

  it.each<[string, Partial<SourceRequest>]>([
    ['SOURCE_TOO_LARGE', { maxBytes: FILE.sizeBytes - 1 }],
    ['SOURCE_SIZE_MISMATCH', { expectedBytes: FILE.sizeBytes - 1 }],
  ])('is judged by the length of the whole of it: %s', async (code, request) => {
    await expect(readInTwo({ request })).rejects.toMatchObject({ code });
  });

  it.each<[string, number, Partial<SourceVersion>]>([
    ['no validator', 1, { etag: null }],
    ['a weak validator', 1, { etag: 'W/"a"' }],
    ['more bytes than it has', 11, {}],
  ])('of which is known %s, is not asked for', async (_what, fromBytes, changes) => {
    const before = hostile.requests.length;
    const version = { length: 10, etag: '"a"', lastModified: null, contentEncoding: null, ...changes };
    const url = new URL(hostile.urlOf('honest-etag', FILE));
    const opening = readerOf().open({ url, resume: { fromBytes, version } }, new AbortController().signal);
    await expect(opening).rejects.toMatchObject({ code: 'SOURCE_NOT_RESUMABLE' });
    expect(hostile.requests).toHaveLength(before);
  });
});

describe('the rest of a file from a source that limits each connection', () => {
  const bigFile = { sizeBytes: 48 * MiB, seed: 3 };
  const reading = {
    parameters: { ...bigFile, bytesPerSecond: 8_000_000 },
    firstBytes: 5 * MiB,
    bufferBytes: 5 * MiB,
  };

  it('is read over several', async () => {
    const { sha256, requests, connections } = await readInTwo({ behaviour: 'rate-per-connection', ...reading });
    expect(sha256).toBe(await contentSha256(bigFile));
    expect(connections).toBeGreaterThan(1);
    const starts = requests.map(({ range }) => Number(/^bytes=(\d+)-/.exec(range ?? '')?.[1]));
    expect(Math.min(...starts)).toBe(5 * MiB);
  });

  it.each<BehaviourName>(['connections-limited-by-503', 'ranges-for-one-connection'])(
    'is read over those it serves: %s',
    async (behaviour) => {
      const { sha256 } = await readInTwo({ behaviour, ...reading });
      expect(sha256).toBe(await contentSha256(bigFile));
    },
  );
});

describe('the version of a source', () => {
  it.each<BehaviourName>(['honest-no-validator', 'honest-no-ranges', 'honest-chunked', 'etag-weak'])(
    'is not told where another process could not go on: %s',
    async (behaviour) => {
      const { version } = await readBeginning(new URL(hostile.urlOf(behaviour, FILE)), 1_000);
      expect(version).toBeNull();
    },
  );

  it('is not told once ranges were not given', async () => {
    const url = new URL(hostile.urlOf('range-ignored', FILE));
    const source = await readerOf().open({ url }, new AbortController().signal);
    expect(source.version).toMatchObject({ length: FILE.sizeBytes });
    await readRest(source, BUFFER_BYTES);
    expect(source.version).toBeNull();
  });
});

describe('parseSourceVersion', () => {
  const version = { length: 10, etag: '"a"', lastModified: null, contentEncoding: 'gzip' };

  it('gives back what was kept', () => {
    expect(parseSourceVersion(JSON.parse(JSON.stringify(version)))).toEqual(version);
  });

  it.each<[string, unknown]>([
    ['nothing', null],
    ['a text', '{}'],
    ['a length that is none', { ...version, length: -1 }],
    ['no whole number', { ...version, length: 1.5 }],
    ['a missing field', { length: 10, etag: '"a"', lastModified: null }],
    ['a further field', { ...version, more: 1 }],
    ['a validator that is no text', { ...version, etag: 5 }],
    ['a validator that ends its line', { ...version, etag: '"a"\r\nhost: b' }],
  ])('takes no %s', (_what, json) => {
    expect(parseSourceVersion(json)).toBeNull();
  });
});
