import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Pool } from 'pg';
import { EVERY_TABLE } from './apply-migrations.js';
import { withSession } from './database-session.js';
import { readMigrations } from './migrations-folder.js';
import { SchemaEngineError, withSchemaEngine } from './schema-engine.js';

export interface FindDriftOptions {
  /** An empty database: the migrations are run there, and it is emptied again at the end. */
  readonly shadowDatabaseUrl: string;
  readonly migrationsDir: string;
  /** The schema.prisma that the migrations should lead to. */
  readonly schemaFile: string;
}

/**
 * Compares where the migrations lead with what the schema says. Resolves to '' when they agree, else to a diff for people.
 * @throws Error when the database is not empty, or a migration or the schema is broken.
 */
export async function findDrift(options: FindDriftOptions): Promise<string> {
  const migrations = await readMigrations(options.migrationsDir);
  const schema = { path: path.resolve(options.schemaFile), content: await readFile(options.schemaFile, 'utf8') };
  return withSession(options.shadowDatabaseUrl, async (pool) => {
    await assertEmpty(pool);
    const comparison = withSchemaEngine(pool, async (engine) => {
      try {
        const { exitCode, stdout } = await engine.diff({
          from: { tag: 'migrations', ...migrations },
          to: { tag: 'schemaDatamodel', files: [schema] },
          script: false,
          exitCode: true,
          filters: EVERY_TABLE,
        });
        return exitCode === 0 ? '' : (stdout ?? '').trim();
      } finally {
        await engine.reset({ filter: EVERY_TABLE });
      }
    });
    return comparison.catch((error: unknown) => {
      if (!(error instanceof SchemaEngineError) || error.scriptError === undefined) throw error;
      throw new Error(`${error.message}\nPostgreSQL: ${error.scriptError}`, { cause: error });
    });
  });
}

/** The database is emptied at the end, so nothing may be in it now. */
async function assertEmpty(pool: Pool): Promise<void> {
  const { rows } = await pool.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class
       JOIN pg_namespace ON pg_namespace.oid = relnamespace
      WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'
      LIMIT 1`,
  );
  const found = rows[0];
  if (found) throw new Error(`the shadow database must be empty, but it has "${found.name}"`);
}
