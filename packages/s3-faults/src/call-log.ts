import type { FaultName } from './fault-table.js';
import type { S3Request } from './s3-operation.js';

/** One request of a client. The last five fields change until `isOver`; only complete-carried-out-late changes them later. */
export interface S3Call extends S3Request {
  /** 1 for the first request of this operation on this key, upload and part. */
  readonly attempt: number;
  /** As `attempt`, but counted over all uploads to the key. */
  readonly ordinal: number;
  readonly fault: FaultName | undefined;
  /** Whether the store was sent any of it. */
  readonly isForwarded: boolean;
  /** What the store answered. */
  readonly storeStatus: number | undefined;
  /** What the client was given; undefined when it was given nothing. */
  readonly status: number | undefined;
  /** The client has its answer, or the connection is gone. */
  readonly isOver: boolean;
}

export type CallChange = Partial<Omit<S3Call, keyof S3Request | 'attempt' | 'ordinal'>>;
export type OpenCall = { -readonly [Name in keyof S3Call]: S3Call[Name] };

interface Waiter {
  readonly holds: (call: S3Call) => boolean;
  readonly resolve: (call: S3Call) => void;
}

export class CallLog {
  readonly calls: OpenCall[] = [];
  readonly #seen = new Map<string, number>();
  #waiters: Waiter[] = [];

  open(request: S3Request): OpenCall {
    const { operation, bucket, key, partNumber, uploadId } = request;
    const call: OpenCall = {
      ...request,
      attempt: this.#count([operation, bucket, key, partNumber, uploadId ?? '']),
      ordinal: this.#count([operation, bucket, key, partNumber]),
      fault: undefined,
      isForwarded: false,
      storeStatus: undefined,
      status: undefined,
      isOver: false,
    };
    this.calls.push(call);
    this.update(call, {});
    return call;
  }

  update(call: OpenCall, change: CallChange): void {
    Object.assign(call, change);
    const ready = this.#waiters.filter(({ holds }) => holds(call));
    this.#waiters = this.#waiters.filter((waiter) => !ready.includes(waiter));
    for (const { resolve } of ready) resolve(call);
  }

  waitFor(holds: (call: S3Call) => boolean): Promise<S3Call> {
    const known = this.calls.find(holds);
    if (known) return Promise.resolve(known);
    return new Promise((resolve) => this.#waiters.push({ holds, resolve }));
  }

  #count(identity: readonly unknown[]): number {
    const text = JSON.stringify(identity);
    const count = (this.#seen.get(text) ?? 0) + 1;
    this.#seen.set(text, count);
    return count;
  }
}
