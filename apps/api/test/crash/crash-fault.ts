import type { StorageErrorCode } from '../../src/storage/storage.errors.js';
import type { CrashPlay } from './crash-play.js';

/**
 * DONE, or the code of a FAILED row. 'no row': nothing was accepted. 'deleted': row, object and parts are gone.
 * 'hidden': soft-deleted, its transfer ended, and no object.
 */
export type CrashEnding = 'DONE' | StorageErrorCode | 'no row' | 'deleted' | 'hidden';

/** What is downloaded beyond the file. 'in flight': the parts in flight and the one that was being read. */
export type DownloadedAgain = 'nothing' | 'in flight' | 'the file';

/** The servers that rows are played on: local-s3 by `pnpm test`, the real ones by `pnpm test:external`. */
export type PlayedStoreName = 'local-s3' | 'swift' | 'ceph';

/** Of rows whose ending does not depend on what the store does. */
export const LOCAL_ALONE: readonly PlayedStoreName[] = ['local-s3'];

/** A process or a server that dies, sleeps or is taken away, and how the transfer ends. */
export interface CrashFault {
  readonly fault: string;
  /** When it happens. */
  readonly instant: string;
  readonly ending: CrashEnding;
  readonly again: DownloadedAgain;
  readonly why: string;
  /** Default: every one. */
  readonly stores?: readonly PlayedStoreName[];
  /** The server is killed, and with it the calls of every other transfer there. */
  readonly isStoreKilled?: boolean;
  /** A store that dies between the object and the end of its upload shows both from then on, as Ceph does. */
  readonly mayShowUpload?: boolean;
  /** Default: 3. */
  readonly leaseSeconds?: number;
  /** Default: four parts and a half. */
  readonly sizeBytes?: number;
  /** Begins the transfer, brings it to the instant, and does the fault; what follows is waited for and judged by others. */
  play(play: CrashPlay): Promise<void>;
}
