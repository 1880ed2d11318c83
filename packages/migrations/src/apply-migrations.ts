import type { SchemaFilter } from '@prisma/schema-engine-wasm/schema_engine_bg';
import type { Pool } from 'pg';
import { withSession } from './database-session.js';
import { readMigrations } from './migrations-folder.js';
import { SchemaEngineError, withSchemaEngine } from './schema-engine.js';

/** The lock that `prisma migrate` takes too, so that both keep out of each other's way (https://pris.ly/d/migrate-advisory-locking). */
const ADVISORY_LOCK = 72_707_369;
/** The engine itself gives up after 10 s, which a migration of a large table outlasts; so the lock is taken here first. */
const LOCK_PATIENCE = '10min';

/** Prisma's code for "a migration that failed before is not resolved yet". */
const FAILED_BEFORE = 'P3009';

export const EVERY_TABLE: SchemaFilter = { externalTables: [], externalEnums: [] };

export interface ApplyMigrationsOptions {
  /** postgresql://user:password@host:port/database */
  readonly databaseUrl: string;
  /** Folder with one folder for each migration. */
  readonly migrationsDir: string;
}

/**
 * Applies the migrations that the database does not have yet, in the order of their names, and resolves to those names.
 * It keeps the same `_prisma_migrations` table as `prisma migrate deploy`: both may be used in turn.
 *
 * Each migration.sql happens whole or not at all. Processes that apply at once wait for each other, up to 10 minutes.
 * @throws Error with the migration's name and PostgreSQL's message when one fails; those before it stay applied, and
 *   nothing more is applied until `markRolledBack` has been called for it. The password is in no message.
 */
export async function applyMigrations(options: ApplyMigrationsOptions): Promise<{ applied: string[] }> {
  const migrationsList = await readMigrations(options.migrationsDir);
  return withSession(options.databaseUrl, async (pool) => {
    await takeLock(pool);
    try {
      const { appliedMigrationNames } = await withSchemaEngine(pool, (engine) =>
        engine.applyMigrations({ migrationsList, filters: EVERY_TABLE }),
      );
      return { applied: appliedMigrationNames };
    } catch (error) {
      throw await nameFailedMigration(pool, error);
    }
  });
}

/**
 * Declares that a failed migration has left nothing behind, so that the next `applyMigrations` tries it again.
 * @throws Error when the database knows no failed migration of this name.
 */
export async function markRolledBack(options: { databaseUrl: string; migrationName: string }): Promise<void> {
  await withSession(options.databaseUrl, async (pool) => {
    await takeLock(pool);
    await withSchemaEngine(pool, (engine) => engine.markMigrationRolledBack({ migrationName: options.migrationName }));
  });
}

/** A session may take an advisory lock twice: the engine, on the same connection, then has it at once. */
async function takeLock(pool: Pool): Promise<void> {
  await pool.query(`SET lock_timeout = '${LOCK_PATIENCE}'`);
  await pool.query(`SELECT pg_advisory_lock(${ADVISORY_LOCK})`).catch((cause: unknown) => {
    throw new Error(`another process has been applying migrations for ${LOCK_PATIENCE}`, { cause });
  });
  await pool.query('RESET lock_timeout');
}

async function nameFailedMigration(pool: Pool, error: unknown): Promise<unknown> {
  if (!(error instanceof SchemaEngineError)) return error;
  const failedBefore = error.code === FAILED_BEFORE;
  if (!failedBefore && error.scriptError === undefined) return error;
  const name = await firstFailedMigration(pool);
  if (name === undefined) return error;
  const message = failedBefore
    ? `migration ${name} failed in an earlier run and blocks the ones after it: mend it, undo what it may have left, and run "resolve --rolled-back ${name}"`
    : `migration ${name} failed: ${error.scriptError}`;
  return new Error(message, { cause: error });
}

async function firstFailedMigration(pool: Pool): Promise<string | undefined> {
  const { rows } = await pool
    .query<{ migration_name: string }>(
      `SELECT migration_name FROM _prisma_migrations
        WHERE finished_at IS NULL AND rolled_back_at IS NULL
        ORDER BY started_at LIMIT 1`,
    )
    .catch(() => ({ rows: [] })); // the connection is gone too: the first error says more
  return rows[0]?.migration_name;
}
