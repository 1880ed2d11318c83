import type { FileContent } from './content.js';
import type { Exchange, Headers } from './exchange.js';
import { type ByteRange, parseRange } from './request-head.js';

export const LAST_MODIFIED = 'Wed, 01 Oct 2025 10:00:00 GMT';
export const CONTENT_TYPE = 'video/mp4';

/** What a server says about a file, and what it does with ranges. */
export interface Representation {
  readonly etag?: string;
  readonly lastModified?: string;
  /** Sends `Accept-Ranges: bytes`. */
  readonly isAnnouncingRanges: boolean;
  readonly isHonouringRanges: boolean;
  /** Serves a range whatever version If-Range asks for. */
  readonly isIgnoringIfRange?: boolean;
  /** Instead of the file's own size: the answer's range may then reach behind the file's end. */
  readonly totalBytes?: number;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** The bytes that belong into the body. */
  readonly range: ByteRange;
}

export function strongEtag(file: FileContent): string {
  return `"${file.seed}-${file.sizeBytes}"`;
}

export function withStrongEtag(file: FileContent): Representation {
  return { etag: strongEtag(file), isAnnouncingRanges: true, isHonouringRanges: true };
}

export function withoutRanges(file: FileContent): Representation {
  return { etag: strongEtag(file), isAnnouncingRanges: false, isHonouringRanges: false };
}

/** What an honest server answers to this request; behaviours change one thing of it. */
export function honestAnswer(exchange: Exchange, representation = withStrongEtag(exchange.file)): Answer {
  const sizeBytes = representation.totalBytes ?? exchange.file.sizeBytes;
  const headers: Headers = {
    'Content-Type': CONTENT_TYPE,
    ETag: representation.etag,
    'Last-Modified': representation.lastModified,
    'Accept-Ranges': representation.isAnnouncingRanges ? 'bytes' : undefined,
  };
  const range = representation.isHonouringRanges ? askedRange(exchange, representation, sizeBytes) : undefined;
  if (range === 'unsatisfiable') {
    const refusal = { ...headers, 'Content-Range': `bytes */${sizeBytes}`, 'Content-Length': '0' };
    return { status: 416, headers: refusal, range: { start: 0, end: 0 } };
  }
  if (range === undefined) return wholeAnswer(headers, sizeBytes);
  return {
    status: 206,
    headers: {
      ...headers,
      'Content-Range': contentRangeHeader(range, sizeBytes),
      'Content-Length': String(range.end - range.start),
    },
    range,
  };
}

export function contentRangeHeader(range: ByteRange, totalBytes: number): string {
  return `bytes ${range.start}-${range.end - 1}/${totalBytes}`;
}

/** Sends head and body, with `headers` instead of or beside the answer's own. */
export async function sendAnswer(exchange: Exchange, answer: Answer, headers: Headers = {}): Promise<void> {
  await exchange.sendHead(answer.status, { ...answer.headers, ...headers });
  await exchange.sendContent(answer.range);
}

export async function serveHonestly(exchange: Exchange, representation?: Representation): Promise<void> {
  await sendAnswer(exchange, honestAnswer(exchange, representation));
}

export function chunkedHeaders(headers: Headers): Headers {
  return { ...headers, 'Content-Length': undefined, 'Transfer-Encoding': 'chunked' };
}

export function wholeFile({ sizeBytes }: FileContent): ByteRange {
  return { start: 0, end: sizeBytes };
}

/** The first so many bytes of an answer. */
export function firstBytes({ start, end }: ByteRange, bytes: number): ByteRange {
  return { start, end: Math.min(end, start + bytes) };
}

function wholeAnswer(headers: Headers, sizeBytes: number): Answer {
  return {
    status: 200,
    headers: { ...headers, 'Content-Length': String(sizeBytes) },
    range: { start: 0, end: sizeBytes },
  };
}

/** If-Range holds for an equal strong validator alone; otherwise the whole file is due (RFC 9110, 13.1.5). */
function askedRange(
  exchange: Exchange,
  representation: Representation,
  sizeBytes: number,
): ReturnType<typeof parseRange> {
  const ifRange = exchange.request.headers['if-range'];
  const isCondition = ifRange !== undefined && !representation.isIgnoringIfRange;
  const isSameVersion = !isCondition || validators(representation).includes(ifRange);
  return isSameVersion ? parseRange(exchange.request.headers.range, sizeBytes) : undefined;
}

function validators({ etag, lastModified }: Representation): string[] {
  return [etag, lastModified].filter((value) => value !== undefined && !value.startsWith('W/')) as string[];
}

/** Sends the head and at most so many bytes of the body; says whether that was all. */
export async function sendPart(
  exchange: Exchange,
  { status, headers, range }: Answer,
  bytes: number,
): Promise<boolean> {
  const part = firstBytes(range, bytes);
  await exchange.sendHead(status, headers);
  await exchange.sendContent(part);
  return part.end === range.end;
}

/**
 * Closes the first answer after some bytes, so that the client has something to resume.
 * Says whether this was that answer.
 */
export async function cutFirst(exchange: Exchange, bytes: number, representation?: Representation): Promise<boolean> {
  if (exchange.attempt > 1) return false;
  await sendPart(exchange, honestAnswer(exchange, representation), bytes);
  exchange.cut();
  return true;
}
