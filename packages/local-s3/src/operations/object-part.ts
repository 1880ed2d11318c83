import { S3Error } from '../errors.js';
import type { ByteRange } from '../http/byte-range.js';
import type { ObjectMetadata } from '../store/stored-object.js';

export interface ObjectPart {
  /** Undefined for a part without bytes, which no range can name. */
  readonly range: ByteRange | undefined;
  /** Of the multipart upload; undefined for an object of one PutObject, which counts as its own first part. */
  readonly count: number | undefined;
}

/** @throws S3Error InvalidPartNumber when the object has no such part */
export function partOf(metadata: ObjectMetadata, number: number): ObjectPart {
  const isMultipart = /-\d+$/.test(metadata.etag);
  const sizes = isMultipart ? metadata.segments.map(({ size }) => size) : [metadata.size];
  const size = sizes[number - 1];
  if (size === undefined) {
    throw new S3Error('InvalidPartNumber', 'The requested partnumber is not satisfiable', {
      PartNumberRequested: number,
      ActualPartCount: sizes.length,
    });
  }
  const start = sizes.slice(0, number - 1).reduce((sum, bytes) => sum + bytes, 0);
  return {
    range: size === 0 ? undefined : { start, end: start + size - 1 },
    count: isMultipart ? sizes.length : undefined,
  };
}
