import type { CompletedPart } from '@aws-sdk/client-s3';
import { isTransferLost } from '../storage.errors.js';
import type { ResumedUpload, StoredPart } from './stored-part.js';

/** What the owner of an upload wants to know, awaited at its place. An error ends the upload. */
export interface UploadHooks {
  /** The store is about to be asked to begin an upload, whose id nobody may come to know. */
  beforeCreate?(): Promise<void>;
  /**
   * The store gave this id; no part has been sent yet, and the source will be of no other version any more. `isOnly`:
   * every answer of the store was read, so that it began no other one.
   */
  onUploadId?(uploadId: string, plan: { partSizeBytes: number; isOnly: boolean }): Promise<void>;
  /** Uploads of the key whose ids nobody knew were looked for, and are gone. */
  onUnknownDiscarded?(): Promise<void>;
  /** The store took this part of a multipart upload; parts come in any order. */
  onPart?(part: StoredPart): Promise<void>;
  /**
   * A request is about to be sent that removes an object of the file or puts its parts together once more. An error:
   * the file is another's by now, and nothing of it is touched.
   */
  assertOwned?(): Promise<void>;
  /** The upload failed, and the store may have begun it all the same, with an id that nobody was told. */
  onUnanswered?(): void;
  /** All bytes are stored as parts, or held for the one PUT: the next request makes the object. */
  beforeObject?(bytes: number): Promise<void>;
  /** The upload failed and is about to be aborted. An error: the right to abort it is lost, and nothing of it is touched. */
  beforeDiscard?(): Promise<void>;
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
  /** Since then a try before may have begun an upload and died before it knew the id. Absent: there was none. */
  readonly lostSince?: Date | undefined;
  /** Goes on with an upload that another process began: no Create, and its parts are not sent again. */
  readonly resume?: ResumedUpload | undefined;
  /**
   * Asked once, with the first error, when an upload whose id its owner knows fails before Complete is sent. True: its
   * parts stay for whoever goes on with it, and those in flight are waited for.
   */
  readonly keepParts?: ((error: unknown) => boolean) | undefined;
}

/** How far one upload has come: what its end, good or bad, is judged by. */
export class UploadAttempt {
  /** Read from the source so far. */
  bytes = 0;
  uploadId: string | undefined;
  /** The owner was told the id, or told it: somebody can go on with the upload. */
  isUploadKnown = false;
  /** The upload failed, and its parts stay for whoever goes on with it. */
  keepsParts = false;
  /** When Create was sent first; `isCreateUnclear` once an upload may have been begun whose id got lost. */
  createdAt = new Date(0);
  isCreateUnclear = false;
  /** Set once Complete may have been received. */
  completion: { readonly parts: CompletedPart[]; error?: unknown } | undefined;
  /** The one PUT, after all bytes were read: `unclear` once a try of it ended without an answer that settles it. */
  put: 'unsent' | 'sent' | 'unclear' = 'unsent';
  /** Of the bytes of the one PUT, as PartHash names it. */
  putDigest: string | undefined;
  /** `If-None-Match: *` goes with Complete. */
  isCompleteConditional = false;
  firstError: unknown;
  /** The row belongs to another owner now: this one may not touch the store any more, not even to clean up. */
  isFenced = false;

  private readonly stop = new AbortController();
  private readonly cut = new AbortController();
  private patience: NodeJS.Timeout | undefined;
  private readonly onCancel = () => this.fail(this.target.signal?.reason);

  /**
   * `endSource` is called once, with the first error; after it, parts that are kept have `partPatienceMs` to end in.
   */
  constructor(
    readonly target: UploadTarget,
    private readonly endSource: (reason: Error) => void,
    private readonly partPatienceMs = 0,
  ) {
    this.uploadId = target.resume?.uploadId;
    this.isUploadKnown = target.resume !== undefined;
    this.bytes = target.resume?.parts.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) ?? 0;
    if (target.signal?.aborted) this.onCancel();
    target.signal?.addEventListener('abort', this.onCancel, { once: true });
  }

  /** Aborts with the first error: requests in flight and waits end with it. */
  get signal(): AbortSignal {
    return this.stop.signal;
  }

  /** Ends requests that carry a part: with the first error too, but later where parts are kept. */
  get partSignal(): AbortSignal {
    return this.cut.signal;
  }

  get place(): ObjectPlace {
    const { bucket, key } = this.target;
    return { bucket, key };
  }

  /** The multipart upload, where one was begun. */
  get upload(): OpenUpload | undefined {
    return this.uploadId === undefined ? undefined : { ...this.place, uploadId: this.uploadId };
  }

  private get mayKeepParts(): boolean {
    return this.isUploadKnown && this.completion === undefined && !this.isFenced;
  }

  /** Remembers the first error, ends the requests in flight, and the source with it: a stalled read would never end. */
  fail(error: unknown): void {
    // Also behind the first error: whoever learns it late has lost the right to clean up all the same.
    this.isFenced ||= isTransferLost(error);
    if (this.isFenced) this.cut.abort(error);
    if (this.firstError !== undefined) return;
    this.firstError = error ?? new Error('upload ended without a reason');
    this.keepsParts = this.mayKeepParts && this.target.keepParts?.(this.firstError) === true;
    this.stop.abort(this.firstError);
    const cut = () => this.cut.abort(this.firstError);
    if (this.keepsParts) this.patience = setTimeout(cut, this.partPatienceMs);
    else cut();
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
    clearTimeout(this.patience);
    this.target.signal?.removeEventListener('abort', this.onCancel);
  }
}
