import { S3Error } from '../errors.js';
import { uriEncode } from '../http/request-target.js';
import { type KeyListing, listKeys } from '../store/key-listing.js';
import type { UploadMetadata } from '../store/multipart-upload.js';
import type { ObjectMetadata } from '../store/stored-object.js';
import { compareUtf8 } from '../store/utf8-order.js';
import { each, element, type Xml, xmlDocument } from '../xml.js';
import { type Exchange, isoTime } from './exchange.js';
import { ownerXml } from './owner.js';

const MAX_LISTED = 1000;

export async function listObjectsV2(exchange: Exchange): Promise<void> {
  const type = exchange.parameter('list-type');
  if (type !== '2') {
    throw new S3Error('InvalidArgument', 'Invalid list type', { ArgumentName: 'list-type', ArgumentValue: type ?? '' });
  }
  const page = new ListPage(exchange, 'max-keys');
  const token = exchange.parameter('continuation-token');
  const startAfter = exchange.parameter('start-after') ?? '';
  const listing = page.of(exchange.bucket.objects.keys, token === undefined ? startAfter : positionOf(token));
  const withOwner = exchange.parameter('fetch-owner') === 'true';
  exchange.xml(
    xmlDocument(
      'ListBucketResult',
      element('Name', exchange.target.bucket),
      element('Prefix', page.encode(page.prefix)),
      page.delimiter === '' ? undefined : element('Delimiter', page.encode(page.delimiter)),
      startAfter === '' ? undefined : element('StartAfter', page.encode(startAfter)),
      token === undefined ? undefined : element('ContinuationToken', token),
      listing.isTruncated ? element('NextContinuationToken', tokenOf(listing.last ?? '')) : undefined,
      element('KeyCount', listing.keys.length + listing.commonPrefixes.length),
      element('MaxKeys', page.limit),
      element('IsTruncated', listing.isTruncated),
      page.encodingXml(),
      objectsXml(exchange, page, listing, withOwner),
      page.prefixesXml(listing.commonPrefixes),
    ),
  );
}

export async function listObjects(exchange: Exchange): Promise<void> {
  const page = new ListPage(exchange, 'max-keys');
  const marker = exchange.parameter('marker') ?? '';
  const listing = page.of(exchange.bucket.objects.keys, marker);
  // Without a delimiter S3 leaves NextMarker out: the last key serves.
  const hasNextMarker = listing.isTruncated && page.delimiter !== '';
  exchange.xml(
    xmlDocument(
      'ListBucketResult',
      element('Name', exchange.target.bucket),
      element('Prefix', page.encode(page.prefix)),
      element('Marker', page.encode(marker)),
      hasNextMarker ? element('NextMarker', page.encode(listing.last ?? '')) : undefined,
      page.delimiter === '' ? undefined : element('Delimiter', page.encode(page.delimiter)),
      element('MaxKeys', page.limit),
      element('IsTruncated', listing.isTruncated),
      page.encodingXml(),
      objectsXml(exchange, page, listing, true),
      page.prefixesXml(listing.commonPrefixes),
    ),
  );
}

