import { behaviour } from '../behaviour.js';
import type { Exchange } from '../exchange.js';
import {
  type Answer,
  CONTENT_TYPE,
  contentRangeHeader,
  cutFirst,
  firstBytes,
  honestAnswer,
  sendAnswer,
  serveHonestly,
  withStrongEtag,
} from '../representation.js';

const BOUNDARY = 'boundary-of-parts';

/**
 * Ranges that are ignored, refused or answered wrongly. All but the unasked one close the first answer after some bytes, and
 * the fault is in what comes after.
 */
export const RANGES = {
  'range-ignored': behaviour({
    title: 'closes the first answer after some bytes, then ignores ranges and sends the whole file under the same ETag',
    example: { cutAfterBytes: 100_000 },
    async handle(exchange, { cutAfterBytes }) {
      if (await cutFirst(exchange, cutAfterBytes)) return;
      await serveHonestly(exchange, { ...withStrongEtag(exchange.file), isHonouringRanges: false });
    },
  }),
  'range-ignored-other-etag': behaviour({
    title: 'closes the first answer after some bytes, then sends the whole file under another ETag',
    example: { cutAfterBytes: 100_000 },
    async handle(exchange, { cutAfterBytes }) {
      if (await cutFirst(exchange, cutAfterBytes)) return;
      await serveHonestly(exchange, { ...withStrongEtag(exchange.file), etag: '"another"', isHonouringRanges: false });
    },
  }),
  'range-wrong-start': behaviour({
    title: 'answers a resume with bytes of another place, and says so in Content-Range',
    example: { cutAfterBytes: 100_000, shiftBytes: 1000 },
    async handle(exchange, { cutAfterBytes, shiftBytes }) {
      if (await cutFirst(exchange, cutAfterBytes)) return;
      const answer = honestAnswer(exchange);
      if (answer.status !== 206) return sendAnswer(exchange, answer);
      await sendRange(exchange, answer, { ...answer.range, start: Math.max(0, answer.range.start - shiftBytes) });
    },
  }),
  'range-wrong-bytes': behaviour({
    title:
      'answers a resume with bytes of another place under the Content-Range that was asked for: a lie that only a hash finds',
    example: { cutAfterBytes: 100_000, shiftBytes: 1000 },
    async handle(exchange, { cutAfterBytes, shiftBytes }) {
      if (await cutFirst(exchange, cutAfterBytes)) return;
      const { status, headers, range } = honestAnswer(exchange);
      const shift = Math.min(shiftBytes, range.start);
      await exchange.sendHead(status, headers);
      await exchange.sendContent({ start: range.start - shift, end: range.end - shift });
    },
  }),
  'range-wrong-total': behaviour({
    title: 'answers a resume with another total in Content-Range',
    example: { cutAfterBytes: 100_000, shiftBytes: 1000 },
    async handle(exchange, { cutAfterBytes, shiftBytes, sizeBytes }) {
      if (await cutFirst(exchange, cutAfterBytes)) return;
      await sendPartial(exchange, ({ range }) => ({
        'Content-Range': contentRangeHeader(range, sizeBytes + shiftBytes),
      }));
    },
  }),
  'range-unknown-total': behaviour({
    title: 'answers a resume with `*` as total in Content-Range, which is legal',
    example: { cutAfterBytes: 100_000 },
    async handle(exchange, { cutAfterBytes }) {
      if (await cutFirst(exchange, cutAfterBytes)) return;
      await sendPartial(exchange, ({ range }) => ({ 'Content-Range': `bytes ${range.start}-${range.end - 1}/*` }));
    },
  }),
  'range-without-content-range': behaviour({
    title: 'answers a resume with 206 but without Content-Range',
    example: { cutAfterBytes: 100_000 },
    async handle(exchange, { cutAfterBytes }) {
      if (await cutFirst(exchange, cutAfterBytes)) return;
      await sendPartial(exchange, () => ({ 'Content-Range': undefined }));
    },
  }),
  'range-malformed': behaviour({
    title: 'answers a resume with a Content-Range that is none',
    example: { cutAfterBytes: 100_000 },
    async handle(exchange, { cutAfterBytes }) {
      if (await cutFirst(exchange, cutAfterBytes)) return;
      await sendPartial(exchange, ({ range }) => ({ 'Content-Range': `bytes=${range.start}-` }));
    },
  }),
  'range-multipart': behaviour({
    title: 'answers a resume of one range as multipart/byteranges',
    example: { cutAfterBytes: 100_000 },
    async handle(exchange, { cutAfterBytes }) {
      if (await cutFirst(exchange, cutAfterBytes)) return;
      const answer = honestAnswer(exchange);
      if (answer.status === 206) await sendMultipart(exchange, answer);
      else await sendAnswer(exchange, answer);
    },
  }),
  'range-unasked': behaviour({
    title: 'answers a request without Range by 206 with the first bytes; ranges are honoured',
    example: { everyBytes: 100_000 },
    async handle(exchange, { everyBytes }) {
      const answer = honestAnswer(exchange);
      if (answer.status === 200) await sendRange(exchange, answer, firstBytes(answer.range, everyBytes));
      else await sendAnswer(exchange, answer);
    },
  }),
  'range-other-etag': behaviour({
    title: 'answers a resume with 206 of another ETag, although If-Range was sent',
    example: { cutAfterBytes: 100_000 },
    async handle(exchange, { cutAfterBytes, seed }) {
      if (await cutFirst(exchange, cutAfterBytes)) return;
      exchange.file = { ...exchange.file, seed: seed + 1 };
      await serveHonestly(exchange, { ...withStrongEtag(exchange.file), isIgnoringIfRange: true });
    },
  }),
  'range-shorter': behaviour({
    title: 'answers every range by at most so many bytes, less than asked for and properly announced',
    example: { cutAfterBytes: 100_000, everyBytes: 70_000 },
    async handle(exchange, { cutAfterBytes, everyBytes }) {
      if (await cutFirst(exchange, cutAfterBytes)) return;
      const answer = honestAnswer(exchange);
      if (answer.status === 206) await sendRange(exchange, answer, firstBytes(answer.range, everyBytes));
      else await sendAnswer(exchange, answer);
    },
  }),
  'range-end-ignored': behaviour({
    title: 'answers every range up to the end of the file, and says so in Content-Range',
    example: { cutAfterBytes: 100_000 },
    async handle(exchange, { cutAfterBytes, sizeBytes }) {
      if (await cutFirst(exchange, cutAfterBytes)) return;
      const answer = honestAnswer(exchange);
      if (answer.status === 206) await sendRange(exchange, answer, { start: answer.range.start, end: sizeBytes });
      else await sendAnswer(exchange, answer);
    },
  }),
  'range-surplus': behaviour({
    title: 'sends more bytes behind the range than it announces',
    example: { cutAfterBytes: 100_000, surplusBytes: 1000 },
    async handle(exchange, { cutAfterBytes, surplusBytes }) {
      if (await cutFirst(exchange, cutAfterBytes)) return;
      await serveHonestly(exchange);
      await exchange.sendContent({ start: 0, end: Math.min(surplusBytes, exchange.file.sizeBytes) });
    },
  }),
  'range-length-disagrees': behaviour({
    title: 'answers a resume with a Content-Length that does not fit its Content-Range',
    example: { cutAfterBytes: 100_000, missingBytes: 1000 },
    async handle(exchange, { cutAfterBytes, missingBytes }) {
      if (await cutFirst(exchange, cutAfterBytes)) return;
      const answer = honestAnswer(exchange);
      if (answer.status !== 206) return sendAnswer(exchange, answer);
      const range = { ...answer.range, end: Math.max(answer.range.start, answer.range.end - missingBytes) };
      await exchange.sendHead(answer.status, { ...answer.headers, 'Content-Length': String(range.end - range.start) });
      await exchange.sendContent(range);
    },
  }),
  'resume-416': behaviour({
    title: 'refuses every resume with 416 and the right total',
    example: { cutAfterBytes: 100_000 },
    async handle(exchange, { cutAfterBytes, sizeBytes }) {
      if (await cutFirst(exchange, cutAfterBytes)) return;
      await refuseRange(exchange, sizeBytes);
    },
  }),
  'resume-416-other-total': behaviour({
    title: 'refuses every resume with 416 and a total below what was sent already',
    example: { cutAfterBytes: 100_000 },
    async handle(exchange, { cutAfterBytes }) {
      if (await cutFirst(exchange, cutAfterBytes)) return;
      await refuseRange(exchange, Math.floor(cutAfterBytes / 2));
    },
  }),
};

