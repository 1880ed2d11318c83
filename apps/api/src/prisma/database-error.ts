/**
 * PostgreSQL cannot be reached, ended the connection, or takes no change now: it comes back, and whoever asked goes on
 * then. Of a connection that ended nothing is known of the query's effect.
 */
export class DatabaseUnavailableError extends Error {
  override readonly name = 'DatabaseUnavailableError';
  readonly code = 'DATABASE_UNAVAILABLE';

  constructor(options?: ErrorOptions) {
    super('the database cannot be reached or takes no changes; check DATABASE_URL and that PostgreSQL runs', options);
  }
}

/** Prisma's codes for a server that is away, too slow to answer, or gone in the middle. */
const UNREACHABLE_PRISMA_CODES = new Set(['P1001', 'P1002', 'P1008', 'P1017', 'P2024', 'P2028', 'P2037']);
/**
 * SQLSTATEs of a server that does not serve now, and the sockets' own names: 08 connection, 25006 read-only (a hot
 * standby too), 53 out of disk, memory or connections, 55P03 and 57014 a time limit of its own, 57P shutdown, crash or
 * not yet up, 58030 its disk, 25P03 a transaction that was left alone.
 */
const UNREACHABLE_DRIVER_CODE =
  /^(08\w{3}|25006|25P03|53\w{3}|55P03|57014|57P0\d|58030|ECONNREFUSED|ECONNRESET|ENOTFOUND|EAI_AGAIN|EPIPE|ETIMEDOUT)$/;
const UNREACHABLE_DRIVER_KINDS = new Set(['DatabaseNotReachable', 'ConnectionClosed', 'SocketTimeout']);
/** `pg` reports these without any code. */
const UNREACHABLE_MESSAGE =
  /connection terminated|connection error and is not queryable|timeout exceeded when trying to connect/i;
/** A serialisation failure or a deadlock, as Prisma and PostgreSQL name them. */
const CONFLICT_CODE = /^(P2034|40001|40P01)$/;

/** Turns "the server does not serve now" of Prisma, its adapter or `pg` into DatabaseUnavailableError; any other error stays. */
export function toDatabaseError(error: unknown): unknown {
  const isUnavailable = causesOf(error).some(({ code, kind, originalCode, message }) => {
    return (
      UNREACHABLE_PRISMA_CODES.has(String(code)) ||
      UNREACHABLE_DRIVER_CODE.test(String(code)) ||
      UNREACHABLE_DRIVER_CODE.test(String(originalCode)) ||
      UNREACHABLE_DRIVER_KINDS.has(String(kind)) ||
      UNREACHABLE_MESSAGE.test(String(message))
    );
  });
  return isUnavailable || isConflict(error) ? new DatabaseUnavailableError({ cause: error }) : error;
}

/** Whether the statement or transaction gave way to another and changed nothing: the same again goes well. */
export function isConflict(error: unknown): boolean {
  return causesOf(error).some(
    ({ code, originalCode }) => CONFLICT_CODE.test(String(code)) || CONFLICT_CODE.test(String(originalCode)),
  );
}

function causesOf(error: unknown): Record<string, unknown>[] {
  const causes: Record<string, unknown>[] = [];
  for (let cause = error; cause instanceof Object && causes.length < 5; ) {
    causes.push(cause as Record<string, unknown>);
    // Of a raw query the driver's error stands in `meta`, and nowhere else.
    const { meta, cause: next } = cause as { meta?: { driverAdapterError?: unknown }; cause?: unknown };
    cause = meta?.driverAdapterError ?? next;
  }
  return causes;
}
