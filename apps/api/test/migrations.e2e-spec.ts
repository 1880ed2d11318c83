import { randomUUID } from 'node:crypto';
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { applyMigrations } from '@s3-transfer/migrations';
import { createEmptyDatabase, type TestDatabase } from './support/test-database.js';

const ALL = fileURLToPath(new URL('../../../prisma/migrations', import.meta.url));

let database: TestDatabase;
let firstOnly: string;
let laterMigrations: string[];

beforeEach(async () => {
  database = await createEmptyDatabase();
  firstOnly = await mkdtemp(join(tmpdir(), 'migrations-'));
  const folders = await readdir(ALL, { withFileTypes: true });
  const [first = '', ...others] = folders
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .toSorted();
  laterMigrations = others;
  await cp(join(ALL, first), join(firstOnly, first), { recursive: true });
  await cp(join(ALL, 'migration_lock.toml'), join(firstOnly, 'migration_lock.toml'));
  await applyMigrations({ databaseUrl: database.url, migrationsDir: firstOnly });
});

afterEach(async () => {
  await database.drop();
  await rm(firstOnly, { recursive: true, force: true });
});

async function insertFile(path: string): Promise<string> {
  const id = randomUUID();
  const workspaceId = await database.createWorkspace();
  await database.query(
    `INSERT INTO core_storage_file (id, workspace_id, type, path, bucket, size, transfer_status)
     VALUES ($1, $2, 'avatar', $3, 'files', 7, 'DONE')`,
    [id, workspaceId, path],
  );
  return id;
}

describe("migrations on a database with rows of the guide's own model", () => {
  it('keep the rows', async () => {
    const id = await insertFile('a/b');
    const { applied } = await applyMigrations({ databaseUrl: database.url, migrationsDir: ALL });
    expect(applied).toEqual(laterMigrations);
    expect(await database.query('SELECT * FROM core_storage_file')).toMatchObject([
      {
        id,
        path: 'a/b',
        size: '7',
        transfer_status: 'DONE',
        attempts: 0,
        completing: false,
        updated_at: expect.any(Date),
      },
    ]);
  });

  it('change nothing when a path stands there twice, and name it with the query that finds all of them', async () => {
    await insertFile('a/b');
    await insertFile('a/b');
    const migrating = applyMigrations({ databaseUrl: database.url, migrationsDir: ALL });
    await expect(migrating).rejects.toThrow(/holds a path more than once \(files\/a\/b\).*HAVING count\(\*\) > 1/s);
    const columns = await database.query<{ column_name: string }>(
      "SELECT column_name FROM information_schema.columns WHERE table_name = 'core_storage_file'",
    );
    expect(columns.map(({ column_name }) => column_name)).not.toContain('lease_token');
  });
});
