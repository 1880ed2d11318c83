import { behaviour } from '../behaviour.js';
import type { Exchange } from '../exchange.js';
import { honestAnswer, type Representation, serveHonestly, withoutRanges, withStrongEtag } from '../representation.js';

const CONNECTION_LIMIT = { maxConnections: 2, bytesPerSecond: 2_000_000 };

/** Servers that limit a connection, or what connections do together; all honour ranges within their limits. */
export const LIMITS = {
  'rate-per-connection': behaviour({
    title: 'sends so many bytes a second on each connection',
    example: { bytesPerSecond: 2_000_000 },
    handle: (exchange, { bytesPerSecond }) => serveSlowly(exchange, bytesPerSecond),
  }),
  'connections-limited-by-503': behaviour(limitConnections(503)),
  'connections-limited-by-429': behaviour(limitConnections(429)),
  'connections-limited-by-reset': behaviour({
    title: 'serves so many connections at once, each at its rate, and resets any more',
    example: CONNECTION_LIMIT,
    handle: (exchange, { maxConnections, bytesPerSecond }) =>
      exchange.state.running > maxConnections ? exchange.reset() : serveSlowly(exchange, bytesPerSecond),
  }),
  'ranges-for-one-connection': behaviour({
    title: 'honours ranges while one connection asks, and sends the whole file to each as soon as there are more',
    example: { bytesPerSecond: 2_000_000 },
    handle: (exchange, { bytesPerSecond }) =>
      serveSlowly(
        exchange,
        bytesPerSecond,
        exchange.state.running > 1 ? withoutRanges(exchange.file) : withStrongEtag(exchange.file),
      ),
  }),
  'keep-alive-closed': behaviour({
    title: 'closes the connection after each whole answer, without having said so',
    async handle(exchange) {
      await serveHonestly(exchange);
      exchange.cut();
    },
  }),
  'keep-alive-reset-on-reuse': behaviour({
    title: 'resets a connection that is used a second time',
    handle: (exchange) => (exchange.connection.requests > 1 ? exchange.reset() : serveHonestly(exchange)),
  }),
};

function limitConnections(status: number) {
  return {
    title: `serves so many connections at once, each at its rate, and answers ${status} to any more`,
    example: CONNECTION_LIMIT,
    handle: (exchange: Exchange, { maxConnections, bytesPerSecond }: typeof CONNECTION_LIMIT) =>
      exchange.state.running > maxConnections
        ? exchange.sendHead(status, { 'Retry-After': '1', 'Content-Length': '0' })
        : serveSlowly(exchange, bytesPerSecond),
  };
}

async function serveSlowly(exchange: Exchange, bytesPerSecond: number, representation?: Representation): Promise<void> {
  const { status, headers, range } = honestAnswer(exchange, representation);
  await exchange.sendHead(status, headers);
  await exchange.sendContentSlowly(range, bytesPerSecond);
}
