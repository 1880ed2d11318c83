import { behaviour } from '../behaviour.js';
import { type Exchange, type Headers, headerLines } from '../exchange.js';
import { honestAnswer, sendAnswer, serveHonestly, wholeFile } from '../representation.js';

/** An empty SETTINGS frame: what an HTTP/2 server says first. */
const HTTP2_SETTINGS = Buffer.from('000000040000000000', 'hex');

/** Heads that are no proper HTTP/1.1, or too much of it. */
export const HEADS = {
  'interim-flood': behaviour({
    title: 'sends many 103 answers, then the file',
    example: { count: 200 },
    async handle(exchange, { count }) {
      for (let sent = 0; sent < count; sent += 1) await exchange.sendInterim(103, EARLY_HINT);
      await serveHonestly(exchange);
    },
  }),
  'interim-endless': behaviour({
    title: 'sends 103 answers for ever, with a pause before each',
    example: { delayMs: 5 },
    async handle(exchange, { delayMs }) {
      for (;;) {
        await exchange.pause(delayMs);
        await exchange.sendInterim(103, EARLY_HINT);
      }
    },
  }),
  'continue-unasked': behaviour({
    title: 'sends 100 Continue, which nobody asked for, then the file',
    async handle(exchange) {
      await exchange.sendInterim(100);
      await serveHonestly(exchange);
    },
  }),
  'switching-protocols-unasked': behaviour({
    title: 'answers 101 Switching Protocols, which nobody asked for, and falls silent',
    async handle(exchange) {
      await exchange.sendInterim(101, { Connection: 'Upgrade', Upgrade: 'websocket' });
      await exchange.stall();
    },
  }),
  'header-giant': behaviour({
    title: 'sends the file with one very long header',
    example: { lengthBytes: 20_000 },
    handle: (exchange, { lengthBytes }) =>
      sendAnswer(exchange, honestAnswer(exchange), { 'X-Giant': 'x'.repeat(lengthBytes) }),
  }),
  'headers-many': behaviour({
    title: 'sends the file with very many headers',
    example: { count: 3000 },
    handle: (exchange, { count }) =>
      sendAnswer(
        exchange,
        honestAnswer(exchange),
        Object.fromEntries(Array.from({ length: count }, (_, index) => [`X-Header-${index}`, 'x'])),
      ),
  }),
  'headers-endless': behaviour({
    title: 'sends headers for ever, as fast as they are read',
    async handle(exchange) {
      await exchange.sendRaw('HTTP/1.1 200 OK\r\n');
      for (;;) await exchange.sendRaw(headerLines({ 'X-Header': Array.from({ length: 100 }, () => 'x'.repeat(100)) }));
    },
  }),
  'header-folded': behaviour({
    title: 'sends the file with a header that goes on in the next line, which HTTP/1.1 no longer has',
    handle: (exchange) => sendAnswer(exchange, honestAnswer(exchange), { 'X-Folded': 'one\r\n two' }),
  }),
  'header-with-nul': behaviour({
    title: 'sends the file with a NUL in a header',
    handle: (exchange) => sendAnswer(exchange, honestAnswer(exchange), { 'X-Nul': 'a\0b' }),
  }),
  'header-space-before-colon': behaviour({
    title: 'sends the file with a space between the name and the colon of Content-Length',
    async handle(exchange) {
      const { status, headers, range } = honestAnswer(exchange);
      const spaced: Headers = { ...headers, 'Content-Length': undefined, 'Content-Length ': headers['Content-Length'] };
      await exchange.sendHead(status, spaced);
      await exchange.sendContent(range);
    },
  }),
  'content-type-hostile': behaviour({
    title: 'sends the file with a Content-Type that holds markup and no type',
    handle: (exchange) =>
      sendAnswer(exchange, honestAnswer(exchange), { 'Content-Type': '<script>alert(1)</script>; charset="' }),
  }),
  'bare-line-feeds': behaviour({
    title: 'ends the lines of the head by LF alone',
    async handle(exchange) {
      const { headers } = honestAnswer(exchange);
      await exchange.sendRawHead(200, `HTTP/1.1 200 OK\r\n${headerLines(headers)}\r\n`.replaceAll('\r\n', '\n'));
      await exchange.sendContent(wholeFile(exchange.file));
    },
  }),
  'status-line-malformed': behaviour({
    title: 'sends the file under a status line without a number',
    handle: (exchange) => sendUnderStatusLine(exchange, 'HTTP/1.1 OK'),
  }),
  'status-line-other-version': behaviour({
    title: 'sends the file as HTTP/3.7',
    handle: (exchange) => sendUnderStatusLine(exchange, 'HTTP/3.7 200 OK'),
  }),
  'status-out-of-range': behaviour({
    title: 'sends the file under the status 999',
    handle: (exchange) => sendUnderStatusLine(exchange, 'HTTP/1.1 999 Unheard Of'),
  }),
  garbage: behaviour({
    title: 'answers with bytes that are no HTTP',
    async handle(exchange) {
      await exchange.sendRaw(Buffer.from('\x00\xffgarbage\r\n\r\n\x01\x02\x03', 'latin1'));
      exchange.cut();
    },
  }),
  'body-without-head': behaviour({
    title: 'sends the file without any head, as HTTP/0.9 did',
    async handle(exchange) {
      await exchange.sendContent(wholeFile(exchange.file));
      exchange.cut();
    },
  }),
  'http2-answer': behaviour({
    title: 'answers with a frame of HTTP/2',
    async handle(exchange) {
      await exchange.sendRaw(HTTP2_SETTINGS);
      exchange.cut();
    },
  }),
};

const EARLY_HINT: Headers = { Link: '</poster.jpg>; rel=preload' };

async function sendUnderStatusLine(exchange: Exchange, statusLine: string): Promise<void> {
  const { headers } = honestAnswer(exchange);
  await exchange.sendRawHead(200, `${statusLine}\r\n${headerLines(headers)}\r\n`);
  await exchange.sendContent(wholeFile(exchange.file));
}
