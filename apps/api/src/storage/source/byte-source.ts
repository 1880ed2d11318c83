import type { SourceVersion } from './source-version.js';

/**
 * The bytes of one file, in order, read into buffers that the caller lends. What happens below (lost connections,
 * ranges read side by side, a stream of this process) does not show here.
 */
export interface ByteSource {
  /** Length of the file in bytes where it is known before the end; null where only the end tells. */
  readonly length: number | null;
  /** Set when the source coded its body although `identity` was asked for; the bytes come as they were sent. */
  readonly contentEncoding: string | null;
  /** False once the end was taken on trust: nothing but the close of the connection marked it. */
  readonly isLengthVerified: boolean;
  /**
   * By what another process could go on with the file; null where it could not. Until the first read has ended the file
   * may begin anew with another version; from then on it stays what it is.
   */
  readonly version: SourceVersion | null;
  /** How many reads at once are of use now: one, or more while several connections read. Changes as the source is read. */
  readonly readsAtOnce: number;
  /**
   * Fills `buffer` with the bytes that follow those of the read before, which need not have ended. Resolves with their
   * number: the length of the buffer, or less at the end of the file alone, which is proven by then; 0 past it.
   *
   * Until it settles the buffer belongs to the source.
   * @throws StorageError SOURCE_*; the same error for every read from then on
   */
  read(buffer: Buffer): Promise<number>;
  /** Ends every connection and fails the reads under way with `reason`. No buffer is written to afterwards. May be called again. */
  destroy(reason: Error): void;
}
