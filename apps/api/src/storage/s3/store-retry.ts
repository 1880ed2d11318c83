import { Inject, Injectable } from '@nestjs/common';
import pRetry from 'p-retry';
import { STORAGE_OPTIONS, type StorageOptions } from '../storage.options.js';
import { isTransient, toStoreError } from './s3-error.js';

/** With a first delay of 500 ms, and jitter, they bridge a minute and a quarter. */
const MAX_RETRIES = 7;
const MAX_DELAY_MS = 30_000;
/** No further try begins after this time: a store that answers nothing uses it up with its timeouts. In ms. */
const MAX_RETRY_TIME_MS = 120_000;

export interface RetriedCall {
  /** What is done, as the error's message begins: "upload of". */
  action: string;
  bucket: string;
  key?: string;
  /** Ends the waits; a call under way ends by its own. */
  signal?: AbortSignal;
}

/** Makes a call of the store again while it is busy, restarts or is cut off: seconds to minutes, where the SDK gives up at once. */
@Injectable()
export class StoreRetry {
  private readonly firstDelayMs: number;

  constructor(@Inject(STORAGE_OPTIONS) { store }: StorageOptions) {
    this.firstDelayMs = store.retryDelayMs;
  }

  /**
   * @throws StorageError of the last try; of the first that the store refused; the reason of `signal`
   */
  async run<Answer>(call: () => Promise<Answer>, { action, bucket, key, signal }: RetriedCall): Promise<Answer> {
    const place = key === undefined ? { bucket } : { bucket, key };
    // Errors of sockets may come from another realm, and p-retry takes those for no errors: they are translated first.
    const attempt = () =>
      call().catch((error) => {
        throw toStoreError(error, action, place);
      });
    return await pRetry(attempt, {
      retries: MAX_RETRIES,
      minTimeout: this.firstDelayMs,
      maxTimeout: MAX_DELAY_MS,
      maxRetryTime: MAX_RETRY_TIME_MS,
      randomize: true,
      shouldRetry: ({ error }) => isTransient(error),
      ...(signal !== undefined ? { signal } : {}),
    });
  }
}
