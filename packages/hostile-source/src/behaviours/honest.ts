import { behaviour } from '../behaviour.js';
import {
  chunkedHeaders,
  honestAnswer,
  LAST_MODIFIED,
  sendAnswer,
  serveHonestly,
  strongEtag,
  withoutRanges,
} from '../representation.js';

const NO_VALIDATOR = { isAnnouncingRanges: true, isHonouringRanges: true };

/** Servers that do nothing wrong. */
export const HONEST = {
  'honest-etag': behaviour({
    title: 'sends the file with length and strong ETag, and honours ranges',
    handle: (exchange) => serveHonestly(exchange),
  }),
  'honest-last-modified': behaviour({
    title: 'sends the file with length and Last-Modified alone, and honours ranges',
    handle: (exchange) => serveHonestly(exchange, { ...NO_VALIDATOR, lastModified: LAST_MODIFIED }),
  }),
  'honest-no-validator': behaviour({
    title: 'sends the file with length but no validator, and honours ranges',
    handle: (exchange) => serveHonestly(exchange, NO_VALIDATOR),
  }),
  'honest-unannounced-ranges': behaviour({
    title: 'honours ranges without announcing them by Accept-Ranges',
    handle: (exchange) =>
      serveHonestly(exchange, { etag: strongEtag(exchange.file), isAnnouncingRanges: false, isHonouringRanges: true }),
  }),
  'honest-no-ranges': behaviour({
    title: 'says Accept-Ranges: none and always sends the whole file',
    async handle(exchange) {
      await sendAnswer(exchange, honestAnswer(exchange, withoutRanges(exchange.file)), { 'Accept-Ranges': 'none' });
    },
  }),
  'honest-chunked': behaviour({
    title: 'sends the file chunked, without length, with strong ETag and ranges',
    async handle(exchange) {
      const { status, headers, range } = honestAnswer(exchange);
      await exchange.sendHead(status, chunkedHeaders(headers));
      await exchange.sendContentChunked(range);
      await exchange.sendLastChunk();
    },
  }),
  'empty-file': behaviour({
    title: 'announces an empty file and sends it',
    example: { sizeBytes: 0 },
    handle: (exchange) => serveHonestly(exchange),
  }),
};
