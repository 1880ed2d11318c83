import { StorageError } from '../storage.errors.js';
import type { SourceVersion } from './source-version.js';

/** What is asked of a source, beside its bytes. */
export interface SourceRequest {
  readonly url: URL;
  /** Sent to the origin of `url` alone; checked by assertSourceHeaders. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Takes a body whose end nothing but the close of the connection marks. */
  readonly allowUnprovenLength?: boolean;
  /** In bytes; more than SOURCE_MAX_BYTES allows has no effect. */
  readonly maxBytes?: number;
  readonly expectedBytes?: number;
  /** Goes on with a file whose beginning was read and judged before: only what follows is read and shown. */
  readonly resume?: { readonly fromBytes: number; readonly version: SourceVersion };
  /** Asks for a link that is valid again, once the old one has expired. The bytes must be of the same file. */
  readonly refresh?: () => Promise<{ url: URL; headers?: Readonly<Record<string, string>> }>;
  /** Sees the beginning of the file before it is handed out; an error refuses it. */
  readonly inspect?: (beginning: Buffer, contentEncoding: string | null) => Promise<void>;
  /** Sees every byte, in order, once; after `onRestart` the file begins anew. */
  readonly onBytes?: (bytes: Buffer) => void;
  readonly onRestart?: () => void;
}

const MAX_HEADERS = 50;
const MAX_VALUE_LENGTH = 8_192;
/** What the reader and HTTP itself decide. */
const OWN_HEADERS = new Set([
  'accept-encoding',
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'expect',
  'host',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'keep-alive',
  'proxy-authorization',
  'proxy-connection',
  'range',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/**
 * Headers of a caller, with names in lower case.
 *
 * @throws StorageError INVALID_OPTION naming the header, never its value
 */
export function parseSourceHeaders(headers: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  const refuse = (rule: string) => new StorageError('INVALID_OPTION', `sourceHeaders ${rule}`);
  if (typeof headers !== 'object' || headers === null || Array.isArray(headers)) throw refuse('must be an object');
  const entries = Object.entries(headers);
  if (entries.length > MAX_HEADERS) throw refuse(`has more than ${MAX_HEADERS} headers`);
  const parsed: Record<string, string> = {};
  for (const [name, value] of entries) {
    const key = name.toLowerCase();
    if (!/^[!#$%&'*+.^_`|~0-9a-z-]{1,100}$/.test(key)) throw refuse('has a name that is no HTTP header');
    if (OWN_HEADERS.has(key)) throw refuse(`must not set ${key}`);
    if (key in parsed) throw refuse(`names ${key} twice`);
    if (typeof value !== 'string' || value.length > MAX_VALUE_LENGTH || !/^[\t\x20-\x7e]*$/.test(value)) {
      throw refuse(`has a value of ${key} that is no line of printable ASCII`);
    }
    parsed[key] = value;
  }
  return Object.freeze(parsed);
}
