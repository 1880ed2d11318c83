import { ERROR_CATALOGUE, type StorageErrorCode } from './error-catalogue.js';

export type { StorageErrorCode };

export interface StorageErrorOptions extends ErrorOptions {
  /** Where this failure knows better than its code. */
  isRetryable?: boolean | undefined;
  /** For how long the same request would be refused again. */
  retryAfterMs?: number;
}

/** A failure with a code to act on. Its message names the key, row or option, and never holds a secret or a signed URL. */
export class StorageError extends Error {
  override readonly name = 'StorageError';
  /** The same request, unchanged, may go well later, and nobody has to do anything for it. */
  readonly isRetryable: boolean;
  /** 0: nothing is known. */
  readonly retryAfterMs: number;

  constructor(
    readonly code: StorageErrorCode,
    message: string,
    { isRetryable, retryAfterMs = 0, ...options }: StorageErrorOptions = {},
  ) {
    super(message, options);
    this.isRetryable = isRetryable ?? ERROR_CATALOGUE[code].isRetryable;
    this.retryAfterMs = retryAfterMs;
  }

  /** What to do about it: which option, command or person. */
  get advice(): string {
    return ERROR_CATALOGUE[this.code].advice;
  }
}

/** Whether the row went to another owner, who decides what becomes of it. */
export function isTransferLost(error: unknown): boolean {
  return error instanceof StorageError && error.code === 'TRANSFER_LOST';
}

/** Longest `transferError` in characters: enough for a code and a sentence, short enough for a list of rows. */
const TRANSFER_ERROR_MAX_LENGTH = 1_000;
/** How a text ends whose failure says otherwise than its code: for people, and for parseTransferError. */
const RETRYABLE_END = '; the same request may go well later';
const FINAL_END = '; the same request would fail again';

/**
 * The text kept in `StorageFile.transferError`: `CODE: message`.
 *
 * PostgreSQL refuses U+0000 and lone surrogates (22021), and a source can put both into a message: without this the
 * UPDATE to FAILED would itself fail and leave the row TRANSFERRING for ever.
 */
export function describeTransferError(error: unknown): string {
  if (!(error instanceof StorageError)) return 'UPLOAD_FAILED: unexpected error, see the log';
  const { code, message, isRetryable } = error;
  const ownEnd = isRetryable ? RETRYABLE_END : FINAL_END;
  const end = isRetryable === ERROR_CATALOGUE[code].isRetryable ? '' : ownEnd;
  const text = `${code}: ${message}`.replaceAll('\u0000', '').slice(0, TRANSFER_ERROR_MAX_LENGTH - end.length);
  return `${text}${end}`.toWellFormed();
}

/** The StorageError that a FAILED row tells of: what a caller is given whose transfer another process ran. */
export function parseTransferError(transferError: string | null): StorageError {
  const [, code = '', text = ''] = /^([A-Z_]+): (.*)$/s.exec(transferError ?? '') ?? [];
  if (!isStorageErrorCode(code)) return new StorageError('UPLOAD_FAILED', text || 'the transfer failed');
  if (text.endsWith(RETRYABLE_END)) {
    return new StorageError(code, text.slice(0, -RETRYABLE_END.length), { isRetryable: true });
  }
  if (text.endsWith(FINAL_END)) return new StorageError(code, text.slice(0, -FINAL_END.length), { isRetryable: false });
  return new StorageError(code, text);
}

function isStorageErrorCode(name: string): name is StorageErrorCode {
  return Object.hasOwn(ERROR_CATALOGUE, name);
}
