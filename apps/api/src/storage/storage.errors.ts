/**
 * Everything that storage can answer instead of a result. The codes are part of the API: features, HTTP clients and
 * rows (`StorageFile.transferError` starts with one) rely on them, so none is ever renamed.
 */
export const STORAGE_ERROR_CODES = [
  // The call itself is wrong: nothing was asked of a database, a store or a source.
  'INVALID_PATH',
  'INVALID_TYPE',
  'INVALID_MIME_TYPE',
  'INVALID_EXPIRY',
  'INVALID_FILENAME',
  'INVALID_CURSOR',
  'INVALID_OPTION',
  'BUCKET_NOT_ALLOWED',
  'SOURCE_URL_INVALID',
  // What the call names is not there, not ready or held by another.
  'WORKSPACE_NOT_FOUND',
  'FILE_NOT_FOUND',
  'FILE_NOT_READY',
  'FILE_DELETED',
  'FILE_BUSY',
  'PATH_TAKEN',
  'OBJECT_EXISTS',
  // The source did not give the file.
  'SOURCE_ADDRESS_BLOCKED',
  'SOURCE_UNREACHABLE',
  'SOURCE_STATUS',
  'SOURCE_REDIRECT',
  'SOURCE_TIMEOUT',
  'SOURCE_TOO_SLOW',
  'SOURCE_EMPTY',
  'SOURCE_TRUNCATED',
  'SOURCE_CHANGED',
  'SOURCE_LENGTH_UNPROVEN',
  'SOURCE_TOO_LARGE',
  'SOURCE_PROTOCOL',
  'SOURCE_SIZE_MISMATCH',
  'SOURCE_CHECKSUM_MISMATCH',
  'SOURCE_TYPE_MISMATCH',
  // The store did not take or show the object.
  'OBJECT_NOT_FOUND',
  'BUCKET_NOT_FOUND',
  'STORE_ACCESS_DENIED',
  'STORE_UNREACHABLE',
  'UPLOAD_FAILED',
  'UPLOAD_TOO_LARGE',
  'UPLOAD_OUTCOME_UNKNOWN',
  'CORS_UNSUPPORTED',
  'LIFECYCLE_UNSUPPORTED',
  // The transfer was ended from outside.
  'TRANSFER_CANCELLED',
  'TRANSFER_LOST',
  // The database holds the truth; without it nothing can be promised.
  'DATABASE_UNAVAILABLE',
  'STORAGE_OFF',
] as const;

export type StorageErrorCode = (typeof STORAGE_ERROR_CODES)[number];

/** A failure with a code to act on. Its message names the key, row or option, and never holds a secret or a signed URL. */
export class StorageError extends Error {
  override readonly name = 'StorageError';

  constructor(
    readonly code: StorageErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Longest `transferError` in characters: enough for a code and a sentence, short enough for a list of rows. */
const TRANSFER_ERROR_MAX_LENGTH = 1_000;

/**
 * The text kept in `StorageFile.transferError`: `CODE: message`.
 *
 * PostgreSQL refuses U+0000 and lone surrogates (22021), and a source can put both into a message: without this the
 * UPDATE to FAILED would itself fail and leave the row TRANSFERRING for ever.
 */
export function describeTransferError(error: unknown): string {
  const text =
    error instanceof StorageError ? `${error.code}: ${error.message}` : 'UPLOAD_FAILED: unexpected error, see the log';
  return text.replaceAll('\u0000', '').slice(0, TRANSFER_ERROR_MAX_LENGTH).toWellFormed();
}

/** The StorageError that a FAILED row tells of: what a caller is given whose transfer another process ran. */
export function parseTransferError(transferError: string | null): StorageError {
  const [, name, message] = /^([A-Z_]+): (.*)$/s.exec(transferError ?? '') ?? [];
  const code = STORAGE_ERROR_CODES.find((known) => known === name);
  return new StorageError(code ?? 'UPLOAD_FAILED', message ?? 'the transfer failed');
}
