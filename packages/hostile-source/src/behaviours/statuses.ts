import { behaviour } from '../behaviour.js';
import type { Exchange, Headers } from '../exchange.js';
import { cutFirst, honestAnswer, sendPart, serveHonestly } from '../representation.js';

/** What stands in place of the file where a session has ended. */
export const LOGIN_PAGE = '<!doctype html><title>Sign in</title><form method="post"><input name="password"></form>\n';
const PLAIN_TEXT = 'text/plain; charset=utf-8';

/** Answers that are not the file: for ever, for a while, or from the middle on. */
export const STATUSES = {
  'status-202': behaviour(forEver(202)),
  'status-204': behaviour(forEver(204)),
  'status-205': behaviour(forEver(205)),
  'status-300': behaviour(forEver(300)),
  'status-304': behaviour(forEver(304)),
  'status-400': behaviour(forEver(400)),
  'status-401': behaviour(forEver(401)),
  'status-403': behaviour(forEver(403)),
  'status-404': behaviour(forEver(404)),
  'status-407': behaviour(forEver(407)),
  'status-410': behaviour(forEver(410)),
  'status-429': behaviour(forEver(429)),
  'status-451': behaviour(forEver(451)),
  'status-500': behaviour(forEver(500)),
  'status-502': behaviour(forEver(502)),
  'status-503': behaviour(forEver(503)),
  'status-504': behaviour(forEver(504)),
  'status-408-once': behaviour(firstTimes(408)),
  'status-425-once': behaviour(firstTimes(425)),
  'status-500-once': behaviour(firstTimes(500)),
  'status-503-twice': behaviour(firstTimes(503, 2)),
  'retry-after-seconds': behaviour({
    title: 'answers 429 with Retry-After in seconds to the first requests, then sends the file',
    example: { times: 2, retryAfterSeconds: 1 },
    handle: (exchange, { times, retryAfterSeconds }) =>
      exchange.attempt > times
        ? serveHonestly(exchange)
        : sendText(exchange, 429, { 'Retry-After': String(retryAfterSeconds) }),
  }),
  'retry-after-date': behaviour({
    title: 'answers 429 with Retry-After as a date to the first requests, then sends the file',
    example: { times: 2, retryAfterSeconds: 1 },
    handle: (exchange, { times, retryAfterSeconds }) => {
      const date = new Date(Date.now() + retryAfterSeconds * 1000).toUTCString();
      return exchange.attempt > times ? serveHonestly(exchange) : sendText(exchange, 429, { 'Retry-After': date });
    },
  }),
  'retry-after-absurd': behaviour({
    title: 'answers 503 with a Retry-After of many years to the first request, then sends the file',
    example: { times: 1, retryAfterSeconds: 999_999_999 },
    handle: (exchange, { times, retryAfterSeconds }) =>
      exchange.attempt > times
        ? serveHonestly(exchange)
        : sendText(exchange, 503, { 'Retry-After': String(retryAfterSeconds) }),
  }),
  'retry-after-malformed': behaviour({
    title: 'answers 503 with a Retry-After that is neither number nor date to the first request, then sends the file',
    example: { times: 1 },
    handle: (exchange, { times }) =>
      exchange.attempt > times ? serveHonestly(exchange) : sendText(exchange, 503, { 'Retry-After': 'soon' }),
  }),
  'resume-500-once': behaviour({
    title: 'closes the first answer after some bytes, answers the first resume by 500 and the next properly',
    example: { cutAfterBytes: 100_000, times: 1 },
    async handle(exchange, { cutAfterBytes, times }) {
      if (await cutFirst(exchange, cutAfterBytes)) return;
      await (exchange.attempt > 1 + times ? serveHonestly(exchange) : sendText(exchange, 500));
    },
  }),
  'resume-404': behaviour({
    title: 'closes the first answer after some bytes, then knows the file no more',
    example: { cutAfterBytes: 100_000 },
    async handle(exchange, { cutAfterBytes }) {
      if (await cutFirst(exchange, cutAfterBytes)) return;
      await sendText(exchange, 404);
    },
  }),
  'resume-login-page': behaviour({
    title: 'closes the first answer after some bytes, then sends an HTML login page with 200',
    example: { cutAfterBytes: 100_000 },
    async handle(exchange, { cutAfterBytes }) {
      if (await cutFirst(exchange, cutAfterBytes)) return;
      await sendLoginPage(exchange);
    },
  }),
  'link-expires': behaviour({
    title: 'closes the first answer after some bytes, then answers 403 until the query has a `token` it has not seen',
    example: { cutAfterBytes: 100_000 },
    async handle(exchange, { cutAfterBytes }) {
      const token = exchange.url.searchParams.get('token') ?? '';
      const { tokens } = exchange.state;
      const isFirst = tokens.size === 0;
      const [expired = token] = tokens;
      tokens.add(token);
      if (isFirst && (await cutFirst(exchange, cutAfterBytes))) return;
      await (token === expired ? sendText(exchange, 403) : serveHonestly(exchange));
    },
  }),
  'link-expires-every-n-bytes': behaviour({
    title: 'closes each answer after some bytes and then answers 403 to the `token` it had',
    example: { everyBytes: 100_000 },
    async handle(exchange, { everyBytes }) {
      const token = exchange.url.searchParams.get('token') ?? '';
      if (exchange.state.tokens.has(token)) return sendText(exchange, 403);
      exchange.state.tokens.add(token);
      if (!(await sendPart(exchange, honestAnswer(exchange), everyBytes))) exchange.cut();
    },
  }),
  'login-page': behaviour({
    title: 'sends an HTML login page with 200 instead of the file',
    handle: (exchange) => sendLoginPage(exchange),
  }),
  'login-page-as-video': behaviour({
    title: 'sends an HTML login page with 200 and the Content-Type of a video',
    handle: (exchange) => sendLoginPage(exchange, 'video/mp4'),
  }),
  'error-with-endless-body': behaviour({
    title: 'answers 500 with a body that never ends',
    async handle(exchange) {
      await exchange.sendHead(500, { 'Content-Type': PLAIN_TEXT, 'Transfer-Encoding': 'chunked' });
      await exchange.sendFileForEver('chunked');
    },
  }),
};

const BODILESS_STATUSES = [204, 205, 304];

function forEver(status: number) {
  return {
    title: `answers ${status}, for ever`,
    handle: (exchange: Exchange) => sendText(exchange, status),
  };
}

function firstTimes(status: number, times = 1) {
  return {
    title: `answers ${status} to the first requests, then sends the file`,
    example: { times },
    handle: (exchange: Exchange, values: { times: number }) =>
      exchange.attempt > values.times ? serveHonestly(exchange) : sendText(exchange, status),
  };
}

async function sendText(exchange: Exchange, status: number, headers: Headers = {}): Promise<void> {
  const body = BODILESS_STATUSES.includes(status) ? '' : `This is no video but a ${status}.\n`;
  const length = status === 204 || status === 304 ? undefined : String(body.length);
  await exchange.sendHead(status, { 'Content-Type': PLAIN_TEXT, ...headers, 'Content-Length': length });
  if (body !== '') await exchange.sendBody(body);
}

async function sendLoginPage(exchange: Exchange, contentType = 'text/html; charset=utf-8'): Promise<void> {
  await exchange.sendHead(200, { 'Content-Type': contentType, 'Content-Length': String(LOGIN_PAGE.length) });
  await exchange.sendBody(LOGIN_PAGE);
}
