import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type LocalPostgres, startPostgres } from '@s3-transfer/local-stack';
import { Client } from 'pg';
import { applyMigrations, findDrift, markRolledBack } from '../src/index.js';

const MAIN = fileURLToPath(new URL('../dist/main.js', import.meta.url));

const CREATE_AUTHOR = `
CREATE TABLE "Author" ("id" SERIAL PRIMARY KEY, "name" TEXT NOT NULL DEFAULT 'a;b');
-- a comment; with a semicolon
CREATE FUNCTION shout(word text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN word := upper(word); RETURN word || ';'; END $$;
`;
const CREATE_BOOK = `
CREATE TABLE "Book" ("id" SERIAL PRIMARY KEY, "authorId" INTEGER NOT NULL REFERENCES "Author"("id") ON DELETE CASCADE ON UPDATE CASCADE);
`;
const BROKEN = `CREATE TABLE "Shelf" ("id" INTEGER);
INSERT INTO "Author" ("name") VALUES ('left over');
ALTER TABLE "Missing" ADD COLUMN "x" TEXT;
`;
const SCHEMA = `
datasource db {
  provider = "postgresql"
}

model Author {
  id    Int    @id @default(autoincrement())
  name  String @default("a;b")
  books Book[]
}

model Book {
  id       Int    @id @default(autoincrement())
  authorId Int
  author   Author @relation(fields: [authorId], references: [id], onDelete: Cascade)
}
`;

