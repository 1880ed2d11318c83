import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  type BehaviourName,
  contentSha256,
  type HostileSource,
  type ParameterValues,
  startHostileSource,
} from '@s3-transfer/hostile-source';
import { buildConnector } from 'undici';
import { testSourceOptions } from '../../../test/support/test-source-options.js';
import { StorageError } from '../storage.errors.js';
import type { SourceOptions, StorageOptions } from '../storage.options.js';
import { SourceReader, type SourceSeams } from './source-reader.js';
import { parseSourceHeaders, type SourceRequest } from './source-request.js';

const MiB = 1024 * 1024;
const FILE = { sizeBytes: 300_000, seed: 7 };

let hostile: HostileSource;

beforeAll(async () => {
  hostile = await startHostileSource();
});

afterAll(() => hostile.close());

interface Reading {
  behaviour?: BehaviourName;
  parameters?: ParameterValues;
  url?: string;
  options?: Partial<SourceOptions>;
  request?: Partial<SourceRequest>;
  seams?: SourceSeams;
  bufferBytes?: number;
}

/** Reads a file to its end as an upload does, and says what the server saw of it. */
async function read({ behaviour = 'honest-etag', parameters = {}, bufferBytes = 64 * 1024, ...reading }: Reading) {
  await hostile.connectionsClosed();
  const url = reading.url ?? hostile.urlOf(behaviour, { ...FILE, ...parameters });
  const before = hostile.requests.length;
  const source = testSourceOptions({ maxBytes: 1024 * MiB, retryDelayMs: 1, ...reading.options });
  const reader = new SourceReader({ source } as StorageOptions, reading.seams);
  let shown = createHash('sha256');
  const request: SourceRequest = {
    url: reader.parseUrl(url),
    ...reading.request,
    onBytes: (bytes) => shown.update(bytes),
    onRestart: () => {
      shown = createHash('sha256');
    },
  };
  const handed = createHash('sha256');
  const remote = await reader.open(request, new AbortController().signal);
  let connections = 1;
  let bytes = 0;
  for (let isOver = false; !isOver; ) {
    const buffers = Array.from({ length: remote.readsAtOnce }, () => Buffer.alloc(bufferBytes));
    connections = Math.max(connections, hostile.openConnections);
    const counts = await Promise.all(buffers.map((buffer) => remote.read(buffer)));
    for (const [index, count] of counts.entries()) handed.update(buffers[index]?.subarray(0, count) ?? '');
    bytes += counts.reduce((sum, count) => sum + count, 0);
    isOver = counts.some((count) => count < bufferBytes);
  }
  const requests = hostile.requests.slice(before);
  const sha256 = handed.digest('hex');
  return { bytes, sha256, shownSha256: shown.digest('hex'), requests, connections, remote };
}

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'resolved',
    (error) => (error instanceof StorageError ? error.code : `not a StorageError: ${error}`),
  );

describe('a source that breaks off', () => {
  it.each<BehaviourName>(['cut-every-n-bytes', 'reset-every-n-bytes', 'chunked-cut-by-fin', 'chunked-cut-by-reset'])(
    'is taken up from the exact byte: %s',
    async (behaviour) => {
      const step = behaviour.startsWith('chunked') ? { cutAfterBytes: 100_000 } : { everyBytes: 100_000 };
      const { sha256, shownSha256, requests } = await read({ behaviour, parameters: step });
      expect(sha256).toBe(await contentSha256(FILE));
      expect(shownSha256).toBe(sha256);
      expect(requests.map(({ range }) => range)).toEqual([undefined, 'bytes=100000-', 'bytes=200000-']);
      expect(requests.slice(1).every(({ ifRange }) => ifRange?.startsWith('"'))).toBe(true);
      expect(requests.reduce((sum, { bodyBytes }) => sum + bodyBytes, 0)).toBe(FILE.sizeBytes);
    },
  );

  it('waits for nothing before the first try after progress', async () => {
    const begin = performance.now();
    const options = { retryDelayMs: 60_000 };
    await read({ behaviour: 'cut-every-n-bytes', parameters: { everyBytes: 100_000 }, options });
    expect(performance.now() - begin).toBeLessThan(30_000);
  });

  it('is given up after tries that bring nothing', async () => {
    const before = hostile.requests.length;
    const reading = read({ behaviour: 'stall-in-body-without-progress', options: { stallTimeoutMs: 50 } });
    expect(await codeOf(reading)).toBe('SOURCE_TIMEOUT');
    expect(hostile.requests.length - before).toBe(1 + testSourceOptions().maxRetries);
  });
});

