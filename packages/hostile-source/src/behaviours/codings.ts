import { gzipSync } from 'node:zlib';
import { behaviour } from '../behaviour.js';
import { contentChunks, contentRange, type FileContent } from '../content.js';
import type { Exchange, Headers } from '../exchange.js';
import { chunkedHeaders, honestAnswer, wholeFile, withoutRanges } from '../representation.js';

const CHUNKS_PER_WRITE = 1000;

/** What `coded-gzip` sends as its body, the same for every request: the whole file is coded in memory. */
export function gzippedContent(file: FileContent): Buffer {
  return gzipSync(contentRange(file, 0, file.sizeBytes));
}

/** Content codings, transfer codings and what can be wrong with chunks. Ranges are ignored in all. */
export const CODINGS = {
  'coded-gzip': behaviour({
    title: 'sends the file coded by gzip, whatever codings the client accepts',
    async handle(exchange) {
      const body = gzippedContent(exchange.file);
      const coded = { 'Content-Encoding': 'gzip', 'Content-Length': String(body.length) };
      await exchange.sendHead(200, { ...plainHeaders(exchange), ...coded });
      await exchange.sendBody(body);
    },
  }),
  'coded-unknown': behaviour({
    title: 'sends the file under a Content-Encoding that nobody knows',
    async handle(exchange) {
      await exchange.sendHead(200, { ...plainHeaders(exchange), 'Content-Encoding': 'x-unheard-of' });
      await exchange.sendContent(wholeFile(exchange.file));
    },
  }),
  'transfer-gzip': behaviour({
    title: 'sends the file with Transfer-Encoding: gzip, chunked',
    async handle(exchange) {
      await exchange.sendHead(200, { ...chunkedHeaders(plainHeaders(exchange)), 'Transfer-Encoding': 'gzip, chunked' });
      await exchange.sendChunk(gzippedContent(exchange.file));
      await exchange.sendLastChunk();
    },
  }),
  'transfer-unknown': behaviour({
    title: 'sends the file with a Transfer-Encoding that nobody knows, and closes at its end',
    async handle(exchange) {
      await exchange.sendHead(200, { ...chunkedHeaders(plainHeaders(exchange)), 'Transfer-Encoding': 'x-unheard-of' });
      await exchange.sendContent(wholeFile(exchange.file));
      exchange.cut();
    },
  }),
  'chunk-extensions': behaviour({
    title: 'sends the file chunked, with an extension behind the length of each chunk',
    async handle(exchange) {
      await sendChunkedHead(exchange);
      await exchange.sendContentChunked(wholeFile(exchange.file), ';name="value"');
      await exchange.sendLastChunk();
    },
  }),
  'chunk-giant-line': behaviour({
    title: 'sends the file chunked, with a very long extension behind the length of each chunk',
    example: { lengthBytes: 100_000 },
    async handle(exchange, { lengthBytes }) {
      await sendChunkedHead(exchange);
      await exchange.sendContentChunked(wholeFile(exchange.file), `;${'x'.repeat(lengthBytes)}`);
      await exchange.sendLastChunk();
    },
  }),
  'chunk-endless-line': behaviour({
    title: 'sends an extension without end behind the length of the first chunk',
    async handle(exchange) {
      await sendChunkedHead(exchange);
      await exchange.sendRaw('10;');
      for (;;) await exchange.sendRaw('x'.repeat(10_000));
    },
  }),
  'chunks-of-one-byte': behaviour({
    title: 'sends the file in chunks of one byte',
    example: { sizeBytes: 5000 },
    async handle(exchange) {
      await sendChunkedHead(exchange);
      for (const bytes of contentChunks(exchange.file, 0, exchange.file.sizeBytes)) {
        for (let position = 0; position < bytes.length; position += CHUNKS_PER_WRITE) {
          const few = bytes.subarray(position, position + CHUNKS_PER_WRITE);
          await exchange.sendChunks(Array.from(few, (byte) => Uint8Array.of(byte)));
        }
      }
      await exchange.sendLastChunk();
    },
  }),
  'chunk-bad-length': behaviour({
    title: 'sends some of the file chunked, then a chunk whose length is no number',
    example: { cutAfterBytes: 100_000 },
    handle: (exchange, { cutAfterBytes }) => breakChunks(exchange, cutAfterBytes, 'zz\r\nsome bytes\r\n'),
  }),
  'chunk-absurd-length': behaviour({
    title: 'sends some of the file chunked, then a chunk whose length no integer holds',
    example: { cutAfterBytes: 100_000 },
    handle: (exchange, { cutAfterBytes }) =>
      breakChunks(exchange, cutAfterBytes, 'fffffffffffffffffffff\r\nsome bytes\r\n'),
  }),
  'chunk-too-long': behaviour({
    title: 'sends some of the file chunked, then a chunk that is longer than its length says',
    example: { cutAfterBytes: 100_000 },
    handle: (exchange, { cutAfterBytes }) => breakChunks(exchange, cutAfterBytes, '4\r\nsome bytes\r\n'),
  }),
  'chunk-trailers': behaviour({
    title: 'sends the file chunked, with trailers behind it',
    async handle(exchange) {
      await sendChunkedHead(exchange, { Trailer: 'X-Checksum' });
      await exchange.sendContentChunked(wholeFile(exchange.file));
      await exchange.sendLastChunk({ 'X-Checksum': 'unchecked', 'Content-Length': '5' });
    },
  }),
  'chunk-endless-trailers': behaviour({
    title: 'sends the file chunked, and trailers behind it for ever',
    async handle(exchange) {
      await sendChunkedHead(exchange);
      await exchange.sendContentChunked(wholeFile(exchange.file));
      await exchange.sendRaw('0\r\n');
      for (;;) await exchange.sendRaw(`X-Trailer: ${'x'.repeat(10_000)}\r\n`);
    },
  }),
};

function plainHeaders(exchange: Exchange): Headers {
  return honestAnswer(exchange, withoutRanges(exchange.file)).headers;
}

function sendChunkedHead(exchange: Exchange, headers: Headers = {}): Promise<void> {
  return exchange.sendHead(200, { ...chunkedHeaders(plainHeaders(exchange)), ...headers });
}

async function breakChunks(exchange: Exchange, goodBytes: number, badChunk: string): Promise<void> {
  await sendChunkedHead(exchange);
  await exchange.sendContentChunked({ start: 0, end: Math.min(goodBytes, exchange.file.sizeBytes) });
  await exchange.sendRaw(badChunk);
  exchange.cut();
}
