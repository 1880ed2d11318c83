/// <reference lib="esnext.disposable" />
import type { Settings } from './settings.js';

/** What a command gets from the program beside its own arguments. */
export interface CommandContext {
  readonly settings: Settings;
  /** Ctrl-C and its like; the reason is an InterruptedError. */
  readonly interruption: AbortSignal;
  /** Things that the command leaves open: they are closed in reverse order when it has ended. */
  readonly opened: AsyncDisposableStack;
  readonly isVerbose: boolean;
}
