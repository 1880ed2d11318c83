import { behaviour } from '../behaviour.js';
import { firstBytes, honestAnswer, sendPart, serveHonestly, wholeFile, withoutRanges } from '../representation.js';

/** What TLS has to find. The faults before HTTP have a port each, and what the handler would send is never seen. */
export const TLS = {
  'tls-honest': behaviour({
    title: 'sends the file over TLS with a certificate of the trusted authority',
    listener: 'https',
    handle: (exchange) => serveHonestly(exchange),
  }),
  'tls-expired': behaviour({
    title: 'shows a certificate that has expired',
    listener: 'httpsExpired',
    handle: (exchange) => serveHonestly(exchange),
  }),
  'tls-wrong-name': behaviour({
    title: 'shows a certificate of another host',
    listener: 'httpsWrongName',
    handle: (exchange) => serveHonestly(exchange),
  }),
  'tls-unknown-issuer': behaviour({
    title: 'shows a certificate of an authority that nobody trusts',
    listener: 'httpsUnknownIssuer',
    handle: (exchange) => serveHonestly(exchange),
  }),
  'tls-reset-in-handshake': behaviour({
    title: 'resets the connection in the TLS handshake',
    listener: 'httpsReset',
    handle: (exchange) => serveHonestly(exchange),
  }),
  'tls-stall-in-handshake': behaviour({
    title: 'never answers the TLS handshake',
    listener: 'httpsStall',
    handle: (exchange) => serveHonestly(exchange),
  }),
  'tls-plain-answer': behaviour({
    title: 'answers the TLS handshake in plain HTTP',
    listener: 'httpsPlain',
    handle: (exchange) => serveHonestly(exchange),
  }),
  'tls-cut-without-close-notify': behaviour({
    title: 'ends the first connection in the body without close_notify, then answers properly',
    listener: 'https',
    example: { cutAfterBytes: 100_000, times: 1 },
    async handle(exchange, { cutAfterBytes, times }) {
      if (exchange.attempt > times) return serveHonestly(exchange);
      await sendPart(exchange, honestAnswer(exchange), cutAfterBytes);
      exchange.connection.endWithoutCloseNotify();
    },
  }),
  'tls-close-delimited-cut-without-close-notify': behaviour({
    title: 'sends a body without length and ends in its middle without close_notify, every time',
    listener: 'https',
    example: { cutAfterBytes: 100_000 },
    async handle(exchange, { cutAfterBytes }) {
      const { headers } = honestAnswer(exchange, withoutRanges(exchange.file));
      await exchange.sendHead(200, { ...headers, 'Content-Length': undefined, Connection: 'close' });
      await exchange.sendContent(firstBytes(wholeFile(exchange.file), cutAfterBytes));
      exchange.connection.endWithoutCloseNotify();
    },
  }),
};
