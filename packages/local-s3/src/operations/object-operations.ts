import { pipeline } from 'node:stream/promises';
import { S3Error } from '../errors.js';
import { type ByteRange, parseRange } from '../http/byte-range.js';
import { type Checksum, checksumElement, checksumHeader } from '../http/checksums.js';
import { checkReadConditions, holdsIfRange, WriteCondition } from '../http/conditions.js';
import type { Bucket, HeldObject } from '../store/bucket.js';
import type { Segment } from '../store/data-file.js';
import type { ObjectMetadata } from '../store/stored-object.js';
import { childrenOf, each, element, malformedXml, parseXml, textOf, xmlDocument } from '../xml.js';
import type { Exchange } from './exchange.js';
import { keptHeadersOf, objectHeaders, refuseUnsupportedHeaders } from './object-headers.js';
import { partOf } from './object-part.js';

const MAX_KEYS_PER_DELETE = 1000;
const MAX_PART_NUMBER = 10_000;

export async function putObject(exchange: Exchange): Promise<void> {
  const { bucket, key, body } = exchange;
  refuseUnsupportedHeaders(exchange);
  const headers = keptHeadersOf(exchange);
  const condition = writeConditionOf(exchange);
  body.checkUploadLength();
  condition.check(bucket.objects.get(key)?.metadata);

  const segment = await bucket.writeData(body.chunks());
  const { md5, checksum } = body.digests;
  await publishBytes(bucket, segment, { key, etag: md5, headers, checksum }, condition);
  exchange.empty(200, { etag: `"${md5}"`, ...checksumHeaders(checksum) });
}

/** Makes the bytes of one request an object; they are removed when that fails. */
export async function publishBytes(
  bucket: Bucket,
  segment: Segment,
  object: Pick<ObjectMetadata, 'key' | 'etag' | 'headers' | 'checksum'>,
  condition?: WriteCondition,
): Promise<void> {
  const { size } = segment;
  try {
    const segments = size === 0 ? [] : [segment];
    await bucket.publish({ ...object, size, lastModified: Date.now(), segments }, condition);
  } catch (error) {
    await bucket.removeData([segment]);
    throw error;
  }
  if (size === 0) await bucket.removeData([segment]);
}

export async function getObject(exchange: Exchange): Promise<void> {
  await answerObject(exchange, async (held, range) => {
    await pipeline(held.read(range), exchange.response);
  });
}

export async function headObject(exchange: Exchange): Promise<void> {
  await answerObject(exchange, async () => {
    exchange.response.end();
  });
}

async function answerObject(
  exchange: Exchange,
  send: (held: HeldObject, range: { start: number; end: number }) => Promise<void>,
): Promise<void> {
  const held = exchange.bucket.hold(exchange.key);
  try {
    const { metadata } = held;
    checkVersion(exchange);
    const headers = objectHeaders(exchange, metadata);
    try {
      checkReadConditions(
        {
          ifMatch: exchange.header('if-match'),
          ifNoneMatch: exchange.header('if-none-match'),
          ifModifiedSince: exchange.header('if-modified-since'),
          ifUnmodifiedSince: exchange.header('if-unmodified-since'),
        },
        metadata,
      );
    } catch (error) {
      if (!(error instanceof S3Error) || error.code !== 'NotModified') throw error;
      exchange.response.writeHead(304, headers).end();
      return;
    }
    const range = rangeOf(exchange, metadata, headers);
    if (range) {
      headers['content-range'] = `bytes ${range.start}-${range.end}/${metadata.size}`;
      // A client would compare the checksum of the whole with the bytes of a part.
      if (metadata.checksum) delete headers[checksumHeader(metadata.checksum.algorithm)];
    }
    const { start, end } = range ?? { start: 0, end: metadata.size - 1 };
    exchange.response.writeHead(range ? 206 : 200, { ...headers, 'content-length': end - start + 1 });
    await send(held, { start, end });
  } finally {
    await held.release();
  }
}

