import { StorageError, type StorageErrorCode, type StorageErrorOptions } from '../storage.errors.js';

/**
 * What may be done about a fault while the file is read. Whether another request may go well is a wider question:
 * a file that cannot be taken up from the middle (`final`) may well be read whole the next time.
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
    { isRetryable, ...options }: StorageErrorOptions = {},
  ) {
    const mayGoWell = remedy === 'retry' || remedy === 'ranges' ? true : undefined;
    super(code, message, { ...options, isRetryable: isRetryable ?? mayGoWell });
  }
}
