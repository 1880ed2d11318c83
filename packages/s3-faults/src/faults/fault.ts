import type { Exchange } from '../exchange.js';
import type { S3Operation } from '../s3-operation.js';

export type FaultParameters = Readonly<Record<string, number | boolean>>;

export type NoParameters = Readonly<Record<never, number>>;

export interface Fault<Parameters extends FaultParameters = FaultParameters> {
  /** What happens to the request. */
  readonly title: string;
  /** The operations that it can happen to; empty for all. */
  readonly operations: readonly S3Operation[];
  /** What a rule does not set. */
  readonly parameters: Parameters;
  /** Whether it aborts an upload at the store itself. */
  readonly needsAbortUpload?: boolean;
  /** Returns when the exchange is over. A method, so that a fault of narrow parameters is a Fault. */
  apply(exchange: Exchange, parameters: Parameters): Promise<void>;
}

export const ANY_OPERATION: readonly S3Operation[] = [];

export function fault<Parameters extends FaultParameters>(definition: Fault<Parameters>): Fault<Parameters> {
  return definition;
}