export async function listMultipartUploads(exchange: Exchange): Promise<void> {
  const page = new ListPage(exchange, 'max-uploads');
  const keyMarker = exchange.parameter('key-marker') ?? '';
  const idMarker = keyMarker === '' ? '' : (exchange.parameter('upload-id-marker') ?? '');
  const uploads = [...exchange.bucket.uploads.open()].sort(
    (a, b) => compareUtf8(a.key, b.key) || compareUtf8(a.id, b.id),
  );
  const rollUp = (key: string): string | undefined => {
    const cut = page.delimiter === '' ? -1 : key.indexOf(page.delimiter, page.prefix.length);
    return cut === -1 ? undefined : key.slice(0, cut + page.delimiter.length);
  };
  const listed: UploadMetadata[] = [];
  const prefixes = new Set<string>();
  let next: { key: string; id: string } | undefined;
  let isTruncated = false;
  for (const upload of uploads) {
    const order = compareUtf8(upload.key, keyMarker);
    const isBehindMarker = order > 0 || (order === 0 && idMarker !== '' && upload.id > idMarker);
    if (!upload.key.startsWith(page.prefix) || (keyMarker !== '' && !isBehindMarker)) continue;
    const rolledUp = rollUp(upload.key);
    if (rolledUp !== undefined && (prefixes.has(rolledUp) || rolledUp === keyMarker)) continue;
    if (listed.length + prefixes.size >= page.limit) {
      isTruncated = page.limit > 0;
      break;
    }
    if (rolledUp === undefined) listed.push(upload);
    else prefixes.add(rolledUp);
    next = rolledUp === undefined ? upload : { key: rolledUp, id: '' };
  }
  exchange.xml(
    xmlDocument(
      'ListMultipartUploadsResult',
      element('Bucket', exchange.target.bucket),
      element('KeyMarker', page.encode(keyMarker)),
      element('UploadIdMarker', idMarker),
      isTruncated ? element('NextKeyMarker', page.encode(next?.key ?? '')) : undefined,
      isTruncated ? element('NextUploadIdMarker', next?.id ?? '') : undefined,
      page.delimiter === '' ? undefined : element('Delimiter', page.encode(page.delimiter)),
      element('Prefix', page.encode(page.prefix)),
      element('MaxUploads', page.limit),
      element('IsTruncated', isTruncated),
      page.encodingXml(),
      each(listed, (upload) =>
        element(
          'Upload',
          element('Key', page.encode(upload.key)),
          element('UploadId', upload.id),
          ownerXml('Initiator'),
          ownerXml('Owner'),
          element('StorageClass', 'STANDARD'),
          element('Initiated', isoTime(upload.initiated)),
          upload.checksumAlgorithm && element('ChecksumAlgorithm', upload.checksumAlgorithm),
          upload.checksumType && element('ChecksumType', upload.checksumType),
        ),
      ),
      page.prefixesXml([...prefixes]),
    ),
  );
}

/** What all lists have in common: prefix, delimiter, size of a page, encoding of the keys. */
class ListPage {
  readonly prefix: string;
  readonly delimiter: string;
  readonly limit: number;
  readonly #isEncoded: boolean;

  constructor(exchange: Exchange, limitName: 'max-keys' | 'max-uploads') {
    const encoding = exchange.parameter('encoding-type');
    if (encoding !== undefined && encoding !== 'url') {
      throw new S3Error('InvalidArgument', 'Invalid Encoding Method specified in Request', {
        ArgumentName: 'encoding-type',
        ArgumentValue: encoding,
      });
    }
    this.#isEncoded = encoding === 'url';
    this.prefix = exchange.parameter('prefix') ?? '';
    this.delimiter = exchange.parameter('delimiter') ?? '';
    const wanted = exchange.numberParameter(limitName, { min: 0, max: 2 ** 31 - 1 }) ?? MAX_LISTED;
    this.limit = Math.min(wanted, MAX_LISTED);
  }

  of(sortedKeys: readonly string[], after: string): KeyListing {
    return listKeys(sortedKeys, { prefix: this.prefix, delimiter: this.delimiter, after, limit: this.limit });
  }

  encode(text: string): string {
    return this.#isEncoded ? uriEncode(text, { keepSlash: true }) : text;
  }

  encodingXml(): Xml | undefined {
    return this.#isEncoded ? element('EncodingType', 'url') : undefined;
  }

  prefixesXml(prefixes: readonly string[]): Xml {
    return each(prefixes, (prefix) => element('CommonPrefixes', element('Prefix', this.encode(prefix))));
  }
}

function objectsXml(exchange: Exchange, page: ListPage, listing: KeyListing, withOwner: boolean): Xml {
  const objects = listing.keys.flatMap((key): ObjectMetadata[] => {
    const metadata = exchange.bucket.objects.get(key)?.metadata;
    return metadata ? [metadata] : [];
  });
  return each(objects, (object) =>
    element(
      'Contents',
      element('Key', page.encode(object.key)),
      element('LastModified', isoTime(object.lastModified)),
      element('ETag', `"${object.etag}"`),
      object.checksum && element('ChecksumAlgorithm', object.checksum.algorithm),
      element('Size', object.size),
      element('StorageClass', 'STANDARD'),
      withOwner ? ownerXml('Owner') : undefined,
    ),
  );
}

function tokenOf(position: string): string {
  return Buffer.from(position).toString('base64url');
}

function positionOf(token: string): string {
  const position = Buffer.from(token, 'base64url').toString();
  if (token === '' || tokenOf(position) !== token) {
    throw new S3Error('InvalidArgument', 'The continuation token provided is incorrect', {
      ArgumentName: 'continuation-token',
    });
  }
  return position;
}