async function sendPartial(exchange: Exchange, change: (answer: Answer) => Answer['headers']): Promise<void> {
  const answer = honestAnswer(exchange);
  await sendAnswer(exchange, answer, answer.status === 206 ? change(answer) : {});
}

function sendRange(exchange: Exchange, { headers }: Answer, range: Answer['range']): Promise<void> {
  return sendAnswer(exchange, {
    status: 206,
    headers: {
      ...headers,
      'Content-Range': contentRangeHeader(range, exchange.file.sizeBytes),
      'Content-Length': String(range.end - range.start),
    },
    range,
  });
}

async function sendMultipart(exchange: Exchange, { headers, range }: Answer): Promise<void> {
  const partHead = [
    `--${BOUNDARY}`,
    `Content-Type: ${CONTENT_TYPE}`,
    `Content-Range: ${contentRangeHeader(range, exchange.file.sizeBytes)}`,
    '\r\n',
  ].join('\r\n');
  const end = `\r\n--${BOUNDARY}--\r\n`;
  await exchange.sendHead(206, {
    ...headers,
    'Content-Type': `multipart/byteranges; boundary=${BOUNDARY}`,
    'Content-Range': undefined,
    'Content-Length': String(partHead.length + range.end - range.start + end.length),
  });
  await exchange.sendBody(partHead);
  await exchange.sendContent(range);
  await exchange.sendBody(end);
}

function refuseRange(exchange: Exchange, totalBytes: number): Promise<void> {
  const isRange = exchange.request.headers.range !== undefined;
  if (!isRange) return serveHonestly(exchange);
  return exchange.sendHead(416, { 'Content-Range': `bytes */${totalBytes}`, 'Content-Length': '0' });
}
