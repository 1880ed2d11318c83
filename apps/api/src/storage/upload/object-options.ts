import type { CreateMultipartUploadCommandInput } from '@aws-sdk/client-s3';
import { StorageError } from '../storage.errors.js';
import { contentHeaders, isInlineType } from './content-headers.js';

/** How the store keeps an object. All off by default: some stores refuse each of them (docs/compatibility.md). */
export interface ObjectOptions {
  /** One from which the object can be read at once: archives cannot be proven whole. */
  storageClass?: string;
  serverSideEncryption?: 'AES256' | 'aws:kms';
  /** Only with `aws:kms`; absent: the store's own key. */
  kmsKeyId?: string;
  /** At most ten. */
  tags?: Record<string, string>;
  cacheControl?: string;
  /** Of a type that can run scripts it must begin with `attachment`. */
  contentDisposition?: string;
}

const ARCHIVE_CLASSES = new Set(['GLACIER', 'DEEP_ARCHIVE']);
// S3 user guide, "object tagging".
const MAX_TAGS = 10;
const TAG_KEY_MAX_LENGTH = 128;
const TAG_VALUE_MAX_LENGTH = 256;
const TAG_CHARACTERS = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;
/** What an HTTP header can carry everywhere. */
const HEADER_VALUE = /^[\x20-\x7e]{1,1024}$/;

/** @throws StorageError INVALID_OPTION that names the field */
export function assertObjectOptions(options: ObjectOptions, contentType: string): void {
  const { storageClass, serverSideEncryption, kmsKeyId, tags, cacheControl, contentDisposition } = options;
  const isPlain = (value: unknown) => typeof value === 'string' && HEADER_VALUE.test(value);
  if (storageClass !== undefined) {
    check(/^[A-Z][A-Z0-9_]{0,63}$/.test(storageClass), 'storageClass', 'must be the name of a storage class');
    check(!ARCHIVE_CLASSES.has(storageClass), 'storageClass', 'must be one that can be read at once');
  }
  if (serverSideEncryption !== undefined) {
    check(['AES256', 'aws:kms'].includes(serverSideEncryption), 'serverSideEncryption', 'must be AES256 or aws:kms');
  }
  if (kmsKeyId !== undefined) {
    check(isPlain(kmsKeyId), 'kmsKeyId', 'must be the id of a key');
    check(serverSideEncryption === 'aws:kms', 'kmsKeyId', 'needs serverSideEncryption aws:kms');
  }
  if (tags !== undefined) assertTags(tags);
  if (cacheControl !== undefined) check(isPlain(cacheControl), 'cacheControl', 'must be the value of a header');
  if (contentDisposition !== undefined) {
    check(isPlain(contentDisposition), 'contentDisposition', 'must be the value of a header');
    const isSafe = isInlineType(contentType) || /^attachment\s*(;|$)/i.test(contentDisposition);
    check(isSafe, 'contentDisposition', 'must be an attachment for a type that can run scripts');
  }
}

/** Headers of the object for Create and PutObject: what the caller chose, over what its type asks for. */
export function objectHeaders(
  contentType: string,
  contentEncoding: string | null,
  options: ObjectOptions = {},
): ObjectHeaders {
  const { storageClass, serverSideEncryption, kmsKeyId, tags, cacheControl, contentDisposition } = options;
  return {
    ...contentHeaders(contentType, contentEncoding ?? undefined),
    ...(storageClass !== undefined ? { StorageClass: storageClass as ObjectHeaders['StorageClass'] } : {}),
    ...(serverSideEncryption !== undefined ? { ServerSideEncryption: serverSideEncryption } : {}),
    ...(kmsKeyId !== undefined ? { SSEKMSKeyId: kmsKeyId } : {}),
    ...(tags !== undefined ? { Tagging: new URLSearchParams(tags).toString() } : {}),
    ...(cacheControl !== undefined ? { CacheControl: cacheControl } : {}),
    ...(contentDisposition !== undefined ? { ContentDisposition: contentDisposition } : {}),
  };
}

export type ObjectHeaders = Pick<
  CreateMultipartUploadCommandInput,
  | 'ContentType'
  | 'ContentDisposition'
  | 'ContentEncoding'
  | 'StorageClass'
  | 'ServerSideEncryption'
  | 'SSEKMSKeyId'
  | 'Tagging'
  | 'CacheControl'
>;

function assertTags(tags: Record<string, string>): void {
  const entries = Object.entries(tags);
  check(entries.length <= MAX_TAGS, 'tags', `must be at most ${MAX_TAGS}`);
  for (const [name, value] of entries) {
    const isTag =
      name !== '' &&
      name.length <= TAG_KEY_MAX_LENGTH &&
      typeof value === 'string' &&
      value.length <= TAG_VALUE_MAX_LENGTH &&
      TAG_CHARACTERS.test(name) &&
      TAG_CHARACTERS.test(value);
    check(isTag, 'tags', 'must be short words of letters, digits, spaces and _ . : / = + - @');
  }
}

function check(isValid: boolean, field: keyof ObjectOptions, rule: string): void {
  if (!isValid) throw new StorageError('INVALID_OPTION', `object.${field} ${rule}`);
}
