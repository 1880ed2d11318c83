import { StorageError } from '../storage.errors.js';

/** What the servers call an object or upload that is not there: names differ, and HEAD answers have none. */
const GONE_NAMES = new Set(['NotFound', 'NoSuchKey', 'NoSuchUpload']);
const REFUSED_STATUSES = new Set([401, 403]);

interface SdkError {
  name: string;
  code?: unknown;
  $metadata?: { httpStatusCode?: number };
  $response?: { headers?: Record<string, string> };
}

/** Not `instanceof Error`: errors of sockets may come from another realm. */
function asSdkError(error: unknown): SdkError | undefined {
  return typeof error === 'object' && error !== null ? (error as SdkError) : undefined;
}

/** HTTP status of the store's answer; undefined when there was none. */
export function statusOf(error: unknown): number | undefined {
  return asSdkError(error)?.$metadata?.httpStatusCode;
}

/** The object or upload is not there. A missing bucket is another matter: see isBucketMissing. */
export function isGone(error: unknown): boolean {
  const sdkError = asSdkError(error);
  if (sdkError === undefined || isBucketMissing(error)) return false;
  return GONE_NAMES.has(sdkError.name) || statusOf(error) === 404;
}

export function isBucketMissing(error: unknown): boolean {
  return asSdkError(error)?.name === 'NoSuchBucket';
}

/** The store said no, so the call had no effect. Anything else may have been carried out. */
export function isRefusal(error: unknown): boolean {
  const status = statusOf(error instanceof StorageError ? error.cause : error);
  return status !== undefined && status >= 400 && status < 500 && status !== 408 && status !== 429;
}

/**
 * An SDK error as a StorageError that names what was asked and what the store answered.
 *
 * Only name and status of the store's answer go into the message: its text may repeat keys and signatures.
 */
export function toStoreError(
  error: unknown,
  action: string,
  { bucket, key }: { bucket: string; key?: string },
): StorageError {
  if (error instanceof StorageError) return error;
  const place = key === undefined ? `bucket ${bucket}` : `${bucket}/${key}`;
  const failed = (code: StorageError['code'], why: string) =>
    new StorageError(code, `${action} ${place} failed: ${why}`, { cause: error });
  const sdkError = asSdkError(error);
  const status = statusOf(error);
  if (isBucketMissing(error)) return failed('BUCKET_NOT_FOUND', `bucket ${bucket} does not exist`);
  if (status === undefined) {
    return failed(
      'STORE_UNREACHABLE',
      `no answer from the store (${String(sdkError?.code ?? sdkError?.name ?? 'unknown')})`,
    );
  }
  const answer = `the store answered ${status} ${sdkError?.name ?? ''}`.trimEnd();
  if (REFUSED_STATUSES.has(status)) {
    return failed('STORE_ACCESS_DENIED', `${answer}; check the keys, the clock and the rights on the bucket`);
  }
  if (isGone(error)) return failed(key === undefined ? 'BUCKET_NOT_FOUND' : 'OBJECT_NOT_FOUND', answer);
  if (status === 301 || status === 400) {
    const region = sdkError?.$response?.headers?.['x-amz-bucket-region'];
    if (region !== undefined)
      return failed('UPLOAD_FAILED', `${answer}; the bucket lives in region ${region} (S3_REGION)`);
  }
  return failed(status >= 500 ? 'STORE_UNREACHABLE' : 'UPLOAD_FAILED', answer);
}
