import { createHash } from 'node:crypto';
import { S3Error } from '../errors.js';
import { parseRange } from '../http/byte-range.js';
import { checksumHeader, isChecksumAlgorithm } from '../http/checksums.js';
import { checkReadConditions } from '../http/conditions.js';
import { uriDecode } from '../http/request-target.js';
import type { Bucket, HeldObject } from '../store/bucket.js';
import { element, xmlDocument } from '../xml.js';
import { type Exchange, isoTime } from './exchange.js';
import { partNumberOf, uploadIdOf } from './multipart-operations.js';
import { keptHeadersOf, refuseUnsupportedHeaders } from './object-headers.js';
import { checksumXml, writeConditionOf } from './object-operations.js';

/** The largest source of one CopyObject or UploadPartCopy (S3 API reference). */
const MAX_COPY_BYTES = 5 * 1024 ** 3;

export async function copyObject(exchange: Exchange): Promise<void> {
  const { bucket, key } = exchange;
  refuseUnsupportedHeaders(exchange);
  const directive = exchange.header('x-amz-metadata-directive') ?? 'COPY';
  if (directive !== 'COPY' && directive !== 'REPLACE') {
    throw new S3Error('InvalidArgument', 'Unknown metadata directive.', {
      ArgumentName: 'x-amz-metadata-directive',
      ArgumentValue: directive,
    });
  }
  const algorithm = exchange.header('x-amz-checksum-algorithm');
  if (algorithm !== undefined && !isChecksumAlgorithm(algorithm.toUpperCase())) {
    throw new S3Error(
      'InvalidRequest',
      `Checksum algorithm provided is unsupported. Header: ${checksumHeader('SHA256')}`,
    );
  }
  const condition = writeConditionOf(exchange);
  const replaced = directive === 'REPLACE' ? keptHeadersOf(exchange) : undefined;
  const source = holdSource(exchange);
  try {
    if (source.bucket === bucket && source.held.metadata.key === key && !replaced) {
      throw new S3Error(
        'InvalidRequest',
        "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
      );
    }
    const { metadata } = source.held;
    checkCopySize(metadata.size);
    await exchange.body.text(); // Empty, but its signed hash is checked.
    const segments = await bucket.linkData(source.bucket, metadata.segments);
    const copy = {
      key,
      size: metadata.size,
      etag: await md5OfObject(source.held),
      lastModified: Date.now(),
      headers: replaced ?? metadata.headers,
      segments,
      checksum: metadata.checksum?.value.includes('-') ? undefined : metadata.checksum,
    };
    try {
      await bucket.publish(copy, condition);
    } catch (error) {
      await bucket.removeData(segments);
      throw error;
    }
    exchange.xml(
      xmlDocument(
        'CopyObjectResult',
        element('LastModified', isoTime(copy.lastModified)),
        element('ETag', `"${copy.etag}"`),
        checksumXml(copy.checksum),
      ),
    );
  } finally {
    await source.held.release();
  }
}

export async function uploadPartCopy(exchange: Exchange): Promise<void> {
  const { bucket, key } = exchange;
  const number = partNumberOf(exchange);
  const uploadId = uploadIdOf(exchange);
  bucket.uploads.find(uploadId, key);
  const source = holdSource(exchange);
  try {
    const { size } = source.held.metadata;
    const header = exchange.header('x-amz-copy-source-range');
    const range = header === undefined ? { start: 0, end: size - 1 } : parseRange(header, size);
    if (!range || (header !== undefined && Number(/-(\d+)$/.exec(header)?.[1]) >= size)) {
      throw new S3Error('InvalidArgument', 'The x-amz-copy-source-range value must be of the form bytes=first-last', {
        ArgumentName: 'x-amz-copy-source-range',
        ArgumentValue: header ?? '',
      });
    }
    checkCopySize(range.end - range.start + 1);
    await exchange.body.text();
    const md5 = createHash('md5');
    const segment = await bucket.writeData(
      (async function* () {
        for await (const chunk of source.held.read(range)) {
          md5.update(chunk);
          yield chunk;
        }
      })(),
    );
    const part = { number, size: segment.size, etag: md5.digest('hex'), lastModified: Date.now(), file: segment.file };
    try {
      await bucket.uploads.putPart(uploadId, key, part);
    } catch (error) {
      await bucket.removeData([segment]);
      throw error;
    }
    exchange.xml(
      xmlDocument(
        'CopyPartResult',
        element('LastModified', isoTime(part.lastModified)),
        element('ETag', `"${part.etag}"`),
      ),
    );
  } finally {
    await source.held.release();
  }
}

function holdSource(exchange: Exchange): { bucket: Bucket; held: HeldObject } {
  const [path = '', versionId] = (exchange.header('x-amz-copy-source') ?? '').split('?versionId=');
  const match = /^\/?([^/]+)\/(.+)$/s.exec(uriDecode(path));
  if (!match || (versionId !== undefined && versionId !== 'null')) {
    throw new S3Error('InvalidArgument', 'Copy Source must mention the source bucket and key: sourcebucket/sourcekey', {
      ArgumentName: 'x-amz-copy-source',
      ArgumentValue: exchange.header('x-amz-copy-source') ?? '',
    });
  }
  const bucket = exchange.store.get(match[1] ?? '');
  const held = bucket.hold(match[2] ?? '');
  try {
    checkReadConditions(
      {
        ifMatch: exchange.header('x-amz-copy-source-if-match'),
        ifNoneMatch: exchange.header('x-amz-copy-source-if-none-match'),
        ifModifiedSince: exchange.header('x-amz-copy-source-if-modified-since'),
        ifUnmodifiedSince: exchange.header('x-amz-copy-source-if-unmodified-since'),
      },
      held.metadata,
    );
  } catch (error) {
    held.release().catch(() => {}); // Files that could not be removed now are swept at the next start.
    if (!(error instanceof S3Error) || error.code !== 'NotModified') throw error;
    throw new S3Error('PreconditionFailed', 'At least one of the pre-conditions you specified did not hold');
  }
  return { bucket, held };
}

/** A copy is one piece, so its ETag is the MD5 of its bytes also when the source came in parts. */
async function md5OfObject(held: HeldObject): Promise<string> {
  if (!held.metadata.etag.includes('-')) return held.metadata.etag;
  const md5 = createHash('md5');
  for await (const chunk of held.read({ start: 0, end: held.metadata.size - 1 })) md5.update(chunk);
  return md5.digest('hex');
}

function checkCopySize(bytes: number): void {
  if (bytes > MAX_COPY_BYTES) {
    throw new S3Error(
      'InvalidRequest',
      'The specified copy source is larger than the maximum allowable size for a copy source: 5368709120',
    );
  }
}
