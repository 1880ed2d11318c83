import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createSocketServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { testSourceOptions } from '../../../test/support/test-source-options.js';
import { StorageError } from '../storage.errors.js';
import type { SourceOptions, StorageOptions } from '../storage.options.js';
import { SourceReader, type SourceSeams } from './source-reader.js';
import type { SourceRequest } from './source-request.js';

const BUFFER_BYTES = 64 * 1024;

const servers: Server[] = [];
const sockets = new Set<Socket>();

afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  for (const socket of sockets) socket.destroy();
  sockets.clear();
});

async function listen(server: Server): Promise<string> {
  servers.push(server);
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => {}); // Readers that give up reset the connection.
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/file.mp4`;
}

const serve = (handler: (request: IncomingMessage, response: ServerResponse) => void) => listen(createServer(handler));
/** Answers each request with these very bytes, which an HTTP library would refuse to send. */
const serveRaw = (answer: string, { keepOpen = true } = {}) =>
  listen(
    createSocketServer((socket) => socket.once('data', () => (keepOpen ? socket.write(answer) : socket.end(answer)))),
  );

function createReader(changes: Partial<SourceOptions> = {}, seams: SourceSeams = {}): SourceReader {
  const source = testSourceOptions(changes);
  return new SourceReader({ source } as StorageOptions, seams);
}

/** The whole file through buffers of 64 KiB, as an upload takes it. */
async function read(
  url: string,
  reader = createReader(),
  signal = new AbortController().signal,
  request: Partial<SourceRequest> = {},
) {
  const source = await reader.open({ url: reader.parseUrl(url), ...request }, signal);
  const chunks: Buffer[] = [];
  for (let count = BUFFER_BYTES; count === BUFFER_BYTES; ) {
    const buffer = Buffer.alloc(BUFFER_BYTES);
    count = await source.read(buffer);
    chunks.push(buffer.subarray(0, count));
  }
  const { length, contentEncoding, isLengthVerified } = source;
  return { text: Buffer.concat(chunks).toString(), length, contentEncoding, isLengthVerified };
}

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'resolved',
    (error) => (error instanceof StorageError ? error.code : `not a StorageError: ${error}`),
  );

describe('SourceReader', () => {
  it('reads a body of announced length, and asks for no coding', async () => {
    const asked: unknown[] = [];
    const url = await serve((request, response) => {
      asked.push(request.headers['accept-encoding']);
      response.setHeader('content-length', '5').end('hello');
    });
    expect(await read(url)).toMatchObject({ text: 'hello', length: 5, contentEncoding: null });
    expect(asked).toEqual(['identity']);
  });

  it('reads a chunked body', async () => {
    const url = await serve((_request, response) => {
      response.write('he');
      response.end('llo');
    });
    expect(await read(url)).toMatchObject({ text: 'hello', length: 5 });
  });

  it('accepts an empty file only when the source announced one', async () => {
    const announced = await serve((_request, response) => response.setHeader('content-length', '0').end());
    expect(await read(announced)).toMatchObject({ text: '', length: 0 });
    const chunked = await serveRaw('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n');
    expect(await codeOf(read(chunked))).toBe('SOURCE_EMPTY');
  });

  it.each([403, 404, 410, 500, 503, 204, 206, 304])('refuses an answer %i', async (status) => {
    const url = await serve((_request, response) => response.writeHead(status).end());
    await expect(read(url)).rejects.toMatchObject({
      code: 'SOURCE_STATUS',
      message: `source answered ${status}`,
      isRetryable: status >= 500,
    });
  });

  it('refuses a body that ends before its length, and one whose chunks break off', async () => {
    const short = await serveRaw('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello', { keepOpen: false });
    expect(await codeOf(read(short))).toBe('SOURCE_TRUNCATED');
    const cut = await serveRaw('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n', {
      keepOpen: false,
    });
    expect(await codeOf(read(cut))).toBe('SOURCE_TRUNCATED');
  });

  it('refuses a body that goes on after its length', async () => {
    const url = await serveRaw('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello, and more');
    expect(await codeOf(read(url))).toBe('SOURCE_PROTOCOL');
  });

  it('refuses a body whose end nothing proves', async () => {
    const url = await serveRaw('HTTP/1.1 200 OK\r\n\r\nhello', { keepOpen: false });
    expect(await codeOf(read(url))).toBe('SOURCE_LENGTH_UNPROVEN');
  });

  it('gives up a source that sends no headers, and one that stalls', async () => {
    const reader = createReader({ headersTimeoutMs: 100, stallTimeoutMs: 100 });
    const silent = await serve(() => {});
    expect(await codeOf(read(silent, reader))).toBe('SOURCE_TIMEOUT');
    const stalled = await serve((_request, response) =>
      response.writeHead(200, { 'content-length': '10' }).write('hello'),
    );
    expect(await codeOf(read(stalled, reader))).toBe('SOURCE_TIMEOUT');
  });

  it('gives up a source that drips past the deadline', async () => {
    const url = await serve((_request, response) => {
      response.writeHead(200, { 'content-length': '1000' });
      const drip = setInterval(() => response.write('x'), 20);
      response.on('close', () => clearInterval(drip));
    });
    await expect(read(url, createReader({ deadlineMs: 300 }))).rejects.toMatchObject({
      code: 'SOURCE_TIMEOUT',
      message: 'source was not read within 0.3 s',
    });
  });

  it('counts bytes instead of believing a length', async () => {
    const reader = createReader({ maxBytes: 4 });
    const announced = await serve((_request, response) => response.setHeader('content-length', '5').end('hello'));
    expect(await codeOf(read(announced, reader))).toBe('SOURCE_TOO_LARGE');
    const endless = await serve((_request, response) => {
      response.write('he');
      response.end('llo');
    });
    expect(await codeOf(read(endless, reader))).toBe('SOURCE_TOO_LARGE');
  });

  it('follows redirects, a limited number of them', async () => {
    const url = await serve((request, response) => {
      const hop = Number(new URL(request.url ?? '', 'http://x').searchParams.get('hop') ?? 0);
      if (hop === 3 && !request.url?.includes('forever')) return response.end('there');
      return response
        .writeHead(302, { location: `?${request.url?.includes('forever') ? 'forever&' : ''}hop=${hop + 1}` })
        .end();
    });
    expect(await read(url)).toMatchObject({ text: 'there' });
    await expect(read(`${url}?forever`)).rejects.toMatchObject({
      code: 'SOURCE_REDIRECT',
      message: 'source redirected more than 3 times',
    });
  });

  it.each([
    ['no Location', {}, 'SOURCE_REDIRECT'],
    ['another scheme', { location: 'file:///etc/passwd' }, 'SOURCE_URL_INVALID'],
    ['credentials', { location: 'http://user:secret@127.0.0.1/' }, 'SOURCE_URL_INVALID'],
    ['a private address', { location: 'http://10.0.0.1/' }, 'SOURCE_ADDRESS_BLOCKED'],
    ['the metadata service', { location: 'http://169.254.169.254/latest/meta-data/' }, 'SOURCE_ADDRESS_BLOCKED'],
  ])('refuses a redirect with %s', async (_what, headers, code) => {
    const url = await serve((_request, response) => response.writeHead(302, headers).end());
    expect(await codeOf(read(url))).toBe(code);
  });

  it.each([
    ['in a whole answer', (_from: number) => ({ status: 200, first: 0, headers: {} })],
    [
      'in a range',
      (from: number) => ({ status: 206, first: from, headers: { 'content-range': `bytes ${from}-9/10` } }),
    ],
  ])('ends with the file whose length it is told only when it asks again, %s', async (_what, again) => {
    const content = '0123456789';
    let asked = 0;
    const url = await serve(({ headers: { range } }, response) => {
      asked += 1;
      const from = Number(/bytes=(\d+)-/.exec(range ?? '')?.[1] ?? 0);
      if (from === 0) {
        // Chunked, as through a cache that does not have the file yet.
        response.writeHead(200, { etag: '"a"' }).write(content.slice(0, 4), () => response.destroy());
        return;
      }
      const { status, first, headers } = again(from);
      const body = content.slice(first);
      response.writeHead(status, { etag: '"a"', 'content-length': body.length, ...headers }).end(body);
    });
    expect(await read(url)).toMatchObject({ text: content });
    expect(asked).toBe(2);
  });

  it('keeps the coding that a source applies unasked', async () => {
    const url = await serve((_request, response) =>
      response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': '5' }).end('\x1f\x8bxyz', 'latin1'),
    );
    expect(await read(url)).toMatchObject({ contentEncoding: 'gzip', length: 5 });
  });

  it('refuses a transfer coding that would be stored as the file', async () => {
    const url = await serveRaw('HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n');
    expect(await codeOf(read(url))).toBe('SOURCE_PROTOCOL');
  });

  it('says unreachable for a refused connection, name servers that are away and an answer that never begins', async () => {
    const closing = await listen(createSocketServer((socket) => socket.once('data', () => socket.end())));
    expect(await codeOf(read(closing))).toBe('SOURCE_UNREACHABLE');
    const server = createServer();
    const closed = await listen(server);
    await new Promise((resolve) => server.close(resolve));
    expect(await codeOf(read(closed))).toBe('SOURCE_UNREACHABLE');
    const resolve = () => Promise.reject(Object.assign(new Error('getaddrinfo EAI_AGAIN'), { code: 'EAI_AGAIN' }));
    const reader = createReader({}, { resolve });
    expect(await codeOf(read('http://no-such-host.example/', reader))).toBe('SOURCE_UNREACHABLE');
  });

  it('ends with the reason of its signal, and closes the connection', async () => {
    let closed: Promise<unknown> = Promise.resolve();
    const url = await serve((_request, response) => {
      closed = new Promise((resolve) => response.on('close', resolve));
      response.writeHead(200, { 'content-length': '10' }).write('hello');
    });
    const cancel = new AbortController();
    const reader = createReader();
    const source = await reader.open(
      {
        url: reader.parseUrl(url),
        onBytes: () => cancel.abort(new StorageError('TRANSFER_CANCELLED', 'enough')),
      },
      cancel.signal,
    );
    expect(await codeOf(source.read(Buffer.alloc(10)))).toBe('TRANSFER_CANCELLED');
    expect(await codeOf(source.read(Buffer.alloc(10)))).toBe('TRANSFER_CANCELLED');
    await closed;
  });
});
