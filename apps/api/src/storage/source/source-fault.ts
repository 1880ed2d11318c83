import { StorageError, type StorageErrorCode } from '../storage.errors.js';

/**
 * What may be done about a fault.
 *
 * retry      the same request may go well later
 * fresh-url  the link has expired or is refused: a fresh one may go well
 * ranges     the source does not give ranges as asked: one whole stream may go well
 * final      nothing helps
 */
export type Remedy = 'retry' | 'fresh-url' | 'ranges' | 'final';

/** A StorageError of a source, and what may be done about it. */
export class SourceFault extends StorageError {
  constructor(
    code: StorageErrorCode,
    message: string,
    readonly remedy: Remedy,
    options: ErrorOptions & { retryAfterMs?: number } = {},
  ) {
    super(code, message, options);
    this.retryAfterMs = options.retryAfterMs ?? 0;
  }

  /** How long the source asks to be left alone. */
  readonly retryAfterMs: number;
}
