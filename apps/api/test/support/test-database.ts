import { randomUUID } from 'node:crypto';
import { Client, escapeIdentifier } from 'pg';

export interface TestDatabase {
  readonly url: string;
  /** One statement with its parameters, on a connection of its own. */
  query<Row extends object>(sql: string, parameters?: unknown[]): Promise<Row[]>;
  /** Inserts a workspace and resolves to its id. */
  createWorkspace(name?: string): Promise<string>;
  /** Cuts what is still connected and drops the database. */
  drop(): Promise<void>;
}

/** A migrated, empty database of this test file alone: a copy of the template that global-setup.ts made (about 50 ms). */
export async function createTestDatabase(): Promise<TestDatabase> {
  return await createDatabaseFrom(readVariable('TEST_TEMPLATE_DATABASE'));
}

/** A database without a table, for tests of the migrations themselves. */
export async function createEmptyDatabase(): Promise<TestDatabase> {
  return await createDatabaseFrom('template1');
}

async function createDatabaseFrom(template: string): Promise<TestDatabase> {
  const serverUrl = readVariable('TEST_POSTGRES_URL');
  const name = `test_${randomUUID()}`;
  await query(serverUrl, `CREATE DATABASE ${escapeIdentifier(name)} TEMPLATE ${escapeIdentifier(template)}`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return {
    ...openTestDatabase(url.href),
    drop: async () => {
      await query(serverUrl, `DROP DATABASE ${escapeIdentifier(name)} WITH (FORCE)`);
    },
  };
}

function readVariable(name: 'TEST_POSTGRES_URL' | 'TEST_TEMPLATE_DATABASE'): string {
  const value = process.env[name];
  if (!value) throw new Error('run through jest: its global-setup.ts starts PostgreSQL');
  return value;
}

/** The same for a migrated database of a server that the test itself started. */
export function openTestDatabase(url: string): TestDatabase {
  return {
    url,
    query: (sql, parameters) => query(url, sql, parameters),
    createWorkspace: async (workspaceName = 'a workspace') => {
      const id = randomUUID();
      await query(url, 'INSERT INTO core_workspace (id, name) VALUES ($1, $2)', [id, workspaceName]);
      return id;
    },
    drop: async () => {}, // It goes with its server.
  };
}

async function query<Row extends object>(url: string, sql: string, parameters: unknown[] = []): Promise<Row[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(sql, parameters)).rows;
  } finally {
    await client.end();
  }
}
