import { StorageError } from '../storage.errors.js';

/** Longer than any presigned URL seen, short enough to keep hostile input cheap. In characters. */
const URL_MAX_LENGTH = 8_192;

/** C0, space, DEL and backslash: WHATWG URL drops or rewrites them, so they are looked for in the raw text. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for
const REWRITTEN_CHARACTER = /[\u0000-\u0020\u007f\\]/;

/** Ports above 1023 that speak something else than HTTP and act on what they are sent. */
const REFUSED_PORTS = new Set([3306, 5432, 6379, 9200, 11_211, 27_017]);

/**
 * The one parser of source URLs, for first requests and for each redirect.
 *
 * @throws StorageError SOURCE_URL_INVALID with the rule that is broken; the message never holds the URL
 */
export function parseSourceUrl(raw: string, { allowHttp }: { allowHttp: boolean }): URL {
  const refuse = (rule: string) => new StorageError('SOURCE_URL_INVALID', `source URL ${rule}`);
  if (typeof raw !== 'string') throw refuse('must be a string');
  if (raw.length > URL_MAX_LENGTH) throw refuse(`has more than ${URL_MAX_LENGTH} characters`);
  if (!raw.isWellFormed()) throw refuse('holds half of a surrogate pair');
  if (REWRITTEN_CHARACTER.test(raw)) throw refuse('holds a space, a control character or a backslash');
  if (!/^https?:\/\/[^/]/i.test(raw) || !URL.canParse(raw))
    throw refuse('must begin with https:// or http:// and a host');
  const url = new URL(raw);
  if (url.protocol === 'http:' && !allowHttp) throw refuse('must use https (SOURCE_ALLOW_HTTP is false)');
  if (url.username !== '' || url.password !== '') throw refuse('must not hold a user name or password');
  const host = url.hostname;
  const isLiteral = host.startsWith('[') || /^\d+\.\d+\.\d+\.\d+$/.test(host);
  if (!isLiteral && host.split('.').some((label, index, labels) => label === '' && index < labels.length - 1)) {
    throw refuse('has an empty label in its host');
  }
  const port = url.port === '' ? undefined : Number(url.port);
  if (port !== undefined && (REFUSED_PORTS.has(port) || (port < 1_024 && port !== 80 && port !== 443))) {
    throw refuse(`must not use port ${port}`);
  }
  return url;
}

/**
 * What of a source URL may be kept and shown, and what two requests are compared by: no userinfo, no query, no
 * fragment, because tokens live there.
 */
export function redactSourceUrl(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`;
}