describe('migrations', () => {
  let base: string;
  let postgres: LocalPostgres;
  let count = 0;

  beforeAll(async () => {
    base = await mkdtemp(path.join(tmpdir(), 'migrations-'));
    await chmod(base, 0o755);
    postgres = await startPostgres({ dataDir: path.join(base, 'postgres'), durable: false });
  });

  afterAll(async () => {
    await postgres.stop();
    await rm(base, { recursive: true, force: true });
  });

  const newDatabase = () => postgres.createDatabase(`test_${++count}`);

  async function writeMigrations(scripts: Record<string, string>): Promise<string> {
    const folder = path.join(base, `migrations_${++count}`);
    await mkdir(folder);
    await writeFile(path.join(folder, 'migration_lock.toml'), 'provider = "postgresql"\n');
    for (const [name, script] of Object.entries(scripts)) {
      await mkdir(path.join(folder, name));
      await writeFile(path.join(folder, name, 'migration.sql'), script);
    }
    return folder;
  }

  async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
    const client = new Client({ connectionString: url });
    await client.connect();
    try {
      return (await client.query(sql)).rows;
    } finally {
      await client.end();
    }
  }

  describe('applyMigrations', () => {
    it('brings a fresh database up to date, and a second run applies nothing', async () => {
      const databaseUrl = await newDatabase();
      // Written in the wrong order: the names decide.
      const migrationsDir = await writeMigrations({ '2_book': CREATE_BOOK, '1_author': CREATE_AUTHOR });
      expect(await applyMigrations({ databaseUrl, migrationsDir })).toEqual({ applied: ['1_author', '2_book'] });
      expect(await applyMigrations({ databaseUrl, migrationsDir })).toEqual({ applied: [] });
      expect(await query(databaseUrl, `SELECT shout('hey') AS word`)).toEqual([{ word: 'HEY;' }]);
      expect(
        await query(
          databaseUrl,
          `SELECT migration_name AS name, finished_at IS NOT NULL AS finished, applied_steps_count AS steps,
                  checksum ~ '^[0-9a-f]{64}$' AS hashed FROM _prisma_migrations ORDER BY started_at`,
        ),
      ).toEqual([
        { name: '1_author', finished: true, steps: 1, hashed: true },
        { name: '2_book', finished: true, steps: 1, hashed: true },
      ]);
    });

    it('keeps the rows that are there', async () => {
      const databaseUrl = await newDatabase();
      await applyMigrations({ databaseUrl, migrationsDir: await writeMigrations({ '1_author': CREATE_AUTHOR }) });
      await query(databaseUrl, `INSERT INTO "Author" ("name") VALUES ('Ada')`);
      const migrationsDir = await writeMigrations({
        '1_author': CREATE_AUTHOR,
        '2_born': 'ALTER TABLE "Author" ADD COLUMN "born" INTEGER NOT NULL DEFAULT 1815;',
      });
      expect(await applyMigrations({ databaseUrl, migrationsDir })).toEqual({ applied: ['2_born'] });
      expect(await query(databaseUrl, 'SELECT * FROM "Author"')).toEqual([{ id: 1, name: 'Ada', born: 1815 }]);
    });

    it('names a broken migration with the message and the line, and leaves nothing of it', async () => {
      const databaseUrl = await newDatabase();
      const migrationsDir = await writeMigrations({
        '1_author': CREATE_AUTHOR,
        '2_broken': BROKEN,
        '3_book': CREATE_BOOK,
      });
      await expect(applyMigrations({ databaseUrl, migrationsDir })).rejects.toThrow(
        /^migration 2_broken failed: relation "Missing" does not exist \(SQLSTATE 42P01\)$/,
      );
      expect(
        await query(
          databaseUrl,
          `SELECT to_regclass('"Shelf"') AS shelf, to_regclass('"Book"') AS book, count(*)::int AS authors FROM "Author"`,
        ),
      ).toEqual([{ shelf: null, book: null, authors: 0 }]);
    });

    it('points at the line where PostgreSQL does', async () => {
      const databaseUrl = await newDatabase();
      const migrationsDir = await writeMigrations({ '1_typo': 'SELECT 1;\n\nCRATE TABLE t ();\n' });
      await expect(applyMigrations({ databaseUrl, migrationsDir })).rejects.toThrow(
        /^migration 1_typo failed: syntax error at or near "CRATE" \(SQLSTATE 42601, line 3\)$/,
      );
    });

    it('goes on after a failed migration only when that is marked as rolled back', async () => {
      const databaseUrl = await newDatabase();
      const broken = await writeMigrations({ '1_author': CREATE_AUTHOR, '2_shelf': BROKEN });
      const mended = await writeMigrations({
        '1_author': CREATE_AUTHOR,
        '2_shelf': 'CREATE TABLE "Shelf" ("id" INTEGER);',
      });
      await expect(applyMigrations({ databaseUrl, migrationsDir: broken })).rejects.toThrow('2_shelf failed');
      await expect(applyMigrations({ databaseUrl, migrationsDir: mended })).rejects.toThrow(
        'migration 2_shelf failed in an earlier run and blocks the ones after it',
      );
      await expect(markRolledBack({ databaseUrl, migrationName: '9_unknown' })).rejects.toThrow('9_unknown');
      await markRolledBack({ databaseUrl, migrationName: '2_shelf' });
      expect(await applyMigrations({ databaseUrl, migrationsDir: mended })).toEqual({ applied: ['2_shelf'] });
    });

    it('applies each migration once when two processes come at the same time', async () => {
      const databaseUrl = await newDatabase();
      const migrationsDir = await writeMigrations({
        '1_slow': `${CREATE_AUTHOR}\nSELECT pg_sleep(0.3);`,
        '2_book': CREATE_BOOK,
      });
      const run = () => runMain(['deploy', '--migrations', migrationsDir], databaseUrl);
      const outcomes = await Promise.all([run(), run()]);
      expect(outcomes.map((outcome) => outcome.code)).toEqual([0, 0]);
      expect(outcomes.map((outcome) => outcome.stdout).sort()).toEqual([
        'applied 1_slow, 2_book\n',
        'nothing to apply\n',
      ]);
    });

    it('waits while `prisma migrate` would hold its lock', async () => {
      const databaseUrl = await newDatabase();
      const migrationsDir = await writeMigrations({ '1_author': CREATE_AUTHOR });
      const holder = new Client({ connectionString: databaseUrl });
      await holder.connect();
      await holder.query('SELECT pg_advisory_lock(72707369)');
      let isDone = false;
      const run = applyMigrations({ databaseUrl, migrationsDir }).finally(() => {
        isDone = true;
      });
      const waiting = `SELECT count(*)::int AS n FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;
      while ((await holder.query(waiting)).rows[0].n === 0) expect(isDone).toBe(false);
      await holder.end();
      expect(await run).toEqual({ applied: ['1_author'] });
    });

    it('leaves no connection open, whether it succeeds or fails', async () => {
      const databaseUrl = await newDatabase();
      await applyMigrations({ databaseUrl, migrationsDir: await writeMigrations({ '1_author': CREATE_AUTHOR }) });
      const broken = await writeMigrations({ '1_author': CREATE_AUTHOR, '2_broken': BROKEN });
      await expect(applyMigrations({ databaseUrl, migrationsDir: broken })).rejects.toThrow('2_broken');
      // DROP DATABASE is refused while anybody is connected.
      const name = new URL(databaseUrl).pathname.slice(1);
      await query(postgres.url, `DROP DATABASE ${name}`);
      expect(await query(postgres.url, `SELECT 1 FROM pg_database WHERE datname = '${name}'`)).toEqual([]);
    });

    it('says where it could not connect, without the password', async () => {
      const migrationsDir = await writeMigrations({});
      const failure = async (databaseUrl: string) => {
        const error: unknown = await applyMigrations({ databaseUrl, migrationsDir }).catch((reason: unknown) => reason);
        if (!(error instanceof Error)) throw new Error('it did not fail');
        expect(inspect(error, { depth: null, showHidden: true })).not.toContain('h1dden');
        return error.message;
      };
      const { host } = new URL(postgres.url);
      expect(await failure(`postgresql://postgres:h1dden@${host}/postgres`)).toBe(
        `cannot connect to PostgreSQL at ${host}/postgres: password authentication failed for user "postgres" (SQLSTATE 28P01)`,
      );
      expect(await failure('postgresql://postgres:h1dden@127.0.0.1:1/postgres')).toBe(
        'cannot connect to PostgreSQL at 127.0.0.1:1/postgres: connect ECONNREFUSED 127.0.0.1:1',
      );
      expect(await failure('postgresql://postgres:h1dden@127.0.0.1:1:2/x')).toBe(
        'DATABASE_URL is not a valid postgresql:// URL',
      );
      expect(await failure('mysql://postgres:h1dden@127.0.0.1/x')).toBe(
        'DATABASE_URL must begin with postgresql:// or postgres://',
      );
    });

    it('names a folder that is missing, and a migration without its script', async () => {
      const databaseUrl = await newDatabase();
      await expect(applyMigrations({ databaseUrl, migrationsDir: path.join(base, 'none') })).rejects.toThrow(
        `cannot read the migrations in ${path.join(base, 'none')}: ENOENT`,
      );
      const migrationsDir = await writeMigrations({ '1_author': CREATE_AUTHOR });
      await mkdir(path.join(migrationsDir, '2_empty'));
      await expect(applyMigrations({ databaseUrl, migrationsDir })).rejects.toThrow(
        'migration 2_empty has no readable migration.sql: ENOENT',
      );
    });
  });

  describe('findDrift', () => {
    const writeSchema = async (text: string) => {
      const file = path.join(base, `schema_${++count}.prisma`);
      await writeFile(file, text);
      return file;
    };

    it('is empty when the migrations lead to the schema, and leaves the database empty', async () => {
      const shadowDatabaseUrl = await newDatabase();
      const migrationsDir = await writeMigrations({ '1_author': CREATE_AUTHOR, '2_book': CREATE_BOOK });
      const schemaFile = await writeSchema(SCHEMA);
      expect(await findDrift({ shadowDatabaseUrl, migrationsDir, schemaFile })).toBe('');
      expect(await findDrift({ shadowDatabaseUrl, migrationsDir, schemaFile })).toBe('');
      expect(await query(shadowDatabaseUrl, `SELECT to_regclass('"Author"') AS author`)).toEqual([{ author: null }]);
    });

    it('tells what differs', async () => {
      const migrationsDir = await writeMigrations({ '1_author': CREATE_AUTHOR, '2_book': CREATE_BOOK });
      const schemaFile = await writeSchema(
        SCHEMA.replace('name  String', 'name  String?').replace('authorId Int\n', 'pages Int\n  authorId Int\n'),
      );
      const drift = await findDrift({ shadowDatabaseUrl: await newDatabase(), migrationsDir, schemaFile });
      expect(drift).toContain('`Author`');
      expect(drift).toContain('column `name`');
      expect(drift).toContain('Added column `pages`');
    });

    it('does not touch a database that has something in it', async () => {
      const shadowDatabaseUrl = await newDatabase();
      await query(shadowDatabaseUrl, 'CREATE TABLE precious AS SELECT 1 AS n');
      const migrationsDir = await writeMigrations({ '1_author': CREATE_AUTHOR });
      const schemaFile = await writeSchema(SCHEMA);
      await expect(findDrift({ shadowDatabaseUrl, migrationsDir, schemaFile })).rejects.toThrow(
        'the shadow database must be empty, but it has "precious"',
      );
      expect(await query(shadowDatabaseUrl, 'SELECT n FROM precious')).toEqual([{ n: 1 }]);
    });

    it('names the migration or the line of the schema that is broken, and cleans up', async () => {
      const shadowDatabaseUrl = await newDatabase();
      const schemaFile = await writeSchema(SCHEMA);
      const broken = await writeMigrations({ '1_author': CREATE_AUTHOR, '2_broken': BROKEN });
      await expect(findDrift({ shadowDatabaseUrl, migrationsDir: broken, schemaFile })).rejects.toThrow(
        /2_broken[\s\S]*relation "Missing" does not exist/,
      );
      const migrationsDir = await writeMigrations({ '1_author': CREATE_AUTHOR, '2_book': CREATE_BOOK });
      const badSchema = await writeSchema(`${SCHEMA}\nmodel Broken { id Nothing }\n`);
      await expect(findDrift({ shadowDatabaseUrl, migrationsDir, schemaFile: badSchema })).rejects.toThrow('Broken');
      expect(await findDrift({ shadowDatabaseUrl, migrationsDir, schemaFile })).toBe('');
    });
  });

  describe('the command', () => {
    it('tells drift by its exit code', async () => {
      const migrationsDir = await writeMigrations({ '1_author': CREATE_AUTHOR, '2_book': CREATE_BOOK });
      const schema = path.join(base, `schema_${++count}.prisma`);
      await writeFile(schema, SCHEMA);
      const args = ['drift', '--schema', schema, '--migrations'];
      const url = await newDatabase();
      expect(await runMain([...args, migrationsDir], url)).toMatchObject({
        code: 0,
        stdout: 'migrations and schema agree\n',
      });
      const tooFew = await writeMigrations({ '1_author': CREATE_AUTHOR });
      const drift = await runMain([...args, tooFew], url);
      expect(drift.code).toBe(2);
      expect(drift.stdout).toContain('Book');
    });

    it('fails with one message and no stack', async () => {
      const migrationsDir = await writeMigrations({ '1_broken': BROKEN });
      const url = await newDatabase();
      expect(await runMain(['deploy', '--migrations', migrationsDir], url)).toEqual({
        code: 1,
        stdout: '',
        stderr: 'migration 1_broken failed: relation "Author" does not exist (SQLSTATE 42P01, line 2)\n',
      });
      expect(await runMain(['resolve', '--rolled-back', '1_broken'], url)).toMatchObject({ code: 0 });
      const down = await runMain(['deploy', '--migrations', migrationsDir], 'postgresql://me:h1dden@127.0.0.1:1/x');
      expect(down).toEqual({
        code: 1,
        stdout: '',
        stderr: 'cannot connect to PostgreSQL at 127.0.0.1:1/x: connect ECONNREFUSED 127.0.0.1:1\n',
      });
      const mistaken = [['deploy'], ['nonsense'], ['deploy', '--unknown'], ['resolve'], ['deploy', 'drift']];
      const outcomes = await Promise.all(mistaken.map((args, index) => runMain(args, index === 0 ? '' : url)));
      expect(outcomes.map((outcome) => outcome.code)).toEqual([1, 1, 1, 1, 1]);
    });
  });
});

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function runMain(args: string[], databaseUrl: string): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [MAIN, ...args],
      { env: { DATABASE_URL: databaseUrl } },
      (_error, stdout, stderr) => resolve({ code: child.exitCode ?? -1, stdout, stderr }),
    );
  });
}
