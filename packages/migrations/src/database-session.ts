import { DatabaseError, Pool } from 'pg';

const CONNECT_TIMEOUT_MS = 10_000;

/**
 * Runs `work` with one connection to the database and closes it afterwards.
 * @throws Error whose message names server and database, never the password, when there is no connection.
 */
export async function withSession<T>(databaseUrl: string, work: (pool: Pool) => Promise<T>): Promise<T> {
  const place = describe(databaseUrl);
  // One connection that is never dropped while idle: the advisory lock belongs to it.
  const pool = new Pool({
    connectionString: databaseUrl,
    max: 1,
    idleTimeoutMillis: 0,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    application_name: 's3-transfer migrations',
  });
  // A connection that breaks between two queries is told here; the next query then fails, and that is the error to show.
  pool.on('error', () => undefined);
  try {
    await pool.query('SELECT 1').catch((cause: unknown) => {
      throw new Error(`cannot connect to PostgreSQL at ${place}: ${reasonOf(cause)}`, { cause });
    });
    return await work(pool);
  } finally {
    await pool.end();
  }
}

/** Server and database of a connection string, without user and password. */
function describe(databaseUrl: string): string {
  if (!URL.canParse(databaseUrl)) throw new Error('DATABASE_URL is not a valid postgresql:// URL');
  const { protocol, host, pathname } = new URL(databaseUrl);
  if (protocol !== 'postgresql:' && protocol !== 'postgres:') {
    throw new Error('DATABASE_URL must begin with postgresql:// or postgres://');
  }
  return `${host}${pathname}`;
}

function reasonOf(cause: unknown): string {
  if (cause instanceof DatabaseError) return `${cause.message} (SQLSTATE ${cause.code})`;
  const { message, errors = [] } = cause as { message?: string; errors?: unknown[] };
  // Node puts the refused addresses of one name into an AggregateError with an empty message.
  return errors.length > 0 ? errors.map(reasonOf).join('; ') : (message ?? String(cause));
}
