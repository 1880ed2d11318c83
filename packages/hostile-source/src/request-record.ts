import type { ListenerName } from './listeners.js';

/** One line of the log; `status`, `bodyBytes` and `isOver` grow while the answer runs. */
export interface RequestRecord {
  readonly behaviour: string;
  /** The file's id in its URL. */
  readonly id: string;
  readonly listener: ListenerName;
  readonly connectionId: number;
  readonly method: string;
  readonly target: string;
  /** Values by lower-case name, all that arrived. */
  readonly headers: Readonly<Record<string, string>>;
  readonly headerNames: readonly string[];
  readonly range: string | undefined;
  readonly ifRange: string | undefined;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
  /** Of the last head that was sent. */
  status: number | undefined;
  /** Bytes of the body handed to the system, framing not counted. */
  bodyBytes: number;
  /** The script has ended, or its connection has. */
  isOver: boolean;
}
