import { createHash } from 'node:crypto';
import { type QueryParameter, uriEncode } from '../http/request-target.js';

export interface CanonicalRequestParts {
  readonly method: string;
  /** Decoded path. */
  readonly path: string;
  /** Decoded parameters, without X-Amz-Signature. */
  readonly query: readonly QueryParameter[];
  /** Lower-case names in the order the client signed them. */
  readonly signedHeaders: readonly string[];
  /** All values of a header, in the order of the request. */
  readonly headerValues: (name: string) => readonly string[];
  readonly payloadHash: string;
}

/** The canonical request of SigV4 as S3 builds it: the path is encoded once and never normalised. */
export function canonicalRequest(parts: CanonicalRequestParts): string {
  const query = parts.query
    .map(({ name, value }) => [uriEncode(name, { keepSlash: false }), uriEncode(value, { keepSlash: false })] as const)
    .sort((a, b) => compareAscii(a[0], b[0]) || compareAscii(a[1], b[1]))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
  const headers = parts.signedHeaders
    .map((name) => `${name}:${parts.headerValues(name).map(normaliseSpaces).join(',')}\n`)
    .join('');
  return [
    parts.method,
    uriEncode(parts.path, { keepSlash: true }),
    query,
    headers,
    parts.signedHeaders.join(';'),
    parts.payloadHash,
  ].join('\n');
}

/** Header values reach us as latin1, one character for each byte that the client signed. */
export function hashCanonicalRequest(request: string): string {
  return createHash('sha256').update(request, 'latin1').digest('hex');
}

function normaliseSpaces(value: string): string {
  return value.trim().replace(/ {2,}/g, ' ');
}

function compareAscii(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
