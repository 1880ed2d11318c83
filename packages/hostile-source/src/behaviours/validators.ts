import { behaviour } from '../behaviour.js';
import type { Exchange } from '../exchange.js';
import {
  cutFirst,
  honestAnswer,
  LAST_MODIFIED,
  type Representation,
  sendPart,
  serveHonestly,
  strongEtag,
  withStrongEtag,
} from '../representation.js';

const LATER = 'Wed, 01 Oct 2025 11:00:00 GMT';

/** Files that change, or seem to, between two requests. All close answers after some bytes. */
export const VALIDATORS = {
  'etag-changes': behaviour({
    title: 'closes the first answer after some bytes, then has a new version with another ETag; honours If-Range',
    example: { cutAfterBytes: 100_000 },
    async handle(exchange, { cutAfterBytes }) {
      if (await cutFirst(exchange, cutAfterBytes)) return;
      takeNewVersion(exchange);
      await serveHonestly(exchange);
    },
  }),
  'etag-changes-every-time': behaviour({
    title: 'has a new version with another ETag at every request and closes each answer after some bytes',
    example: { cutAfterBytes: 100_000 },
    async handle(exchange, { cutAfterBytes, seed }) {
      exchange.file = { ...exchange.file, seed: seed + exchange.attempt - 1 };
      if (!(await sendPart(exchange, honestAnswer(exchange), cutAfterBytes))) exchange.cut();
    },
  }),
  'etag-alternates': behaviour({
    title: 'sends the same bytes under two ETags in turn, as two machines do, and closes each answer after some bytes',
    example: { everyBytes: 100_000 },
    async handle(exchange, { everyBytes }) {
      const etag = `"machine-${exchange.attempt % 2}"`;
      const answer = honestAnswer(exchange, { ...withStrongEtag(exchange.file), etag });
      if (!(await sendPart(exchange, answer, everyBytes))) exchange.cut();
    },
  }),
  'etag-weak': behaviour({
    title: 'has a weak ETag alone, and closes the first answer after some bytes; honours ranges',
    example: { cutAfterBytes: 100_000 },
    handle: (exchange, { cutAfterBytes }) =>
      cutThenServe(exchange, cutAfterBytes, {
        ...withStrongEtag(exchange.file),
        etag: `W/${strongEtag(exchange.file)}`,
      }),
  }),
  'etag-unquoted': behaviour({
    title: 'sends an ETag without its quotes, and closes the first answer after some bytes; honours ranges',
    example: { cutAfterBytes: 100_000 },
    handle: (exchange, { cutAfterBytes }) =>
      cutThenServe(exchange, cutAfterBytes, { ...withStrongEtag(exchange.file), etag: 'unquoted' }),
  }),
  'etag-missing-on-resume': behaviour({
    title: 'sends an ETag at first and none with a resume',
    example: { cutAfterBytes: 100_000 },
    async handle(exchange, { cutAfterBytes }) {
      if (await cutFirst(exchange, cutAfterBytes)) return;
      await serveHonestly(exchange, { ...withStrongEtag(exchange.file), etag: undefined, isIgnoringIfRange: true });
    },
  }),
  'no-validator-cut': behaviour({
    title: 'has no validator, and closes the first answer after some bytes; honours ranges',
    example: { cutAfterBytes: 100_000 },
    handle: (exchange, { cutAfterBytes }) =>
      cutThenServe(exchange, cutAfterBytes, { isAnnouncingRanges: true, isHonouringRanges: true }),
  }),
  'last-modified-cut': behaviour({
    title: 'has Last-Modified alone, and closes the first answer after some bytes; honours ranges',
    example: { cutAfterBytes: 100_000 },
    handle: (exchange, { cutAfterBytes }) => cutThenServe(exchange, cutAfterBytes, modifiedAt(LAST_MODIFIED)),
  }),
  'last-modified-changes': behaviour({
    title:
      'closes the first answer after some bytes, then has a new version with a later Last-Modified; honours If-Range',
    example: { cutAfterBytes: 100_000 },
    async handle(exchange, { cutAfterBytes }) {
      if (await cutFirst(exchange, cutAfterBytes, modifiedAt(LAST_MODIFIED))) return;
      takeNewVersion(exchange);
      await serveHonestly(exchange, modifiedAt(LATER));
    },
  }),
  'total-changes': behaviour({
    title: 'closes the first answer after some bytes, then has a longer file under the same ETag',
    example: { cutAfterBytes: 100_000, surplusBytes: 1000 },
    async handle(exchange, { cutAfterBytes, surplusBytes }) {
      if (await cutFirst(exchange, cutAfterBytes)) return;
      const representation = withStrongEtag(exchange.file);
      exchange.file = { ...exchange.file, sizeBytes: exchange.file.sizeBytes + surplusBytes };
      await serveHonestly(exchange, representation);
    },
  }),
  'content-changes-silently': behaviour({
    title:
      'closes the first answer after some bytes, then has other bytes under the same ETag: a lie that only a hash finds',
    example: { cutAfterBytes: 100_000 },
    async handle(exchange, { cutAfterBytes }) {
      if (await cutFirst(exchange, cutAfterBytes)) return;
      const representation = withStrongEtag(exchange.file);
      takeNewVersion(exchange);
      await serveHonestly(exchange, representation);
    },
  }),
};

function takeNewVersion(exchange: Exchange): void {
  exchange.file = { ...exchange.file, seed: exchange.file.seed + 1 };
}

function modifiedAt(lastModified: string): Representation {
  return { lastModified, isAnnouncingRanges: true, isHonouringRanges: true };
}

async function cutThenServe(exchange: Exchange, bytes: number, representation: Representation): Promise<void> {
  if (await cutFirst(exchange, bytes, representation)) return;
  await serveHonestly(exchange, representation);
}
