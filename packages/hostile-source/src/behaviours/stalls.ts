import { behaviour } from '../behaviour.js';
import type { Exchange } from '../exchange.js';
import { chunkedHeaders, honestAnswer, sendPart, serveHonestly, wholeFile } from '../representation.js';

/** Answers that do not come, come too slowly or stop coming. */
export const STALLS = {
  'reset-before-head': behaviour({
    title: 'resets every connection instead of answering',
    handle: (exchange) => exchange.reset(),
  }),
  'reset-before-head-once': behaviour({
    title: 'resets the first connections instead of answering, then answers properly',
    example: { times: 1 },
    handle: (exchange, { times }) => (exchange.attempt > times ? serveHonestly(exchange) : exchange.reset()),
  }),
  'fin-before-head': behaviour({
    title: 'closes every connection instead of answering',
    async handle(exchange) {
      exchange.cut();
    },
  }),
  'fin-before-head-once': behaviour({
    title: 'closes the first connections instead of answering, then answers properly',
    example: { times: 1 },
    async handle(exchange, { times }) {
      if (exchange.attempt > times) return serveHonestly(exchange);
      exchange.cut();
    },
  }),
  'fin-in-head': behaviour({
    title: 'closes every connection in the middle of the head',
    async handle(exchange) {
      await exchange.sendRaw(HALF_HEAD);
      exchange.cut();
    },
  }),
  'stall-before-head': behaviour({
    title: 'never answers and keeps the connection open',
    handle: (exchange) => exchange.stall(),
  }),
  'stall-before-head-once': behaviour({
    title: 'does not answer the first requests, then answers properly',
    example: { times: 1 },
    handle: (exchange, { times }) => (exchange.attempt > times ? serveHonestly(exchange) : exchange.stall()),
  }),
  'stall-in-head': behaviour({
    title: 'sends half a head and falls silent',
    async handle(exchange) {
      await exchange.sendRaw(HALF_HEAD);
      await exchange.stall();
    },
  }),
  'slow-head': behaviour({
    title: 'answers properly, but only after a pause',
    example: { delayMs: 50 },
    async handle(exchange, { delayMs }) {
      await exchange.pause(delayMs);
      await serveHonestly(exchange);
    },
  }),
  'head-drip': behaviour({
    title: 'sends the head byte by byte, with a pause before each, and never ends it',
    example: { delayMs: 5 },
    async handle(exchange, { delayMs }) {
      await drip(exchange, HALF_HEAD, delayMs);
      for (;;) await drip(exchange, 'x', delayMs);
    },
  }),
  'stall-in-body': behaviour({
    title: 'sends some bytes of every answer and falls silent; ranges are honoured',
    example: { cutAfterBytes: 100_000 },
    handle: (exchange, { cutAfterBytes }) => stallAfter(exchange, cutAfterBytes),
  }),
  'stall-in-body-without-progress': behaviour({
    title: 'falls silent at the same byte of the file in every answer; ranges are honoured',
    example: { cutAfterBytes: 100_000 },
    async handle(exchange, { cutAfterBytes }) {
      const answer = honestAnswer(exchange);
      await stallAfter(exchange, Math.max(0, cutAfterBytes - answer.range.start));
    },
  }),
  'stall-in-body-once': behaviour({
    title: 'falls silent in the body of the first answers, then answers properly',
    example: { cutAfterBytes: 100_000, times: 1 },
    handle: (exchange, { cutAfterBytes, times }) =>
      exchange.attempt > times ? serveHonestly(exchange) : stallAfter(exchange, cutAfterBytes),
  }),
  'stall-before-last-chunk': behaviour({
    title: 'sends the whole file chunked and falls silent where the last chunk is due, every time',
    async handle(exchange) {
      await exchange.sendHead(200, chunkedHeaders(honestAnswer(exchange).headers));
      await exchange.sendContentChunked(wholeFile(exchange.file));
      await exchange.stall();
    },
  }),
  'pause-in-body': behaviour({
    title: 'makes one pause in the body of each answer and goes on',
    example: { cutAfterBytes: 100_000, delayMs: 50 },
    async handle(exchange, { cutAfterBytes, delayMs }) {
      const answer = honestAnswer(exchange);
      if (await sendPart(exchange, answer, cutAfterBytes)) return;
      await exchange.pause(delayMs);
      await exchange.sendContent({ start: answer.range.start + cutAfterBytes, end: answer.range.end });
    },
  }),
  'body-drip': behaviour({
    title: 'sends the body byte by byte with a pause before each; ranges are honoured',
    example: { delayMs: 5 },
    async handle(exchange, { delayMs }) {
      const { status, headers, range } = honestAnswer(exchange);
      await exchange.sendHead(status, headers);
      for (let position = range.start; position < range.end; position += 1) {
        await exchange.pause(delayMs);
        await exchange.sendContent({ start: position, end: position + 1 });
      }
    },
  }),
};

const HALF_HEAD = 'HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nX-Unfinished: ';

async function drip(exchange: Exchange, text: string, delayMs: number): Promise<void> {
  for (const character of text) {
    await exchange.pause(delayMs);
    await exchange.sendRaw(character);
  }
}

async function stallAfter(exchange: Exchange, bytes: number): Promise<void> {
  if (!(await sendPart(exchange, honestAnswer(exchange), bytes))) await exchange.stall();
}
