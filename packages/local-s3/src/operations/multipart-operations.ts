import { S3Error } from '../errors.js';
import {
  CHECKSUM_ALGORITHMS,
  type ChecksumAlgorithm,
  checksumElement,
  checksumHeader,
  isChecksumAlgorithm,
  isCrc,
} from '../http/checksums.js';
import { withoutQuotes } from '../http/conditions.js';
import { abortOf, storedLifecycleRules } from '../lifecycle-rules.js';
import type { NamedPart, UploadMetadata } from '../store/multipart-upload.js';
import { childrenOf, each, element, malformedXml, type ParsedElement, parseXml, textOf, xmlDocument } from '../xml.js';
import { type Exchange, httpTime, isoTime } from './exchange.js';
import { keptHeadersOf, refuseUnsupportedHeaders } from './object-headers.js';
import { checksumHeaders, checksumXml, writeConditionOf } from './object-operations.js';
import { ownerXml } from './owner.js';

const MAX_PART_NUMBER = 10_000;
const MAX_PARTS_LISTED = 1000;

export async function createMultipartUpload(exchange: Exchange): Promise<void> {
  const { bucket, key } = exchange;
  refuseUnsupportedHeaders(exchange);
  const headers = keptHeadersOf(exchange);
  const checksumAlgorithm = checksumAlgorithmOf(exchange);
  const checksumType = checksumTypeOf(exchange, checksumAlgorithm);
  await exchange.body.text();
  const upload = await bucket.uploads.create({ key, headers, checksumAlgorithm, checksumType });
  exchange.xml(
    xmlDocument(
      'InitiateMultipartUploadResult',
      element('Bucket', exchange.target.bucket),
      element('Key', key),
      element('UploadId', upload.id),
    ),
    {
      ...abortHeaders(exchange, upload),
      ...(checksumAlgorithm && checksumType
        ? { 'x-amz-checksum-algorithm': checksumAlgorithm, 'x-amz-checksum-type': checksumType }
        : {}),
    },
  );
}

export async function uploadPart(exchange: Exchange): Promise<void> {
  const { bucket, key, body } = exchange;
  refuseUnsupportedHeaders(exchange);
  const number = partNumberOf(exchange);
  const uploadId = uploadIdOf(exchange);
  body.checkUploadLength();
  bucket.uploads.find(uploadId, key);

  const segment = await bucket.writeData(body.chunks());
  const { md5, checksum } = body.digests;
  try {
    await bucket.uploads.putPart(uploadId, key, {
      number,
      size: segment.size,
      etag: md5,
      lastModified: Date.now(),
      file: segment.file,
      checksum,
    });
  } catch (error) {
    await bucket.removeData([segment]);
    throw error;
  }
  exchange.empty(200, { etag: `"${md5}"`, ...checksumHeaders(checksum) });
}

export async function completeMultipartUpload(exchange: Exchange): Promise<void> {
  const { bucket, key } = exchange;
  const uploadId = uploadIdOf(exchange);
  const condition = writeConditionOf(exchange);
  const root = parseXml(await exchange.body.text(), 'CompleteMultipartUpload');
  const parts = childrenOf(root, 'Part').map(namedPart);
  if (parts.length === 0 || parts.length > MAX_PART_NUMBER) throw malformedXml();
  const objectSize = exchange.header('x-amz-mp-object-size');
  const algorithm = CHECKSUM_ALGORITHMS.find((candidate) => exchange.header(checksumHeader(candidate)) !== undefined);
  const completed = await bucket.uploads.complete(uploadId, key, {
    parts,
    condition,
    objectSize: objectSize === undefined ? undefined : Number(objectSize),
    checksum: algorithm && { algorithm, value: exchange.header(checksumHeader(algorithm)) ?? '' },
  });
  const path = exchange.target.path.split('/').map(encodeURIComponent).join('/');
  exchange.xml(
    xmlDocument(
      'CompleteMultipartUploadResult',
      element('Location', `http://${exchange.header('host') ?? ''}${path}`),
      element('Bucket', exchange.target.bucket),
      element('Key', key),
      element('ETag', `"${completed.etag}"`),
      checksumXml(completed.checksum),
    ),
  );
}

export async function abortMultipartUpload(exchange: Exchange): Promise<void> {
  await exchange.bucket.uploads.abort(uploadIdOf(exchange), exchange.key);
  exchange.empty(204);
}

