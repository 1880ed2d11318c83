import { S3Error } from '../errors.js';
import { checksumHeader } from '../http/checksums.js';
import { isHeaderValue } from '../http/header-value.js';
import type { KeptHeaders, ObjectMetadata } from '../store/stored-object.js';
import { type Exchange, httpTime } from './exchange.js';

export const KEPT_HEADERS: readonly string[] = [
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-type',
  'expires',
];
const META_PREFIX = 'x-amz-meta-';
/** Names and values together (S3 user guide, object metadata). */
const MAX_META_BYTES = 2 * 1024;
const DEFAULT_CONTENT_TYPE = 'binary/octet-stream';

/** Request headers that would change what is stored, and the values that ask for nothing we do not do anyway. */
const UNSUPPORTED: Readonly<Record<string, readonly string[]>> = {
  'x-amz-tagging': [],
  'x-amz-server-side-encryption': [],
  'x-amz-server-side-encryption-aws-kms-key-id': [],
  'x-amz-server-side-encryption-customer-algorithm': [],
  'x-amz-copy-source-server-side-encryption-customer-algorithm': [],
  'x-amz-object-lock-mode': [],
  'x-amz-object-lock-retain-until-date': [],
  'x-amz-object-lock-legal-hold': ['OFF'],
  'x-amz-website-redirect-location': [],
  'x-amz-storage-class': ['STANDARD'],
  'x-amz-write-offset-bytes': [],
};

/**
 * Refuses what would otherwise be dropped in silence.
 * @throws S3Error NotImplemented, AccessControlListNotSupported
 */
export function refuseUnsupportedHeaders(exchange: Exchange): void {
  for (const [name, harmless] of Object.entries(UNSUPPORTED)) {
    const value = exchange.header(name);
    if (value !== undefined && !harmless.includes(value)) {
      throw new S3Error('NotImplemented', 'A header you provided implies functionality that is not implemented', {
        Header: name,
      });
    }
  }
  const acl = exchange.header('x-amz-acl');
  const grant = Object.keys(exchange.request.headers).find((name) => name.startsWith('x-amz-grant-'));
  if (grant !== undefined || (acl !== undefined && acl !== 'private' && acl !== 'bucket-owner-full-control')) {
    throw new S3Error('AccessControlListNotSupported', 'The bucket does not allow ACLs');
  }
}

/** @throws S3Error MetadataTooLarge */
export function keptHeadersOf(exchange: Exchange): KeptHeaders {
  const kept: Record<string, string> = { 'content-type': DEFAULT_CONTENT_TYPE };
  for (const name of KEPT_HEADERS) {
    const value = name === 'content-encoding' ? contentEncoding(exchange) : exchange.header(name);
    if (value !== undefined && value !== '') kept[name] = value;
  }
  let metaBytes = 0;
  for (const name of Object.keys(exchange.request.headers)) {
    if (!name.startsWith(META_PREFIX)) continue;
    const value = exchange.header(name) ?? '';
    metaBytes += name.length - META_PREFIX.length + value.length;
    kept[name] = value;
  }
  if (metaBytes > MAX_META_BYTES) {
    throw new S3Error('MetadataTooLarge', 'Your metadata headers exceed the maximum allowed metadata size', {
      Size: metaBytes,
      MaxSizeAllowed: MAX_META_BYTES,
    });
  }
  return kept;
}

/** aws-chunked is the coding of the request, not of the object. */
function contentEncoding(exchange: Exchange): string | undefined {
  const codings = (exchange.header('content-encoding') ?? '').split(',').map((coding) => coding.trim());
  const own = codings.filter((coding) => coding !== '' && coding.toLowerCase() !== 'aws-chunked');
  return own.length === 0 ? undefined : own.join(',');
}

/** The headers of a GET or HEAD answer, with the overrides of the query. */
export function objectHeaders(exchange: Exchange, metadata: ObjectMetadata): Record<string, string> {
  const headers: Record<string, string> = {
    ...metadata.headers,
    etag: `"${metadata.etag}"`,
    'last-modified': httpTime(metadata.lastModified),
    'accept-ranges': 'bytes',
  };
  for (const name of KEPT_HEADERS) {
    const value = exchange.parameter(`response-${name}`);
    if (value === undefined) continue;
    if (!isHeaderValue(value)) {
      throw new S3Error('InvalidArgument', 'Header value cannot be represented using ISO-8859-1.', {
        ArgumentName: `response-${name}`,
        ArgumentValue: value,
      });
    }
    headers[name] = value;
  }
  if (exchange.header('x-amz-checksum-mode')?.toUpperCase() === 'ENABLED' && metadata.checksum) {
    const { algorithm, value } = metadata.checksum;
    headers[checksumHeader(algorithm)] = value;
    headers['x-amz-checksum-type'] = value.includes('-') ? 'COMPOSITE' : 'FULL_OBJECT';
  }
  return headers;
}