describe('a source without a version to ask for', () => {
  it('begins anew while nothing was handed out', async () => {
    const { sha256, shownSha256, requests } = await read({ behaviour: 'no-validator-cut', bufferBytes: MiB });
    expect(sha256).toBe(await contentSha256(FILE));
    expect(shownSha256).toBe(sha256);
    expect(requests.map(({ range }) => range)).toEqual([undefined, undefined]);
  });

  it('fails once a part was handed out, and says why it cannot go on, and that another request may', async () => {
    await expect(read({ behaviour: 'no-validator-cut' })).rejects.toMatchObject({
      code: 'SOURCE_TRUNCATED',
      isRetryable: true,
      message: expect.stringContaining('names no version of the file'),
    });
  });

  it.each<BehaviourName>(['etag-changes', 'last-modified-changes', 'total-changes', 'range-other-etag'])(
    'is never mixed with another one: %s',
    async (behaviour) => {
      expect(await codeOf(read({ behaviour }))).toBe('SOURCE_CHANGED');
    },
  );
});

describe('a source that never comes to rest', () => {
  it.each<BehaviourName>(['etag-changes-every-time', 'etag-alternates'])(
    'is given up after some new beginnings: %s',
    async (behaviour) => {
      const step = behaviour === 'etag-alternates' ? { everyBytes: 100_000 } : { cutAfterBytes: 100_000 };
      const before = hostile.requests.length;
      expect(await codeOf(read({ behaviour, parameters: step, bufferBytes: MiB }))).toBe('SOURCE_CHANGED');
      expect(hostile.requests.length - before).toBeLessThanOrEqual(2 * (1 + testSourceOptions().maxRetries));
    },
  );
});

describe('a source that does not speak proper HTTP', () => {
  it.each<BehaviourName>([
    'two-lengths',
    'length-and-chunked',
    'length-absurd',
    'header-with-nul',
    'switching-protocols-unasked',
    'continue-unasked',
  ])('is asked once: %s', async (behaviour) => {
    const before = hostile.requests.length;
    expect(await codeOf(read({ behaviour }))).toBe('SOURCE_PROTOCOL');
    expect(hostile.requests.length - before).toBe(1);
  });
});

describe('a source whose ranges are not to be had', () => {
  it.each<BehaviourName>(['range-ignored', 'range-wrong-start', 'range-multipart', 'range-without-content-range'])(
    'is read again from its beginning, past what is here already: %s',
    async (behaviour) => {
      const { sha256, shownSha256 } = await read({ behaviour });
      expect(sha256).toBe(await contentSha256(FILE));
      expect(shownSha256).toBe(sha256);
    },
  );
});

describe('a source that limits each connection', () => {
  const bigFile = { sizeBytes: 48 * MiB, seed: 3 };
  const parameters = { ...bigFile, bytesPerSecond: 8_000_000 };

  it('is read over several, in order, each byte once', async () => {
    const { sha256, shownSha256, connections, requests } = await read({
      behaviour: 'rate-per-connection',
      parameters,
      bufferBytes: 5 * MiB,
    });
    expect(sha256).toBe(await contentSha256(bigFile));
    expect(shownSha256).toBe(sha256);
    expect(connections).toBeGreaterThan(2);
    expect(connections).toBeLessThanOrEqual(8);
    // The first answer was for the whole file: what was on its way behind the first range is lost.
    const sent = requests.reduce((sum, { bodyBytes }) => sum + bodyBytes, 0);
    expect(sent).toBeLessThan(bigFile.sizeBytes + 8 * MiB);
  });

  it('is read over no more than are allowed', async () => {
    const options = { maxConnections: 1 };
    const small = { ...parameters, sizeBytes: 20 * MiB, bytesPerSecond: 40_000_000 };
    const { connections, requests } = await read({ behaviour: 'rate-per-connection', parameters: small, options });
    expect(connections).toBe(1);
    expect(requests).toHaveLength(1);
  });

  it.each<BehaviourName>([
    'connections-limited-by-503',
    'connections-limited-by-429',
    'connections-limited-by-reset',
    'ranges-for-one-connection',
  ])('and refuses more of them, is read over those it serves: %s', async (behaviour) => {
    const { sha256, shownSha256 } = await read({ behaviour, parameters, bufferBytes: 5 * MiB });
    expect(sha256).toBe(await contentSha256(bigFile));
    expect(shownSha256).toBe(sha256);
  });
});

