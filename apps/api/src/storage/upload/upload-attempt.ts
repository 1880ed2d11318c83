import type { CompletedPart } from '@aws-sdk/client-s3';
import { StorageError } from '../storage.errors.js';

/** What the owner of an upload wants to know, awaited at its place. An error ends the upload. */
export interface UploadHooks {
  /** The store gave this id; no part has been sent yet. */
  onUploadId?(uploadId: string): Promise<void>;
  /** The upload failed, and the store may have begun it all the same, with an id that nobody was told. */
  onUnanswered?(): void;
  /** All bytes are stored as parts, or held for the one PUT: the next request makes the object. */
  beforeObject?(bytes: number): Promise<void>;
  /** The upload failed; the store shows neither a part of it nor its object, and no request of it can land any more. */
  onDiscarded?(): void;
}

export interface ObjectPlace {
  readonly bucket: string;
  readonly key: string;
}

/** A multipart upload that was begun. */
export interface OpenUpload extends ObjectPlace {
  readonly uploadId: string;
}

export interface UploadTarget extends ObjectPlace {
  /** Unique to this upload: an object that carries it is ours, whoever else writes to the key. */
  readonly token: string;
  readonly hooks?: UploadHooks | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** How far one upload has come: what its end, good or bad, is judged by. */
export class UploadAttempt {
  /** Read from the source so far. */
  bytes = 0;
  uploadId: string | undefined;
  /** When Create was sent first; `isCreateUnclear` once an upload may have been begun whose id got lost. */
  createdAt = new Date(0);
  isCreateUnclear = false;
  /** Set once Complete may have been received. */
  completion: { readonly parts: CompletedPart[]; error?: unknown } | undefined;
  /** The one PUT, after all bytes were read: `unclear` once a try of it ended without an answer that settles it. */
  put: 'unsent' | 'sent' | 'unclear' = 'unsent';
  /** `If-None-Match: *` goes with Complete. */
  isCompleteConditional = false;
  firstError: unknown;

  private readonly stop = new AbortController();
  private readonly onCancel = () => this.fail(this.target.signal?.reason);

  /** `endSource` is called once, with the first error. */
  constructor(
    readonly target: UploadTarget,
    private readonly endSource: (reason: Error) => void,
  ) {
    if (target.signal?.aborted) this.onCancel();
    target.signal?.addEventListener('abort', this.onCancel, { once: true });
  }

  /** Aborts with the first error: requests in flight and waits end with it. */
  get signal(): AbortSignal {
    return this.stop.signal;
  }

  /** The row belongs to another owner now: this one may not touch the store any more, not even to clean up. */
  get isFenced(): boolean {
    return this.firstError instanceof StorageError && this.firstError.code === 'TRANSFER_LOST';
  }

  get place(): ObjectPlace {
    const { bucket, key } = this.target;
    return { bucket, key };
  }

  /** The multipart upload, where one was begun. */
  get upload(): OpenUpload | undefined {
    return this.uploadId === undefined ? undefined : { ...this.place, uploadId: this.uploadId };
  }

  /** Remembers the first error, ends the requests in flight, and the source with it: a stalled read would never end. */
  fail(error: unknown): void {
    if (this.firstError !== undefined) return;
    this.firstError = error ?? new Error('upload ended without a reason');
    this.stop.abort(this.firstError);
    this.endSource(error instanceof Error ? error : new Error('upload ended', { cause: error }));
  }

  /** Waits for what the upload needs to begin, but not beyond its first error: a silent store answers after minutes. */
  async orFirstError<Answer>(answer: Promise<Answer>): Promise<Answer> {
    const { signal } = this;
    signal.throwIfAborted();
    const failed = Promise.withResolvers<never>();
    const onAbort = () => failed.reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      return await Promise.race([answer, failed.promise]);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** Call it when nothing more is read or sent. */
  end(): void {
    this.target.signal?.removeEventListener('abort', this.onCancel);
  }
}
