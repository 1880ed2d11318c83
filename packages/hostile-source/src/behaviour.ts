import type { Exchange } from './exchange.js';
import type { ListenerName } from './listeners.js';
import type { ParameterValues } from './parameters.js';

export interface Behaviour<Values extends ParameterValues = ParameterValues> {
  /** What the server does, as a sentence about it. */
  readonly title: string;
  /** Every parameter the behaviour takes, with a value that is small and short enough for a test. */
  readonly example: Values & FileValues;
  /** The port its URL leads to. */
  readonly listener: ListenerName;
  handle(exchange: Exchange, values: Values & FileValues): Promise<void>;
}

interface FileValues {
  readonly sizeBytes: number;
  readonly seed: number;
}

interface BehaviourScript<Values extends ParameterValues> {
  readonly title: string;
  readonly example?: Values;
  readonly listener?: ListenerName;
  handle(exchange: Exchange, values: Values & FileValues): Promise<void>;
}

/** Big enough for several parts and reads of a small test, too big for one segment. */
const EXAMPLE_FILE: FileValues = { sizeBytes: 300_000, seed: 1 };

export function behaviour<Values extends ParameterValues = Record<never, never>>(
  script: BehaviourScript<Values>,
): Behaviour<Values> {
  const example = { ...EXAMPLE_FILE, ...script.example } as Values & FileValues;
  return { title: script.title, example, listener: script.listener ?? 'http', handle: script.handle };
}
