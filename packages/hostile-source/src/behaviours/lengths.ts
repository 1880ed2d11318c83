import { behaviour } from '../behaviour.js';
import type { Exchange, Headers } from '../exchange.js';
import {
  chunkedHeaders,
  firstBytes,
  honestAnswer,
  sendAnswer,
  wholeFile,
  withoutRanges,
  withStrongEtag,
} from '../representation.js';

/** Bodies whose length is wrong, said twice, unknown or without end. */
export const LENGTHS = {
  'length-too-short': behaviour({
    title: 'announces fewer bytes than it sends, every time',
    example: { surplusBytes: 1000 },
    async handle(exchange, { surplusBytes, sizeBytes }) {
      const representation = { ...withStrongEtag(exchange.file), totalBytes: Math.max(0, sizeBytes - surplusBytes) };
      const { status, headers, range } = honestAnswer(exchange, representation);
      await exchange.sendHead(status, headers);
      await exchange.sendContent({ start: range.start, end: sizeBytes });
    },
  }),
  'length-huge': behaviour({
    title: 'announces far more bytes than anyone wants and closes at the end of the file',
    example: { totalBytes: 2 ** 50 },
    async handle(exchange, { totalBytes }) {
      await exchange.sendHead(200, withLength(exchange, String(totalBytes)));
      await exchange.sendContent(wholeFile(exchange.file));
      exchange.cut();
    },
  }),
  'length-absurd': behaviour({
    title: 'announces a length that no integer holds',
    handle: (exchange) => sendWholeWithLength(exchange, '99999999999999999999999'),
  }),
  'length-negative': behaviour({
    title: 'announces a negative length',
    handle: (exchange) => sendWholeWithLength(exchange, '-5'),
  }),
  'length-not-a-number': behaviour({
    title: 'announces a length in words',
    handle: (exchange) => sendWholeWithLength(exchange, 'many'),
  }),
  'two-lengths': behaviour({
    title: 'sends two Content-Length headers that differ',
    handle: (exchange) => sendWholeWithLength(exchange, [String(exchange.file.sizeBytes), '5']),
  }),
  'two-equal-lengths': behaviour({
    title: 'sends the same Content-Length header twice',
    handle: (exchange) => {
      const length = String(exchange.file.sizeBytes);
      return sendWholeWithLength(exchange, [length, length]);
    },
  }),
  'length-and-chunked': behaviour({
    title: 'sends Content-Length and a chunked body together',
    async handle(exchange) {
      await exchange.sendHead(200, { ...wholeHeaders(exchange), 'Transfer-Encoding': 'chunked' });
      await exchange.sendContentChunked(wholeFile(exchange.file));
      await exchange.sendLastChunk();
    },
  }),
  'close-delimited': behaviour({
    title: 'sends the file without length and closes at its end',
    async handle(exchange) {
      await exchange.sendHead(200, closeDelimited(exchange));
      await exchange.sendContent(wholeFile(exchange.file));
      exchange.cut();
    },
  }),
  'close-delimited-cut': behaviour({
    title: 'sends a body without length and closes in the middle of the file, every time',
    example: { cutAfterBytes: 100_000 },
    async handle(exchange, { cutAfterBytes }) {
      await exchange.sendHead(200, closeDelimited(exchange));
      await exchange.sendContent(firstBytes(wholeFile(exchange.file), cutAfterBytes));
      exchange.cut();
    },
  }),
  'close-delimited-reset': behaviour({
    title: 'sends a body without length and resets in the middle of the file, every time',
    example: { cutAfterBytes: 100_000 },
    async handle(exchange, { cutAfterBytes }) {
      await exchange.sendHead(200, closeDelimited(exchange));
      await exchange.sendContent(firstBytes(wholeFile(exchange.file), cutAfterBytes));
      await exchange.reset();
    },
  }),
  'http10-with-length': behaviour({
    title: 'answers in HTTP/1.0 with a length, and closes',
    async handle(exchange) {
      await exchange.sendHead(200, wholeHeaders(exchange), 'HTTP/1.0');
      await exchange.sendContent(wholeFile(exchange.file));
      exchange.cut();
    },
  }),
  'http10-without-length': behaviour({
    title: 'answers in HTTP/1.0 without a length, and closes',
    async handle(exchange) {
      await exchange.sendHead(200, { ...wholeHeaders(exchange), 'Content-Length': undefined }, 'HTTP/1.0');
      await exchange.sendContent(wholeFile(exchange.file));
      exchange.cut();
    },
  }),
  'endless-chunked': behaviour({
    title: 'sends the file again and again in one chunked body, for ever',
    async handle(exchange) {
      await exchange.sendHead(200, chunkedHeaders(wholeHeaders(exchange)));
      await exchange.sendFileForEver('chunked');
    },
  }),
  'endless-beyond-length': behaviour({
    title: 'announces the length of the file and then sends it again and again, for ever',
    async handle(exchange) {
      await exchange.sendHead(200, wholeHeaders(exchange));
      await exchange.sendFileForEver('plain');
    },
  }),
  'endless-close-delimited': behaviour({
    title: 'sends the file again and again in a body without length, for ever',
    async handle(exchange) {
      await exchange.sendHead(200, closeDelimited(exchange));
      await exchange.sendFileForEver('plain');
    },
  }),
  'second-answer-unasked': behaviour({
    title: 'sends a whole second answer, which nobody asked for, behind the file',
    async handle(exchange) {
      await sendAnswer(exchange, honestAnswer(exchange));
      await exchange.sendRaw('HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: 8\r\n\r\nsmuggled');
    },
  }),
};

/** Headers of an answer that ignores ranges: what is wrong here is wrong in every answer. */
function wholeHeaders(exchange: Exchange): Headers {
  return honestAnswer(exchange, withoutRanges(exchange.file)).headers;
}

function withLength(exchange: Exchange, length: string | readonly string[]): Headers {
  return { ...wholeHeaders(exchange), 'Content-Length': length };
}

function closeDelimited(exchange: Exchange): Headers {
  return { ...wholeHeaders(exchange), 'Content-Length': undefined, Connection: 'close' };
}

async function sendWholeWithLength(exchange: Exchange, length: string | readonly string[]): Promise<void> {
  await exchange.sendHead(200, withLength(exchange, length));
  await exchange.sendContent(wholeFile(exchange.file));
}
