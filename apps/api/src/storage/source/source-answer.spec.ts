import { describe, expect, it } from '@jest/globals';
import {
  compareFacts,
  type FileFacts,
  ifRangeOf,
  judgeRange,
  readBodyFacts,
  readContentRange,
  readFileFacts,
  readRetryAfterMs,
} from './source-answer.js';

const LAST_MODIFIED = 'Tue, 24 Nov 2026 08:00:00 GMT';

function facts(changes: Partial<FileFacts> & { etag?: string; lastModified?: string } = {}): FileFacts {
  const { etag = null, lastModified = null, ...rest } = changes;
  return {
    length: 100,
    contentEncoding: null,
    takesRanges: true,
    isWebPage: false,
    validator: { etag, lastModified },
    ...rest,
  };
}

describe('compareFacts', () => {
  it.each([
    ['the same strong ETag', { etag: '"a"' }, { etag: '"a"' }, 'same'],
    ['another strong ETag', { etag: '"a"' }, { etag: '"b"' }, 'changed'],
    ['an ETag that became weak', { etag: '"a"' }, { etag: 'W/"a"' }, 'changed'],
    ['weak ETags alone', { etag: 'W/"a"' }, { etag: 'W/"a"' }, 'unproven'],
    ['other weak ETags', { etag: 'W/"a"' }, { etag: 'W/"b"' }, 'changed'],
    ['weak ETags and the same time', weak(), weak(), 'same'],
    ['the same time', { lastModified: LAST_MODIFIED }, { lastModified: LAST_MODIFIED }, 'same'],
    ['another time', { lastModified: LAST_MODIFIED }, { lastModified: 'Wed, 25 Nov 2026 08:00:00 GMT' }, 'changed'],
    ['no validator', {}, {}, 'unproven'],
    ['an ETag that is gone', { etag: '"a"' }, {}, 'unproven'],
    ['another length', { etag: '"a"' }, { etag: '"a"', length: 99 }, 'changed'],
    ['a length that was not known', { etag: '"a"', length: null }, { etag: '"a"' }, 'same'],
    ['another coding', { etag: '"a"' }, { etag: '"a"', contentEncoding: 'gzip' }, 'changed'],
  ])('%s', (_what, known, now, verdict) => {
    expect(compareFacts(facts(known), facts(now))).toBe(verdict);
  });

  function weak() {
    return { etag: 'W/"a"', lastModified: LAST_MODIFIED };
  }
});

describe('judgeRange', () => {
  const known = facts({ etag: '"a"' });
  const answer = (range: string, changes: Record<string, string> = {}) => ({
    status: 206,
    headers: { 'content-range': range, etag: '"a"', ...changes },
  });

  it('takes the range that was asked for, and a shorter one', () => {
    expect(judgeRange(known, answer('bytes 40-99/100'), { start: 40, end: null })).toEqual({ end: 99, total: 100 });
    expect(judgeRange(known, answer('bytes 40-59/100'), { start: 40, end: 80 })).toEqual({ end: 59, total: 100 });
    expect(judgeRange(known, answer('bytes 40-59/*'), { start: 40, end: 60 })).toEqual({ end: 59, total: null });
  });

  it.each([
    ['another start', answer('bytes 41-99/100')],
    ['more than was asked for', answer('bytes 40-80/100')],
    ['no Content-Range', answer('')],
    ['several parts', answer('', { 'content-type': 'multipart/byteranges; boundary=x' })],
    ['an end before its start', answer('bytes 40-39/100')],
    ['an end behind its total', answer('bytes 40-79/79')],
    ['a length that does not fit', answer('bytes 40-79/100', { 'content-length': '41' })],
  ])('refuses %s, which one whole stream can do without', (_what, refused) => {
    expect(() => judgeRange(known, refused, { start: 40, end: 80 })).toThrow(
      expect.objectContaining({ code: 'SOURCE_PROTOCOL', remedy: 'ranges' }),
    );
  });

  it('tells another version by ETag or total, in spite of status 206', () => {
    expect(judgeRange(known, answer('bytes 40-99/100', { etag: '"b"' }), { start: 40, end: null })).toBe('changed');
    expect(judgeRange(known, answer('bytes 40-99/101'), { start: 40, end: null })).toBe('changed');
  });

  it('reads from a 416 that nothing follows, where the length was not known', () => {
    const refused = { status: 416, headers: { 'content-range': 'bytes */40' } };
    expect(judgeRange(facts({ etag: '"a"', length: null }), refused, { start: 40, end: null })).toBe('at-end');
    expect(judgeRange(facts({ etag: '"a"', length: null }), refused, { start: 30, end: null })).toBe('changed');
    expect(judgeRange(known, refused, { start: 40, end: null })).toBe('changed');
  });
});

describe('headers', () => {
  it('say how a body ends', () => {
    expect(readBodyFacts({ 'content-length': '5' })).toEqual({ framing: 'length', length: 5 });
    expect(readBodyFacts({ 'transfer-encoding': 'Chunked' })).toEqual({ framing: 'chunked', length: null });
    expect(readBodyFacts({})).toEqual({ framing: 'close', length: null });
    expect(() => readBodyFacts({ 'transfer-encoding': 'gzip, chunked' })).toThrow('Transfer-Encoding');
    expect(() => readBodyFacts({ 'content-length': '-5' })).toThrow('Content-Length');
  });

  it('name a version by a strong ETag, else by a time, never by a weak ETag', () => {
    expect(ifRangeOf({ etag: '"a"', lastModified: LAST_MODIFIED })).toBe('"a"');
    expect(ifRangeOf({ etag: 'W/"a"', lastModified: LAST_MODIFIED })).toBe(LAST_MODIFIED);
    expect(ifRangeOf({ etag: 'W/"a"', lastModified: null })).toBeNull();
  });

  it('that come twice count as absent', () => {
    expect(readFileFacts({ etag: ['"a"', '"b"'] }, null).validator.etag).toBeNull();
    expect(readContentRange({ 'content-range': ['bytes 0-1/2', 'bytes 0-1/2'] })).toBeNull();
  });

  it('ask for a wait in seconds or until a date', () => {
    expect(readRetryAfterMs({ 'retry-after': '7' })).toBe(7_000);
    expect(readRetryAfterMs({ 'retry-after': LAST_MODIFIED }, Date.parse(LAST_MODIFIED) - 3_000)).toBe(3_000);
    expect(readRetryAfterMs({ 'retry-after': 'soon' })).toBe(0);
    expect(readRetryAfterMs({})).toBe(0);
  });
});