describe('limits of a source', () => {
  it('end one that drips, by its rate over a window', async () => {
    const options = { minBytesPerSecond: 10_000, minRateWindowMs: 500 };
    expect(await codeOf(read({ behaviour: 'body-drip', options }))).toBe('SOURCE_TOO_SLOW');
  });

  it('end one that floods with informational answers', async () => {
    expect(await codeOf(read({ behaviour: 'interim-endless', options: { headersTimeoutMs: 100 } }))).toBe(
      'SOURCE_TIMEOUT',
    );
  });

  it('hold all sources of a process to one rate', async () => {
    const begin = performance.now();
    const options = { maxBytesPerSecond: 1_000_000 };
    const parameters = { sizeBytes: 1_100_000, seed: 1 };
    const { sha256 } = await read({ parameters, options });
    expect(sha256).toBe(await contentSha256(parameters));
    expect(performance.now() - begin).toBeGreaterThan(800);
  });
});

describe('a source whose TLS fails', () => {
  it.each<[BehaviourName, boolean]>([
    ['tls-expired', false],
    ['tls-wrong-name', false],
    ['tls-unknown-issuer', false],
    ['tls-reset-in-handshake', true],
  ])('is worth another try only where that may help: %s, %s', async (behaviour, isRetryable) => {
    await expect(read({ behaviour })).rejects.toMatchObject({ code: 'SOURCE_UNREACHABLE', isRetryable });
  });
});

describe('a source that was read to its end', () => {
  it('has no connection left', async () => {
    await read({});
    const begin = performance.now();
    await hostile.connectionsClosed();
    // Idle ones would be closed after four seconds (undici's keepAliveTimeout).
    expect(performance.now() - begin).toBeLessThan(3_500);
  });
});

describe('a redirect from https to http', () => {
  it('is refused', async () => {
    const connect = buildConnector({ ca: hostile.certificate });
    const seams: SourceSeams = { dial: (options, _addresses, callback) => connect(options, callback) };
    expect(await codeOf(read({ behaviour: 'redirect-to-http', seams }))).toBe('SOURCE_REDIRECT');
    expect((await read({ url: hostile.urlOf('honest-etag', FILE, { listener: 'https' }), seams })).bytes).toBe(
      FILE.sizeBytes,
    );
  });
});

describe('sourceHeaders', () => {
  it.each([
    ['a name that is none', { 'a b': 'x' }, 'has a name that is no HTTP header'],
    ['a line break', { authorization: 'Bearer x\r\nhost: evil' }, 'has a value of authorization'],
    ['a header of HTTP itself', { Host: 'evil' }, 'must not set host'],
    ['a range', { range: 'bytes=0-1' }, 'must not set range'],
    ['one header twice', { cookie: 'a', Cookie: 'b' }, 'names cookie twice'],
  ])('refuses %s without showing it', (_what, headers, rule) => {
    expect(() => parseSourceHeaders(headers as Record<string, string>)).toThrow(rule);
    expect(() => parseSourceHeaders(headers as Record<string, string>)).not.toThrow(/Bearer|evil/);
  });

  it('go to the origin that the caller named', async () => {
    const headers = parseSourceHeaders({ Authorization: 'Bearer secret' });
    const { requests } = await read({ request: { headers } });
    expect(requests[0]?.headers.authorization).toBe('Bearer secret');
  });

  it('are dropped when a redirect leads to another origin', async () => {
    const headers = parseSourceHeaders({ Authorization: 'Bearer secret', 'X-Api-Key': 'secret' });
    const { requests } = await read({ behaviour: 'redirect-to-other-origin', request: { headers } });
    expect(requests.map(({ headerNames }) => headerNames.includes('x-api-key'))).toEqual([true, false]);
    expect(requests.map(({ headerNames }) => headerNames.includes('authorization'))).toEqual([true, false]);
  });
});
