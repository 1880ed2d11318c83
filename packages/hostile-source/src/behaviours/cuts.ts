import { behaviour } from '../behaviour.js';
import type { Exchange } from '../exchange.js';
import {
  chunkedHeaders,
  firstBytes,
  honestAnswer,
  sendPart,
  serveHonestly,
  wholeFile,
  withStrongEtag,
} from '../representation.js';

/** Connections that end inside the body. */
export const CUTS = {
  'cut-once-by-fin': behaviour({
    title: 'closes the first answer after some bytes, then answers properly',
    example: { cutAfterBytes: 100_000, times: 1 },
    async handle(exchange, { cutAfterBytes, times }) {
      if (exchange.attempt > times) return serveHonestly(exchange);
      await sendPart(exchange, honestAnswer(exchange), cutAfterBytes);
      exchange.cut();
    },
  }),
  'cut-once-by-reset': behaviour({
    title: 'resets the first answer after some bytes, then answers properly',
    example: { cutAfterBytes: 100_000, times: 1 },
    async handle(exchange, { cutAfterBytes, times }) {
      if (exchange.attempt > times) return serveHonestly(exchange);
      await sendPart(exchange, honestAnswer(exchange), cutAfterBytes);
      await exchange.reset();
    },
  }),
  'cut-every-n-bytes': behaviour({
    title: 'closes every answer after so many bytes; ranges are honoured',
    example: { everyBytes: 100_000 },
    async handle(exchange, { everyBytes }) {
      if (!(await sendPart(exchange, honestAnswer(exchange), everyBytes))) exchange.cut();
    },
  }),
  'reset-every-n-bytes': behaviour({
    title: 'resets every answer after so many bytes; ranges are honoured',
    example: { everyBytes: 100_000 },
    async handle(exchange, { everyBytes }) {
      if (!(await sendPart(exchange, honestAnswer(exchange), everyBytes))) await exchange.reset();
    },
  }),
  'length-too-long-by-fin': behaviour({
    title: 'announces more bytes than the file has and closes at its end, every time',
    example: { surplusBytes: 1000 },
    async handle(exchange, { surplusBytes }) {
      await sendWithSurplusLength(exchange, surplusBytes);
      exchange.cut();
    },
  }),
  'length-too-long-by-reset': behaviour({
    title: 'announces more bytes than the file has and resets at its end, every time',
    example: { surplusBytes: 1000 },
    async handle(exchange, { surplusBytes }) {
      await sendWithSurplusLength(exchange, surplusBytes);
      await exchange.reset();
    },
  }),
  'chunked-cut-by-fin': behaviour({
    title: 'closes every chunked answer after some bytes, before its last chunk; ranges are honoured',
    example: { cutAfterBytes: 100_000 },
    async handle(exchange, { cutAfterBytes }) {
      if (!(await sendChunkedPart(exchange, cutAfterBytes))) exchange.cut();
    },
  }),
  'chunked-cut-by-reset': behaviour({
    title: 'resets every chunked answer after some bytes, before its last chunk; ranges are honoured',
    example: { cutAfterBytes: 100_000 },
    async handle(exchange, { cutAfterBytes }) {
      if (!(await sendChunkedPart(exchange, cutAfterBytes))) await exchange.reset();
    },
  }),
  'chunked-without-last-chunk': behaviour({
    title: 'sends the whole file chunked and closes where the last chunk is due, every time; ranges are ignored',
    async handle(exchange) {
      await exchange.sendHead(200, chunkedHeaders(honestAnswer(exchange).headers));
      await exchange.sendContentChunked(wholeFile(exchange.file));
      exchange.cut();
    },
  }),
};

async function sendChunkedPart(exchange: Exchange, bytes: number): Promise<boolean> {
  const { status, headers, range } = honestAnswer(exchange);
  const part = firstBytes(range, bytes);
  await exchange.sendHead(status, chunkedHeaders(headers));
  await exchange.sendContentChunked(part);
  if (part.end < range.end) return false;
  await exchange.sendLastChunk();
  return true;
}

/** The length is wrong in the same way in Content-Length and Content-Range, so that a resume finds nothing behind the file's end. */
async function sendWithSurplusLength(exchange: Exchange, surplusBytes: number): Promise<void> {
  const { sizeBytes } = exchange.file;
  const representation = { ...withStrongEtag(exchange.file), totalBytes: sizeBytes + surplusBytes };
  const { status, headers, range } = honestAnswer(exchange, representation);
  await exchange.sendHead(status, headers);
  await exchange.sendContent({ start: Math.min(range.start, sizeBytes), end: Math.min(range.end, sizeBytes) });
}
