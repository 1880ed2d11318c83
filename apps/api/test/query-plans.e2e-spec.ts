// Every query that the product sends, as PostgreSQL ran it on tables of 20,000 rows: none may take longer on more rows.
import { globSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readEnvironment } from '../src/config/env.js';
import { PrismaService } from '../src/prisma/prisma.service.js';
import { TransferQueue } from '../src/storage/transfer/transfer-queue.js';
import { crowd, findLargeTables } from './query-plans/crowded-database.js';
import { travel } from './query-plans/journey.js';
import { explainEverything, findPlanFaults, methodsOf, PlanLog } from './query-plans/plan-log.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { TEST_JWT_SECRET } from './support/test-token.js';

const SOURCE = fileURLToPath(new URL('../src/', import.meta.url));
/** Pages and batches have 1,000 rows at most; where little more is left, PostgreSQL may read all that is left and sort it. */
const PAGE_ROWS = 3_000;

let database: TestDatabase;
let log: PlanLog;
let largeTables: Set<string>;

beforeAll(async () => {
  database = await createTestDatabase();
  await crowd(database);
  largeTables = await findLargeTables(database);
  await database.query(explainEverything(new URL(database.url).pathname.slice(1)));
  log = new PlanLog();
  const environment = readEnvironment({
    DATABASE_URL: database.url,
    AUTH_JWT_SECRET: TEST_JWT_SECRET,
    TRANSFER_WORKER: 'none',
  });
  const prisma = new PrismaService(environment);
  const queue = new TransferQueue(environment);
  try {
    await travel(prisma, queue, (watched) => log.watch(watched));
  } finally {
    await queue.onApplicationShutdown();
    await prisma.onApplicationShutdown();
    log.close();
  }
});

afterAll(async () => {
  await database?.drop();
});

describe('the queries of the repositories', () => {
  it('read large tables by an index, and no more rows than a page', () => {
    const faults = log.queries.flatMap((query) => {
      const found = findPlanFaults(query, largeTables, PAGE_ROWS);
      return found.length === 0 ? [] : [`${query.methods.at(-1)}: ${found.join('; ')}: ${query.text}`];
    });
    expect([...new Set(faults)]).toEqual([]);
  });

  it('are all of them: each method sent one', async () => {
    const heard = new Set(log.queries.flatMap(({ methods }) => methods));
    const paths = globSync('**/*.repository.ts', { cwd: SOURCE });
    expect(paths.length).toBeGreaterThan(10);
    for (const path of paths) {
      const classes = Object.values(await import(`${SOURCE}${path}`)).filter(isRepository);
      expect(classes).toHaveLength(1);
      const labels = classes.flatMap((repository) => methodsOf(repository).map((name) => `${repository.name}.${name}`));
      expect(labels.filter((label) => !heard.has(label))).toEqual([]);
    }
  });

  it('are judged on tables that are large', () => {
    expect([...largeTables].sort()).toEqual([
      'core_outbox_event',
      'core_recording',
      'core_storage_attempt',
      'core_storage_file',
      'core_storage_host_place',
      'core_storage_part',
      'core_storage_purge',
      'core_storage_tombstone',
      'core_storage_usage',
      'core_webhook_delivery',
      'core_webhook_subscription',
    ]);
  });
});

function isRepository(value: unknown): value is { name: string } {
  return typeof value === 'function' && value.name.endsWith('Repository');
}
