import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import type { MigrationDirectory, MigrationList } from '@prisma/schema-engine-wasm/schema_engine_bg';

const LOCK_FILE = 'migration_lock.toml';
const SCRIPT_FILE = 'migration.sql';

/**
 * Reads a folder of migrations as `prisma migrate` lays it out: one folder each, in the order of their names, with a
 * migration.sql. A folder without that file is told to the engine, which names it in its error.
 * @throws Error when the folder cannot be read.
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
  try {
    const value = await readFile(path.join(baseDir, name, SCRIPT_FILE), 'utf8');
    return { path: name, migrationFile: { path: SCRIPT_FILE, content: { tag: 'ok', value } } };
  } catch (error) {
    const value = error instanceof Error ? error.message : String(error);
    return { path: name, migrationFile: { path: SCRIPT_FILE, content: { tag: 'error', value } } };
  }
}
