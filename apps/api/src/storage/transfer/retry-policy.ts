import { Inject, Injectable } from '@nestjs/common';
import { StorageError, type StorageErrorCode } from '../storage.errors.js';
import { STORAGE_OPTIONS, type StorageOptions } from '../storage.options.js';

/** Longest wait between two tries that this process chooses by itself, in ms. */
const LONGEST_DELAY_MS = 60 * 60_000;
/** Longest Retry-After that is believed, in ms: a source that asks for more is tried in between. */
const LONGEST_ASKED_DELAY_MS = 24 * 60 * 60_000;
/** Of the computed delay, so that files that failed together are not tried together. */
const JITTER = 0.5;
/** In which the files of a workspace come back that waited for a new day, in ms. */
const QUOTA_SPREAD_MS = 60_000;

/** How the tries of one code differ from the configured ones: how many, and how long the first wait is. */
interface CodePolicy {
  readonly attemptsFactor?: number;
  readonly delayFactor?: number;
}

const POLICIES: Partial<Record<StorageErrorCode, CodePolicy>> = {
  // Our own store or its outcome: it comes back, and the bytes are not lost meanwhile. Ceph holds on to a Complete for ten minutes.
  STORE_UNREACHABLE: { attemptsFactor: 4 },
  UPLOAD_OUTCOME_UNKNOWN: { attemptsFactor: 4, delayFactor: 6 },
  // Nothing has to come back: what was stored is of no use, and the next try begins anew.
  SOURCE_NOT_RESUMABLE: { delayFactor: 0 },
  STORED_BYTES_CHANGED: { delayFactor: 0 },
  // Files that are still being written settle in minutes, not in seconds.
  SOURCE_CHANGED: { delayFactor: 6 },
  // Slow sources have slow hours.
  SOURCE_TOO_SLOW: { delayFactor: 6 },
};

/** Says whether a failed try is followed by another, and when: by the code of its error and the tries before. */
@Injectable()
export class RetryPolicy {
  constructor(
    @Inject(STORAGE_OPTIONS) private readonly options: Pick<StorageOptions, 'maxAttempts' | 'retryDelayMs'>,
  ) {}

  /**
   * Delay before the next try in ms; null when the failure is final.
   *
   * @param retries tries that failed before this one
   */
  next(error: unknown, retries: number): number | null {
    if (!(error instanceof StorageError) || !error.isRetryable) return null;
    // That is no failure: the file waits for its day, as often as it must.
    if (error.code === 'QUOTA_EXCEEDED') return error.retryAfterMs + Math.random() * QUOTA_SPREAD_MS;
    const { attemptsFactor = 1, delayFactor = 1 } = POLICIES[error.code] ?? {};
    const { maxAttempts, retryDelayMs } = this.options;
    // One try means one try, whatever failed.
    const attempts = maxAttempts === 1 ? 1 : maxAttempts * attemptsFactor;
    if (retries + 1 >= attempts) return null;
    const delayMs = Math.min(retryDelayMs * delayFactor * 2 ** Math.min(retries, 20), LONGEST_DELAY_MS);
    const askedMs = Math.min(error.retryAfterMs, LONGEST_ASKED_DELAY_MS);
    return Math.max(delayMs * (1 + Math.random() * JITTER), askedMs);
  }
}
