/** The user or the system asked this process to stop. */
export class InterruptedError extends Error {
  override readonly name = 'InterruptedError';

  constructor(readonly signalName: NodeJS.Signals) {
    super(`stopped by ${signalName}`);
  }

  /** The exit code that shells give to a process ended by this signal. */
  get exitCode(): number {
    return 128 + { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 }[this.signalName as 'SIGHUP' | 'SIGINT' | 'SIGTERM'];
  }
}

/**
 * A second Ctrl-C counts as "now" only after this time: one press arrives two or three times when npx and pnpm pass on
 * what the terminal has already sent to the whole process group.
 */
const FORCE_AFTER_MS = 1_000;

/**
 * Turns SIGINT, SIGTERM and SIGHUP (the terminal was closed) into an AbortSignal; its reason is an InterruptedError.
 * A Ctrl-C that comes later, while things are being stopped, ends the process at once.
 */
export function listenForInterruption(): AbortSignal {
  const controller = new AbortController();
  let firstAt: number | undefined;
  for (const signalName of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signalName, () => {
      const interruption = new InterruptedError(signalName);
      if (firstAt === undefined) {
        firstAt = performance.now();
        controller.abort(interruption);
      } else if (performance.now() - firstAt > FORCE_AFTER_MS && signalName !== 'SIGHUP') {
        process.exit(interruption.exitCode);
      }
    });
  }
  // The terminal may be gone before everything has stopped: what is said then goes nowhere, and must not end the stop.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  return controller.signal;
}

/** Resolves when `signal` is aborted. */
export async function interrupted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
