import type { CompletedPart, Part } from '@aws-sdk/client-s3';

/** A part that the store took: plain JSON, because it is kept in a row. */
export interface StoredPart {
  /** From 1 on. */
  readonly number: number;
  readonly sizeBytes: number;
  readonly etag: string;
  /** Of what was sent: `crc32:`, `md5:` or `sha256:`, and the hash in base64. */
  readonly digest: string;
}

/** An upload whose first parts another process stored. */
export interface ResumedUpload {
  readonly uploadId: string;
  readonly partSizeBytes: number;
  /** Parts 1 to n, in order; all of `partSizeBytes` but the last of the file. */
  readonly parts: readonly StoredPart[];
  /** False where the store lists the parts without their CRC32, and so takes none in Complete. */
  readonly namesChecksums?: boolean;
}

/** The longest beginning of `sent` that the store lists as it was sent. */
export function agreeingParts(
  sent: readonly StoredPart[],
  listed: readonly Part[],
  partSizeBytes: number,
): readonly StoredPart[] {
  const sentByNumber = new Map(sent.map((part) => [part.number, part]));
  const listedByNumber = new Map(listed.map((part) => [part.PartNumber, part]));
  const lastNumber = Math.max(0, ...sentByNumber.keys());
  const isWhole = ({ number, sizeBytes }: StoredPart) =>
    sizeBytes === partSizeBytes || (number === lastNumber && sizeBytes > 0 && sizeBytes < partSizeBytes);
  const parts: StoredPart[] = [];
  for (let part = sentByNumber.get(1); part !== undefined; part = sentByNumber.get(part.number + 1)) {
    const stored = listedByNumber.get(part.number);
    if (stored?.Size !== part.sizeBytes || unquoted(stored.ETag) !== unquoted(part.etag) || !isWhole(part)) break;
    parts.push(part);
  }
  return parts;
}

/** As Complete names it. AWS wants a part that was sent with a checksum named with it (S3 API reference). */
export function toCompletedPart({ number, etag, digest }: StoredPart, namesChecksums = true): CompletedPart {
  const [, crc32] = /^crc32:(.+)$/.exec(digest) ?? [];
  return {
    PartNumber: number,
    ETag: etag,
    ...(namesChecksums && crc32 !== undefined ? { ChecksumCRC32: crc32 } : {}),
  };
}

function unquoted(etag: string | undefined): string | undefined {
  return etag?.replaceAll('"', '');
}
