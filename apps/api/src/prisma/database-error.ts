/** PostgreSQL cannot be reached, or ended the connection: nothing is known of the query's effect. */
export class DatabaseUnavailableError extends Error {
  override readonly name = 'DatabaseUnavailableError';
  readonly code = 'DATABASE_UNAVAILABLE';

  constructor(options?: ErrorOptions) {
    super('the database cannot be reached; check DATABASE_URL and that PostgreSQL runs', options);
  }
}

/** Prisma's codes for a server that is away, too slow to answer, or gone in the middle. */
const UNREACHABLE_PRISMA_CODES = new Set(['P1001', 'P1002', 'P1008', 'P1017', 'P2024', 'P2028']);
/** SQLSTATE classes 08 (connection) and 57P (shutdown, crash, not yet up), and the sockets' own names. */
const UNREACHABLE_DRIVER_CODE = /^(08\w{3}|57P0\d|ECONNREFUSED|ECONNRESET|ENOTFOUND|EAI_AGAIN|EPIPE|ETIMEDOUT)$/;
const UNREACHABLE_DRIVER_KINDS = new Set(['DatabaseNotReachable', 'ConnectionClosed', 'SocketTimeout']);
/** `pg` reports these two without any code. */
const UNREACHABLE_MESSAGE = /connection terminated|timeout exceeded when trying to connect/i;

/** Turns "the server is away" of Prisma, its adapter or `pg` into DatabaseUnavailableError; any other error stays. */
export function toDatabaseError(error: unknown): unknown {
  for (let cause = error, depth = 0; cause instanceof Object && depth < 5; depth += 1) {
    const { code, kind, originalCode, message } = cause as Record<string, unknown>;
    const isUnreachable =
      UNREACHABLE_PRISMA_CODES.has(String(code)) ||
      UNREACHABLE_DRIVER_CODE.test(String(code)) ||
      UNREACHABLE_DRIVER_CODE.test(String(originalCode)) ||
      UNREACHABLE_DRIVER_KINDS.has(String(kind)) ||
      UNREACHABLE_MESSAGE.test(String(message));
    if (isUnreachable) return new DatabaseUnavailableError({ cause: error });
    // Of a raw query the driver's error stands in `meta`, and nowhere else.
    const { meta, cause: next } = cause as { meta?: { driverAdapterError?: unknown }; cause?: unknown };
    cause = meta?.driverAdapterError ?? next;
  }
  return error;
}
