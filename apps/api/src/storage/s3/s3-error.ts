import { StorageError } from '../storage.errors.js';

/** What the servers call an object or upload that is not there: names differ, and HEAD answers have none. */
const GONE_NAMES = new Set(['NotFound', 'NoSuchKey', 'NoSuchUpload']);
const REFUSED_STATUSES = new Set([401, 403]);
const PASSING_STATUSES = new Set([408, 429]);
/** Refusals with a 4xx status of what the next try can carry through. */
const PASSING_NAMES = new Set([
  // The SDK has set its clock by this very answer: the next signature fits.
  'RequestTimeTooSkewed',
  'RequestExpired',
  // The body was cut off or damaged on its way.
  'RequestTimeout',
  'IncompleteBody',
  'BadDigest',
  'XAmzContentSHA256Mismatch',
  // Two conditional writes at once; S3 API reference: "retry the upload".
  'ConditionalRequestConflict',
  'OperationAborted',
]);
/** Answers of a server that let go of the request, which may go on behind it. */
const UNCLEAR_STATUSES = new Set([500, 502, 504]);
/** What no second try mends: keys that are not to be had, arguments, certificates. */
const FINAL_NAMES = new Set([
  'AbortError',
  'CredentialsProviderError',
  'TokenProviderError',
  'TypeError',
  'RangeError',
]);
const FINAL_CODE = /^(ERR_INVALID|ERR_TLS|CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO)/;

interface SdkError {
  name: string;
  code?: unknown;
  $metadata?: { httpStatusCode?: number; attempts?: number };
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

/** How often the SDK sent the call; the error is of the last time. */
export function attemptsOf(error: unknown): number {
  return asSdkError(error)?.$metadata?.attempts ?? 1;
}

/** The object or upload is not there. A missing bucket is another matter: see isBucketMissing. */
export function isGone(error: unknown): boolean {
  const sdkError = asSdkError(error);
  if (sdkError === undefined || isBucketMissing(error)) return false;
  return GONE_NAMES.has(sdkError.name) || statusOf(error) === 404;
}

/** The upload that a part was meant for: it expired, was completed, or somebody aborted it. */
export function isUploadGone(error: unknown): boolean {
  return asSdkError(causeOf(error))?.name === 'NoSuchUpload';
}

export function isBucketMissing(error: unknown): boolean {
  return asSdkError(error)?.name === 'NoSuchBucket';
}

/** The store said no for good, so the call had no effect. Anything else may have been carried out, or may yet be. */
export function isRefusal(error: unknown): boolean {
  const cause = causeOf(error);
  const status = statusOf(cause);
  if (status === undefined || PASSING_STATUSES.has(status)) return false;
  return ((status >= 300 && status < 500) || status === 501) && !PASSING_NAMES.has(asSdkError(cause)?.name ?? '');
}

/** The store does not have the call, or not this header of it. */
export function isNotImplemented(error: unknown): boolean {
  return statusOf(causeOf(error)) === 501;
}

/** The keys, or the clock they are used with, are not good enough for this call. */
export function isForbidden(error: unknown): boolean {
  return REFUSED_STATUSES.has(statusOf(causeOf(error)) ?? 0);
}

/** `If-None-Match: *` found an object. Swift names it InvalidRequest, so the status alone counts. */
export function isTaken(error: unknown): boolean {
  return statusOf(causeOf(error)) === 412;
}

/** The call may still be carried out, or go on: nobody who looks now can say that it left nothing. */
export function isUnclear(error: unknown): boolean {
  const status = statusOf(causeOf(error));
  return status === undefined || UNCLEAR_STATUSES.has(status);
}

/** The same call may go well in a moment: the store was busy, away, or cut off. */
export function isTransient(error: unknown): boolean {
  const cause = causeOf(error);
  if (statusOf(cause) !== undefined) return !isRefusal(cause);
  const sdkError = asSdkError(cause);
  return sdkError !== undefined && !FINAL_NAMES.has(sdkError.name) && !FINAL_CODE.test(String(sdkError.code));
}

function causeOf(error: unknown): unknown {
  return error instanceof StorageError ? error.cause : error;
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
  const sdkError = asSdkError(error);
  const status = statusOf(error);
  // Without an answer the code decides: what the SDK does not name may be over the next time.
  const isRetryable = status === undefined ? undefined : isTransient(error);
  const failed = (code: StorageError['code'], why: string) =>
    new StorageError(code, `${action} ${place} failed: ${why}`, { cause: error, isRetryable });
  if (isBucketMissing(error)) return failed('BUCKET_NOT_FOUND', `bucket ${bucket} does not exist`);
  if (status === undefined) {
    return failed(
      'STORE_UNREACHABLE',
      `no answer from the store (${String(sdkError?.code ?? sdkError?.name ?? 'unknown')})`,
    );
  }
  const answer = `the store answered ${status} ${sdkError?.name ?? ''}`.trimEnd();
  if (isForbidden(error)) {
    return failed('STORE_ACCESS_DENIED', `${answer}; check the keys, the clock and the rights on the bucket`);
  }
  if (isTaken(error)) return failed('OBJECT_EXISTS', `${answer}; another object stands there, and was left alone`);
  if (isGone(error)) return failed(key === undefined ? 'BUCKET_NOT_FOUND' : 'OBJECT_NOT_FOUND', answer);
  if (status === 301 || status === 400) {
    const region = sdkError?.$response?.headers?.['x-amz-bucket-region'];
    if (region !== undefined)
      return failed('UPLOAD_FAILED', `${answer}; the bucket lives in region ${region} (S3_REGION)`);
  }
  return failed(status >= 500 ? 'STORE_UNREACHABLE' : 'UPLOAD_FAILED', answer);
}
