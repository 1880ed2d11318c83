import { StorageError } from '../storage.errors.js';
import { checkHostName, type HostLists } from './host-name.js';

/** Longer than any presigned URL seen, short enough to keep hostile input cheap. In characters. */
const URL_MAX_LENGTH = 8_192;

/** C0, space, DEL and backslash: WHATWG URL drops or rewrites them, so they are looked for in the raw text. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for
const REWRITTEN_CHARACTER = /[\u0000-\u0020\u007f\\]/;

/** Of the ports below 1024, the two that web servers have. */
const WEB_PORTS = new Set([80, 443]);
const FIRST_FREE_PORT = 1_024;
/** Ports above 1023 that speak something else than HTTP and act on what they are sent. */
const REFUSED_PORTS = new Set([
  // "Bad ports" of the Fetch standard (fetch.spec.whatwg.org/#port-blocking).
  ...[1_719, 1_720, 1_723, 2_049, 3_659, 4_045, 4_190, 5_060, 5_061, 6_000, 6_566],
  ...[6_665, 6_666, 6_667, 6_668, 6_669, 6_679, 6_697, 10_080],
  // Databases and caches.
  ...[3_306, 5_432, 6_379, 9_200, 11_211, 27_017],
]);

export interface SourceUrlOptions extends HostLists {
  readonly allowHttp: boolean;
}

/**
 * The one parser of source URLs, for first requests and for each redirect.
 *
 * Literal addresses are left to the guard, which judges them where the socket is opened.
 * @throws StorageError SOURCE_URL_INVALID with the rule that is broken; SOURCE_ADDRESS_BLOCKED for a host by its name.
 * No message holds the URL
 */
export function parseSourceUrl(raw: string, options: SourceUrlOptions): URL {
  const refuse = (rule: string) => new StorageError('SOURCE_URL_INVALID', `source URL ${rule}`);
  if (typeof raw !== 'string') throw refuse('must be a string');
  if (raw.length > URL_MAX_LENGTH) throw refuse(`has more than ${URL_MAX_LENGTH} characters`);
  if (!raw.isWellFormed()) throw refuse('holds half of a surrogate pair');
  if (REWRITTEN_CHARACTER.test(raw)) throw refuse('holds a space, a control character or a backslash');
  if (!/^https?:\/\/[^/]/i.test(raw) || !URL.canParse(raw))
    throw refuse('must begin with https:// or http:// and a host');
  const url = new URL(raw);
  if (url.protocol === 'http:' && !options.allowHttp) throw refuse('must use https (SOURCE_ALLOW_HTTP is false)');
  if (url.username !== '' || url.password !== '') throw refuse('must not hold a user name or password');
  const host = url.hostname;
  const isLiteral = host.startsWith('[') || /^\d+\.\d+\.\d+\.\d+$/.test(host);
  if (!isLiteral && host.split('.').some((label, index, labels) => label === '' && index < labels.length - 1)) {
    throw refuse('has an empty label in its host');
  }
  const port = url.port === '' ? undefined : Number(url.port);
  if (port !== undefined && (REFUSED_PORTS.has(port) || (port < FIRST_FREE_PORT && !WEB_PORTS.has(port)))) {
    throw refuse(`must not use port ${port}`);
  }
  if (!isLiteral) checkHostName(host, options);
  return url;
}

/**
 * What of a source URL may be kept and shown, and what two requests are compared by: no userinfo, no query, no
 * fragment, because tokens live there.
 */
export function redactSourceUrl(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`;
}