/** What Range or partNumber asks for; undefined for the whole object. */
function rangeOf(exchange: Exchange, metadata: ObjectMetadata, headers: Record<string, string>): ByteRange | undefined {
  const range = exchange.header('range');
  const number = exchange.numberParameter('partNumber', { min: 1, max: MAX_PART_NUMBER });
  if (number === undefined) {
    return holdsIfRange(exchange.header('if-range'), metadata) ? parseRange(range, metadata.size) : undefined;
  }
  if (range !== undefined) {
    throw new S3Error('InvalidRequest', 'Cannot specify both Range header and partNumber query parameter');
  }
  const part = partOf(metadata, number);
  if (part.count !== undefined) headers['x-amz-mp-parts-count'] = String(part.count);
  return part.range;
}

export async function deleteObject(exchange: Exchange): Promise<void> {
  checkVersion(exchange);
  await exchange.bucket.deleteObject(exchange.key, deleteConditionOf(exchange));
  exchange.empty(204);
}

export async function deleteObjects(exchange: Exchange): Promise<void> {
  const { bucket, body } = exchange;
  requireProtectedBody(exchange);
  const root = parseXml(await body.text(), 'Delete');
  const isQuiet = textOf(root, 'Quiet')?.trim() === 'true';
  const entries = childrenOf(root, 'Object').map((object) => ({
    key: textOf(object, 'Key') ?? '',
    versionId: textOf(object, 'VersionId'),
    etag: textOf(object, 'ETag'),
  }));
  if (entries.length === 0 || entries.length > MAX_KEYS_PER_DELETE || entries.some(({ key }) => key === '')) {
    throw malformedXml();
  }
  const deleted: string[] = [];
  const failed: { key: string; error: S3Error }[] = [];
  for (const { key, versionId, etag } of entries) {
    try {
      if (versionId !== undefined && versionId !== 'null') throw invalidVersion(versionId);
      await bucket.deleteObject(key, etag === undefined ? undefined : new WriteCondition(etag, undefined));
      deleted.push(key);
    } catch (error) {
      if (!(error instanceof S3Error)) throw error;
      failed.push({ key, error });
    }
  }
  exchange.xml(
    xmlDocument(
      'DeleteResult',
      each(isQuiet ? [] : deleted, (key) => element('Deleted', element('Key', key))),
      each(failed, ({ key, error }) =>
        element('Error', element('Key', key), element('Code', error.code), element('Message', error.message)),
      ),
    ),
  );
}

/** @throws S3Error InvalidRequest, as S3 does for requests whose body names what is deleted or configured */
export function requireProtectedBody(exchange: Exchange): void {
  if (!exchange.body.isProtected) {
    throw new S3Error('InvalidRequest', 'Missing required header for this request: Content-MD5');
  }
}

export function writeConditionOf(exchange: Exchange): WriteCondition {
  return new WriteCondition(exchange.header('if-match'), exchange.header('if-none-match'));
}

function deleteConditionOf(exchange: Exchange): WriteCondition | undefined {
  const ifMatch = exchange.header('if-match');
  return ifMatch === undefined ? undefined : new WriteCondition(ifMatch, undefined);
}

export function checksumHeaders(checksum: Checksum | undefined): Record<string, string> {
  return checksum ? { [checksumHeader(checksum.algorithm)]: checksum.value } : {};
}

export function checksumXml(checksum: Checksum | undefined): ReturnType<typeof element> | undefined {
  return checksum && element(checksumElement(checksum.algorithm), checksum.value);
}

/** Without versioning every object has the version `null`. */
function checkVersion(exchange: Exchange): void {
  const versionId = exchange.parameter('versionId');
  if (versionId !== undefined && versionId !== 'null') throw invalidVersion(versionId);
}

function invalidVersion(versionId: string): S3Error {
  return new S3Error('InvalidArgument', 'Invalid version id specified', {
    ArgumentName: 'versionId',
    ArgumentValue: versionId,
  });
}