export async function listParts(exchange: Exchange): Promise<void> {
  const { bucket, key } = exchange;
  const { metadata, parts } = bucket.uploads.find(uploadIdOf(exchange), key);
  const marker = exchange.numberParameter('part-number-marker', { min: 0, max: 2 ** 31 - 1 }) ?? 0;
  const wanted = exchange.numberParameter('max-parts', { min: 0, max: 2 ** 31 - 1 }) ?? MAX_PARTS_LISTED;
  const limit = Math.min(wanted, MAX_PARTS_LISTED);
  const following = [...parts.values()].filter(({ number }) => number > marker).sort((a, b) => a.number - b.number);
  const page = following.slice(0, limit);
  const isTruncated = limit > 0 && following.length > limit;
  exchange.xml(
    xmlDocument(
      'ListPartsResult',
      element('Bucket', exchange.target.bucket),
      element('Key', key),
      element('UploadId', metadata.id),
      ownerXml('Initiator'),
      ownerXml('Owner'),
      element('StorageClass', 'STANDARD'),
      element('PartNumberMarker', marker),
      element('NextPartNumberMarker', page.at(-1)?.number ?? 0),
      element('MaxParts', limit),
      element('IsTruncated', isTruncated),
      metadata.checksumAlgorithm && element('ChecksumAlgorithm', metadata.checksumAlgorithm),
      metadata.checksumType && element('ChecksumType', metadata.checksumType),
      each(page, (part) =>
        element(
          'Part',
          element('PartNumber', part.number),
          element('LastModified', isoTime(part.lastModified)),
          element('ETag', `"${part.etag}"`),
          element('Size', part.size),
          checksumXml(part.checksum),
        ),
      ),
    ),
    abortHeaders(exchange, metadata),
  );
}

/** When a lifecycle rule will abort an upload, and which. */
function abortHeaders(exchange: Exchange, upload: UploadMetadata): Record<string, string> {
  const rules = storedLifecycleRules(exchange.bucket.metadata.lifecycle);
  const abort = abortOf(rules, upload.key, upload.initiated, exchange.settings.lifecycleDayMs);
  if (!abort) return {};
  return {
    'x-amz-abort-date': httpTime(abort.at),
    ...(abort.rule.id === undefined ? {} : { 'x-amz-abort-rule-id': encodeURIComponent(abort.rule.id) }),
  };
}

/** @throws S3Error InvalidArgument outside 1 to 10,000 */
export function partNumberOf(exchange: Exchange): number {
  const number = exchange.numberParameter('partNumber', { min: 1, max: MAX_PART_NUMBER });
  if (number === undefined) throw invalidArgument('partNumber', 'Part number must be an integer between 1 and 10000.');
  return number;
}

export function uploadIdOf(exchange: Exchange): string {
  return exchange.parameter('uploadId') ?? '';
}

function namedPart(part: ParsedElement): NamedPart {
  const number = textOf(part, 'PartNumber')?.trim() ?? '';
  const etag = textOf(part, 'ETag');
  if (!/^\d{1,5}$/.test(number) || etag === undefined) throw malformedXml();
  const algorithm = CHECKSUM_ALGORITHMS.find((candidate) => checksumElement(candidate) in part);
  const value = algorithm && textOf(part, checksumElement(algorithm));
  return {
    number: Number(number),
    etag: withoutQuotes(etag),
    checksum: algorithm && value !== undefined ? { algorithm, value } : undefined,
  };
}

function checksumAlgorithmOf(exchange: Exchange): ChecksumAlgorithm | undefined {
  const name = exchange.header('x-amz-checksum-algorithm')?.toUpperCase();
  if (name === undefined) return undefined;
  if (!isChecksumAlgorithm(name)) {
    throw new S3Error('InvalidRequest', 'Checksum algorithm provided is unsupported.');
  }
  return name;
}

function checksumTypeOf(
  exchange: Exchange,
  algorithm: ChecksumAlgorithm | undefined,
): 'COMPOSITE' | 'FULL_OBJECT' | undefined {
  const type = exchange.header('x-amz-checksum-type')?.toUpperCase();
  if (type !== undefined && type !== 'COMPOSITE' && type !== 'FULL_OBJECT') {
    throw new S3Error('InvalidRequest', 'Value for x-amz-checksum-type header is invalid.');
  }
  if (!algorithm) return undefined;
  if (type === 'FULL_OBJECT' && !isCrc(algorithm)) {
    throw new S3Error(
      'InvalidRequest',
      `The FULL_OBJECT checksum type cannot be used with the ${algorithm} checksum algorithm.`,
    );
  }
  return type ?? (algorithm === 'CRC64NVME' ? 'FULL_OBJECT' : 'COMPOSITE');
}

function invalidArgument(name: string, message: string): S3Error {
  return new S3Error('InvalidArgument', message, { ArgumentName: name });
}
