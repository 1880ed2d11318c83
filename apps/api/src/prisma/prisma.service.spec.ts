import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from '../../test/support/test-database.js';
import { TEST_JWT_SECRET } from '../../test/support/test-token.js';
import { readEnvironment } from '../config/env.js';
import { DatabaseUnavailableError } from './database-error.js';
import { PrismaService } from './prisma.service.js';

let database: TestDatabase;
let prisma: PrismaService;

beforeAll(async () => {
  database = await createTestDatabase();
  prisma = open();
});
afterAll(async () => {
  await prisma.onApplicationShutdown();
  await database.drop();
});

function open(parameters: Record<string, string> = {}): PrismaService {
  const url = new URL(database.url);
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return new PrismaService(readEnvironment({ DATABASE_URL: url.href, AUTH_JWT_SECRET: TEST_JWT_SECRET }));
}

/** Fails with the code until it was asked `times` times. */
async function failing(code: string, sequence: string, times: number): Promise<string> {
  await database.query(`CREATE SEQUENCE ${sequence}`);
  return `DO $$ BEGIN IF nextval('${sequence}') < ${times} THEN RAISE EXCEPTION 'x' USING ERRCODE = '${code}'; END IF; END $$`;
}

describe('a server that does not serve now', () => {
  it.each(['08006', '25006', '25P03', '53100', '53200', '53300', '55P03', '57014', '57P01', '57P03', '58030'])(
    'is told as such: %s',
    async (code) => {
      const statement = `DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '${code}'; END $$`;
      await expect(prisma.client.$executeRawUnsafe(statement)).rejects.toBeInstanceOf(DatabaseUnavailableError);
      const within = prisma.transaction((transaction) => transaction.$executeRawUnsafe(statement));
      await expect(within).rejects.toBeInstanceOf(DatabaseUnavailableError);
    },
  );

  it('is told as such when it is read-only, of a model and of a raw statement', async () => {
    const reader = open({ options: '-c default_transaction_read_only=on' });
    try {
      const made = reader.client.workspace.create({ data: { name: 'x' } });
      await expect(made).rejects.toBeInstanceOf(DatabaseUnavailableError);
      const changed = reader.client.$executeRaw`UPDATE core_workspace SET name = 'x'`;
      await expect(changed).rejects.toBeInstanceOf(DatabaseUnavailableError);
      expect(await reader.client.workspace.count()).toBe(0);
    } finally {
      await reader.onApplicationShutdown();
    }
  });

  it('is not what a wrong statement tells of', async () => {
    await expect(prisma.client.$executeRawUnsafe('SELECT nothing_like_it')).rejects.toMatchObject({ code: 'P2010' });
  });
});

describe('a statement that gave way to another', () => {
  it.each(['40001', '40P01'])('is asked again: %s', async (code) => {
    const statement = await failing(code, `single_${code.toLowerCase()}`, 3);
    await prisma.client.$executeRawUnsafe(statement);
  });

  it('is asked again with the whole of its transaction', async () => {
    const statement = await failing('40001', 'whole', 3);
    const id = await prisma.transaction(async (transaction) => {
      const made = await transaction.workspace.create({ data: { name: 'once' } });
      await transaction.$executeRawUnsafe(statement);
      return made.id;
    });
    expect(await database.query('SELECT id FROM core_workspace')).toEqual([{ id }]);
  });

  it('ends two transactions well that wait for each other', async () => {
    const ids = [await database.createWorkspace(), await database.createWorkspace()];
    let meeting = 0;
    const met = Promise.withResolvers<void>();
    const rename = (name: string, order: readonly string[]) =>
      prisma.transaction(async (transaction) => {
        for (const id of order) {
          await transaction.workspace.update({ where: { id }, data: { name } });
          meeting += 1;
          if (meeting >= 2) met.resolve();
          await met.promise;
        }
      });
    await Promise.all([rename('first', ids), rename('second', ids.toReversed())]);
    const names = await database.query<{ name: string }>('SELECT name FROM core_workspace WHERE id = ANY($1)', [ids]);
    expect(new Set(names.map(({ name }) => name)).size).toBe(1);
  });

  it('is given up as unavailable when it always does', async () => {
    const statement = await failing('40001', 'always', 1_000);
    await expect(prisma.client.$executeRawUnsafe(statement)).rejects.toBeInstanceOf(DatabaseUnavailableError);
  });
});
