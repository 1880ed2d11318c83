import { StorageError } from '../storage/storage.errors.js';

/** A failure of the command line itself: wrong use, a taken port, a run that is in the way. One line, with what to do. */
export class CliError extends Error {
  override readonly name = 'CliError';

  constructor(
    readonly code:
      | 'USAGE'
      | 'PORT_TAKEN'
      | 'ALREADY_RUNNING'
      | 'BUCKET_NOT_READY'
      | 'CORS_DIFFERS'
      | 'DIFFERENCES_FOUND'
      | 'EXAMPLE_ORIGIN'
      | 'RULES_VIOLATED'
      | 'SAMPLE_FAILED'
      | 'STORE_PROBLEM'
      | 'TOKENS_ELSEWHERE'
      | 'MIGRATION_FAILED'
      | 'LOCAL_SERVER_FAILED',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Prisma's code for a table that is not there. */
const MISSING_TABLE = 'P2021';

/**
 * What a person reads on stderr: `error CODE: message`, and for codes of storage a second line with what to do. Errors
 * without a code are defects or come from outside; their stack is shown only when asked for.
 */
export function describeFailure(error: unknown, { verbose = false } = {}): string {
  if (!(error instanceof Error)) return `error: ${String(error)}`;
  const code = (error as { code?: unknown }).code;
  if (code === MISSING_TABLE)
    return 'error MIGRATION_NEEDED: the database has not all tables yet; make them with: pnpm storage migrate';
  const advice = error instanceof StorageError ? `\n  ${error.advice}` : '';
  const line = `error${typeof code === 'string' ? ` ${code}` : ''}: ${error.message}${advice}`;
  return verbose ? `${line}\n${error.stack}${error.cause ? `\ncaused by: ${String(error.cause)}` : ''}` : line;
}
