import { applyMigrations } from '@s3-transfer/migrations';
import { CliError } from './cli-error.js';
import type { CommandContext } from './command-context.js';
import { repositoryFile } from './settings.js';

/**
 * Brings the database up to date and resolves to the names of what was applied.
 *
 * @throws CliError MIGRATION_FAILED
 */
export async function migrateDatabase(databaseUrl: string): Promise<string[]> {
  try {
    return (await applyMigrations({ databaseUrl, migrationsDir: repositoryFile('prisma/migrations') })).applied;
  } catch (error) {
    throw new CliError('MIGRATION_FAILED', error instanceof Error ? error.message : String(error), { cause: error });
  }
}

export async function migrate(_context: CommandContext): Promise<void> {
  const { DATABASE_URL: databaseUrl } = process.env;
  if (!databaseUrl) {
    throw new CliError('USAGE', 'DATABASE_URL is not set; the embedded database is migrated by start and transfer');
  }
  const applied = await migrateDatabase(databaseUrl);
  for (const name of applied) console.log(`applied ${name}`);
  if (applied.length === 0) console.log('The database is up to date.');
}
