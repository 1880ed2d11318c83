import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import type { MigrationDirectory, MigrationList } from '@prisma/schema-engine-wasm/schema_engine_bg';

const LOCK_FILE = 'migration_lock.toml';
const SCRIPT_FILE = 'migration.sql';

/**
 * Reads a folder of migrations as `prisma migrate` lays it out: one folder each, in the order of their names, with a
 * migration.sql.
 * @throws Error when the folder cannot be read, or one in it has no migration.sql.
 */
export async function readMigrations(migrationsDir: string): Promise<MigrationList> {
  const baseDir = path.resolve(migrationsDir);
  const entries = await readdir(baseDir, { withFileTypes: true }).catch((cause: NodeJS.ErrnoException) => {
    throw new Error(`cannot read the migrations in ${baseDir}: ${cause.code ?? cause.message}`, { cause });
  });
  const names = entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
  return {
    baseDir,
    lockfile: { path: LOCK_FILE, content: await readFile(path.join(baseDir, LOCK_FILE), 'utf8').catch(() => null) },
    shadowDbInitScript: '',
    migrationDirectories: await Promise.all(names.map((name) => readMigration(baseDir, name))),
  };
}

async function readMigration(baseDir: string, name: string): Promise<MigrationDirectory> {
  const value = await readFile(path.join(baseDir, name, SCRIPT_FILE), 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new Error(`migration ${name} has no readable ${SCRIPT_FILE}: ${cause.code ?? cause.message}`, { cause });
  });
  return { path: name, migrationFile: { path: SCRIPT_FILE, content: { tag: 'ok', value } } };
}
