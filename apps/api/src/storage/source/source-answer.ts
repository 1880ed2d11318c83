import { SourceFault } from './source-fault.js';

export type SourceHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** Which version of a file an answer belongs to. */
export interface Validator {
  readonly etag: string | null;
  readonly lastModified: string | null;
}

/** What an answer says of the file as a whole. */
export interface FileFacts {
  readonly length: number | null;
  readonly validator: Validator;
  readonly contentEncoding: string | null;
  /** Whether the source says by itself that it takes ranges of bytes; null: it says nothing of them. */
  readonly takesRanges: boolean | null;
  /** The source says that this is HTML. */
  readonly isWebPage: boolean;
}

/** How the end of a body is marked: by its announced length, by a last chunk, or by nothing but the close. */
export type Framing = 'length' | 'chunked' | 'close';

export interface BodyFacts {
  readonly framing: Framing;
  /** Bytes of this body; null unless `framing` is `length`. */
  readonly length: number | null;
}

/** Bytes `start` to `end`, both included; `total` is null where the source does not know it. */
export interface ContentRange {
  readonly start: number;
  readonly end: number;
  readonly total: number | null;
}

/**
 * How the body of an answer 200 or 206 ends.
 *
 * @throws SourceFault SOURCE_PROTOCOL
 */
export function readBodyFacts(headers: SourceHeaders): BodyFacts {
  const transferEncoding = single(headers, 'transfer-encoding')?.toLowerCase() ?? '';
  if (transferEncoding !== '' && transferEncoding !== 'chunked') {
    // undici hands over `gzip, chunked` still coded, as if it were the file.
    throw new SourceFault('SOURCE_PROTOCOL', 'source used a Transfer-Encoding other than chunked', 'final');
  }
  const announced = single(headers, 'content-length');
  if (announced === null) return { framing: transferEncoding === 'chunked' ? 'chunked' : 'close', length: null };
  const length = Number(announced);
  if (!/^\d+$/.test(announced) || !Number.isSafeInteger(length)) {
    throw new SourceFault('SOURCE_PROTOCOL', 'source announced a Content-Length that is no number', 'final');
  }
  return { framing: 'length', length };
}

/** `length`: of the whole file, as Content-Length of a 200 or Content-Range of a 206 gives it. */
export function readFileFacts(headers: SourceHeaders, length: number | null): FileFacts {
  const contentEncoding = single(headers, 'content-encoding')?.toLowerCase() ?? 'identity';
  const acceptRanges = single(headers, 'accept-ranges')?.toLowerCase() ?? null;
  return {
    length,
    validator: { etag: single(headers, 'etag'), lastModified: single(headers, 'last-modified') },
    contentEncoding: contentEncoding === 'identity' ? null : contentEncoding,
    takesRanges: acceptRanges === null ? null : acceptRanges === 'bytes',
    isWebPage: /^text\/html\b/i.test(single(headers, 'content-type') ?? ''),
  };
}

/** `bytes 0-9/100`, or what a 416 says: `bytes *\/100`, whose range is null. Null when it is neither. */
export function readContentRange(headers: SourceHeaders): { range: ContentRange | null; total: number | null } | null {
  const match = /^bytes (?:(\d{1,15})-(\d{1,15})|\*)\/(\d{1,15}|\*)$/i.exec(single(headers, 'content-range') ?? '');
  if (match === null) return null;
  const total = match[3] === undefined || match[3] === '*' ? null : Number(match[3]);
  if (match[1] === undefined) return { range: null, total };
  const range = { start: Number(match[1]), end: Number(match[2]), total };
  return range.end < range.start || (total !== null && range.end >= total) ? null : { range, total };
}

/** Whether the version can be asked for again: only a strong ETag or a time of change names one. */
export function ifRangeOf({ etag, lastModified }: Validator): string | null {
  return isStrong(etag) ? etag : lastModified;
}

/**
 * Whether two answers show the same bytes. The answer's own words are compared, because two real stores send another
 * version in spite of If-Range.
 */
export function compareFacts(known: FileFacts, now: FileFacts): 'same' | 'changed' | 'unproven' {
  if (known.length !== null && now.length !== null && known.length !== now.length) return 'changed';
  if (known.contentEncoding !== now.contentEncoding) return 'changed';
  const { etag, lastModified } = known.validator;
  if (isStrong(etag) && now.validator.etag !== null) return now.validator.etag === etag ? 'same' : 'changed';
  if (etag !== null && now.validator.etag !== null && etag !== now.validator.etag) return 'changed';
  if (lastModified === null || now.validator.lastModified === null) return 'unproven';
  return lastModified === now.validator.lastModified ? 'same' : 'changed';
}

/**
 * Whether a 206 or 416 to `bytes=start-` or `bytes=start-(end-1)` gives what was asked for, of the version that is known.
 *
 * @returns the last byte of the range, and the total where the source knows it; `at-end` when nothing follows `start`
 * @throws SourceFault SOURCE_PROTOCOL, SOURCE_CHANGED, both with `ranges`: without ranges the source may still do
 */
export function judgeRange(
  known: FileFacts,
  { status, headers }: { status: number; headers: SourceHeaders },
  asked: { start: number; end: number | null },
): 'changed' | 'at-end' | { end: number; total: number | null } {
  const said = readContentRange(headers);
  if (status === 416) return known.length === null && said?.total === asked.start ? 'at-end' : 'changed';
  const { length } = readBodyFacts(headers);
  const range = said?.range ?? null;
  if (range === null || range.start !== asked.start || (asked.end !== null && range.end >= asked.end)) {
    throw new SourceFault('SOURCE_PROTOCOL', 'source answered with another range than was asked for', 'ranges');
  }
  if (length !== null && length !== range.end - range.start + 1) {
    throw new SourceFault('SOURCE_PROTOCOL', 'source sent a range of another length than it said', 'ranges');
  }
  const verdict = compareFacts(known, readFileFacts(headers, range.total));
  if (verdict === 'unproven') {
    throw new SourceFault('SOURCE_CHANGED', 'source does not say which version of the file its range is of', 'ranges');
  }
  return verdict === 'changed' ? 'changed' : { end: range.end, total: range.total };
}

/** Retry-After in ms, as seconds or as a date; 0 when there is none that can be read. */
export function readRetryAfterMs(headers: SourceHeaders, now = Date.now()): number {
  const text = single(headers, 'retry-after') ?? '';
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1_000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? 0 : Math.max(0, date - now);
}

function isStrong(etag: string | null): etag is string {
  return etag !== null && /^"[^"]*"$/.test(etag);
}

/** A header that is sent once; null when it is absent, empty or sent several times. */
function single(headers: SourceHeaders, name: string): string | null {
  const value = headers[name];
  return typeof value === 'string' && value !== '' ? value : null;
}
