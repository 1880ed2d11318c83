import { behaviour } from '../behaviour.js';
import type { Exchange, Headers } from '../exchange.js';
import { cutFirst, serveHonestly } from '../representation.js';

/** Where `redirect-to-private-address` points, by the parameter `target`. They are data: a client must not dial them. */
export const PRIVATE_LOCATIONS = [
  'http://169.254.169.254/latest/meta-data/',
  'http://[fd00:ec2::254]/latest/meta-data/',
  'http://10.0.0.1/',
  'http://172.16.0.1/',
  'http://192.168.0.1/',
  'http://100.64.0.1/',
  'http://0.0.0.0/',
  'http://[::]/',
  'http://[::ffff:10.0.0.1]/',
  'http://[64:ff9b::a00:1]/',
  'http://[fe80::1]/',
  'http://168.63.129.16/',
  'http://2130706433/',
  'http://0x7f.1/',
  'http://0177.0.0.1/',
] as const;

/** Answers that lead elsewhere. The last hop of those that end well serves the file honestly. */
export const REDIRECTS = {
  'redirect-301': behaviour(hopsThenFile(301)),
  'redirect-302': behaviour(hopsThenFile(302)),
  'redirect-303': behaviour(hopsThenFile(303)),
  'redirect-307': behaviour(hopsThenFile(307)),
  'redirect-308': behaviour(hopsThenFile(308)),
  'redirect-relative': behaviour({
    title: 'redirects by a Location without origin and path',
    handle: (exchange) =>
      hopOf(exchange) > 0 ? serveHonestly(exchange) : redirect(exchange, nextHop(exchange).search),
  }),
  'redirect-without-scheme': behaviour({
    title: 'redirects by a Location that begins with two slashes',
    handle: (exchange) =>
      hopOf(exchange) > 0
        ? serveHonestly(exchange)
        : redirect(exchange, nextHop(exchange).href.replace(/^https?:/, '')),
  }),
  'redirect-loop': behaviour({
    title: 'redirects to the same URL, for ever',
    handle: (exchange) => redirect(exchange, exchange.url.href),
  }),
  'redirect-for-ever': behaviour({
    title: 'redirects to a new URL at every hop, for ever',
    handle: (exchange) => redirect(exchange, nextHop(exchange).href),
  }),
  'redirect-without-location': behaviour({
    title: 'redirects without Location',
    handle: (exchange) => redirect(exchange, undefined),
  }),
  'redirect-empty-location': behaviour({
    title: 'redirects with an empty Location',
    handle: (exchange) => redirect(exchange, ''),
  }),
  'redirect-malformed-location': behaviour({
    title: 'redirects to what is no URL',
    handle: (exchange) => redirect(exchange, 'http://[::1'),
  }),
  'redirect-two-locations': behaviour({
    title: 'redirects with two Location headers that differ',
    handle: (exchange) => redirect(exchange, [nextHop(exchange).href, 'http://elsewhere.test/']),
  }),
  'redirect-to-other-origin': behaviour({
    title: 'redirects to a second port, which serves the file',
    handle: (exchange) =>
      hopOf(exchange) > 0
        ? serveHonestly(exchange)
        : redirect(exchange, nextHop(exchange, exchange.origins.otherHttp).href),
  }),
  'redirect-to-private-address': behaviour({
    title: 'redirects to an address inside a private network, which one by number',
    example: { target: 0 },
    handle: (exchange, { target }) => redirect(exchange, PRIVATE_LOCATIONS[target % PRIVATE_LOCATIONS.length]),
  }),
  'redirect-to-http': behaviour({
    title: 'redirects from https to http, which serves the file',
    listener: 'https',
    handle: (exchange) =>
      hopOf(exchange) > 0 ? serveHonestly(exchange) : redirect(exchange, nextHop(exchange, exchange.origins.http).href),
  }),
  'redirect-to-https': behaviour({
    title: 'redirects from http to https, which serves the file',
    handle: (exchange) =>
      hopOf(exchange) > 0
        ? serveHonestly(exchange)
        : redirect(exchange, nextHop(exchange, exchange.origins.https).href),
  }),
  'redirect-to-ftp': behaviour({
    title: 'redirects to an ftp URL',
    handle: (exchange) => redirect(exchange, 'ftp://elsewhere.test/video.mp4'),
  }),
  'redirect-to-file': behaviour({
    title: 'redirects to a file URL',
    handle: (exchange) => redirect(exchange, 'file:///etc/passwd'),
  }),
  'redirect-with-userinfo': behaviour({
    title: 'redirects to a URL with a name and a password in it',
    handle: (exchange) => {
      const location = nextHop(exchange);
      location.username = 'name';
      location.password = 'password';
      return hopOf(exchange) > 0 ? serveHonestly(exchange) : redirect(exchange, location.href);
    },
  }),
  'redirect-with-endless-body': behaviour({
    title: 'redirects with a body that never ends; the target serves the file',
    async handle(exchange) {
      if (hopOf(exchange) > 0) return serveHonestly(exchange);
      await exchange.sendHead(302, { Location: nextHop(exchange).href, 'Transfer-Encoding': 'chunked' });
      await exchange.sendFileForEver('chunked');
    },
  }),
  'redirect-on-resume': behaviour({
    title: 'closes the first answer after some bytes, then redirects to a new URL, which serves the file',
    example: { cutAfterBytes: 100_000 },
    async handle(exchange, { cutAfterBytes }) {
      if (hopOf(exchange) > 0) return serveHonestly(exchange);
      if (await cutFirst(exchange, cutAfterBytes)) return;
      await redirect(exchange, nextHop(exchange).href);
    },
  }),
};

function hopsThenFile(status: number) {
  return {
    title: `redirects by ${status} for some hops, then serves the file`,
    example: { hops: 1 },
    handle: (exchange: Exchange, { hops }: { hops: number }) =>
      hopOf(exchange) >= hops ? serveHonestly(exchange) : redirect(exchange, nextHop(exchange).href, status),
  };
}

function hopOf(exchange: Exchange): number {
  return Number(exchange.url.searchParams.get('hop') ?? 0);
}

function nextHop(exchange: Exchange, origin = exchange.url.origin): URL {
  const url = new URL(`${exchange.url.pathname}${exchange.url.search}`, origin);
  url.searchParams.set('hop', String(hopOf(exchange) + 1));
  return url;
}

function redirect(exchange: Exchange, location: Headers[string], status = 302): Promise<void> {
  return exchange.sendHead(status, { Location: location, 'Content-Length': '0' });
}
