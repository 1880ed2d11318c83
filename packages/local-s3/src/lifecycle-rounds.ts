import { S3Error } from './errors.js';
import { WriteCondition } from './http/conditions.js';
import { abortOf, expiryOf, type LifecycleRule, storedLifecycleRules } from './lifecycle-rules.js';
import type { Bucket } from './store/bucket.js';
import type { Store } from './store/store.js';

const LONGEST_PAUSE_MS = 60 * 60 * 1000;
const ROUNDS_PER_DAY = 4;

/** Acts on the lifecycle rules of all buckets, round after round, until it is stopped. */
export class LifecycleRounds {
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(
    private readonly store: Store,
    private readonly dayMs: number,
  ) {}

  start(): void {
    this.#schedule();
  }

  /** Resolves when the round that runs has ended. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  #schedule(): void {
    if (this.#isStopped) return;
    this.#timer = setTimeout(
      () => {
        this.#running = this.#round()
          .catch((error: unknown) => {
            // The next round tries again; until then the reason should be known.
            process.stderr.write(`local-s3: lifecycle: ${error instanceof Error ? error.stack : String(error)}\n`);
          })
          .finally(() => this.#schedule());
      },
      Math.min(this.dayMs / ROUNDS_PER_DAY, LONGEST_PAUSE_MS),
    );
    this.#timer.unref();
  }

  async #round(): Promise<void> {
    for (const bucket of this.store.list()) {
      const rules = storedLifecycleRules(bucket.metadata.lifecycle);
      if (rules.length > 0) await this.#clean(bucket, rules);
    }
  }

  async #clean(bucket: Bucket, rules: readonly LifecycleRule[]): Promise<void> {
    const now = Date.now();
    const stale = [...bucket.uploads.open()].filter(({ key, initiated }) => {
      const abort = abortOf(rules, key, initiated, this.dayMs);
      return abort !== undefined && abort.at <= now;
    });
    for (const { id, key } of stale) await unlessGone(bucket.uploads.abort(id, key));
    const expired = [...bucket.objects.values()].filter(({ metadata }) => {
      const expiry = expiryOf(rules, metadata.key, metadata.lastModified, this.dayMs);
      return expiry !== undefined && expiry <= now;
    });
    // Only the object that was looked at: a newer one of its key has another ETag, or the same bytes.
    for (const { metadata } of expired) {
      await unlessGone(bucket.deleteObject(metadata.key, new WriteCondition(metadata.etag, undefined)));
    }
  }
}

/** A client may have ended an upload or replaced an object since the list was made. */
async function unlessGone(removal: Promise<void>): Promise<void> {
  try {
    await removal;
  } catch (error) {
    if (!(error instanceof S3Error)) throw error;
  }
}
