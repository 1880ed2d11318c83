import type { Checksum, ChecksumAlgorithm } from '../http/checksums.js';
import type { WriteCondition } from '../http/conditions.js';
import type { Segment } from './data-file.js';
import type { KeptHeaders } from './stored-object.js';

export interface UploadedPart {
  readonly number: number;
  readonly size: number;
  /** MD5 as hex. */
  readonly etag: string;
  readonly lastModified: number;
  readonly file: string;
  readonly checksum?: Checksum | undefined;
}

/** What a completed upload answers when the same Complete comes again. */
export interface CompletedUpload {
  readonly at: number;
  readonly etag: string;
  readonly checksum?: Checksum | undefined;
  /** Numbers and ETags of the parts, as one text to compare. */
  readonly partList: string;
}

/** The content of upload.json. */
export interface UploadMetadata {
  /** Grows with time, so that uploads of one key are listed in the order of their creation. */
  readonly id: string;
  readonly key: string;
  readonly initiated: number;
  readonly headers: KeptHeaders;
  readonly checksumAlgorithm?: ChecksumAlgorithm | undefined;
  readonly checksumType?: 'COMPOSITE' | 'FULL_OBJECT' | undefined;
  readonly completed?: CompletedUpload | undefined;
}

export interface MultipartUpload {
  metadata: UploadMetadata;
  readonly parts: Map<number, UploadedPart>;
}

/** A part as the client names it in CompleteMultipartUpload. */
export interface NamedPart {
  readonly number: number;
  readonly etag: string;
  readonly checksum?: Checksum | undefined;
}

/** A CompleteMultipartUpload: the parts, and what the client says about the object they make. */
export interface CompletionClaim {
  readonly parts: readonly NamedPart[];
  readonly condition: WriteCondition;
  readonly objectSize: number | undefined;
  readonly checksum: Checksum | undefined;
}

export function partListOf(parts: readonly NamedPart[]): string {
  return parts.map(({ number, etag }) => `${number}:${etag}`).join(',');
}

export function segmentOf(part: UploadedPart): Segment {
  return { file: part.file, size: part.size };
}
