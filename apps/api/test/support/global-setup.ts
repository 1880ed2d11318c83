// Jest's globalSetup: one PostgreSQL for the whole run, in a temporary folder, with a migrated database that
// createTestDatabase() copies. The workers learn of it through the environment, which they inherit.
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type LocalPostgres, startPostgres } from '@s3-transfer/local-stack';
import { applyMigrations } from '@s3-transfer/migrations';
import { PgBoss } from 'pg-boss';

const TEMPLATE_NAME = 'migrated';
const migrationsDir = fileURLToPath(new URL('../../../../prisma/migrations', import.meta.url));

export default async function startTestServer(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'api-tests-'));
  let postgres: LocalPostgres | undefined;
  let stopped: Promise<void> | undefined;
  const stop = () => {
    stopped ??= (async () => {
      await postgres?.stop();
      await rm(folder, { recursive: true, force: true });
    })();
    return stopped;
  };
  // A run that is broken off comes to no teardown. Both may come, one from the terminal and one from a parent.
  for (const [name, number] of Object.entries({ SIGINT: 2, SIGTERM: 15 })) {
    process.on(name, () => void stop().finally(() => process.exit(128 + number)));
  }
  try {
    // PostgreSQL refuses to run as root; the user that it runs as then has to pass through this folder.
    await chmod(folder, 0o711);
    postgres = await startPostgres({ dataDir: join(folder, 'postgres'), durable: false });
    const databaseUrl = await postgres.createDatabase(TEMPLATE_NAME);
    await applyMigrations({ databaseUrl, migrationsDir });
    await installQueue(databaseUrl);
  } catch (error) {
    await stop();
    throw error;
  }
  process.env.TEST_POSTGRES_URL = postgres.url;
  process.env.TEST_TEMPLATE_DATABASE = TEMPLATE_NAME;
  // Jest's process lives on to global-teardown.ts, which it loads apart from this file.
  Object.assign(globalThis, { stopTestServer: stop });
}

/** The tables of the queue too: each app would make them, which takes a third of a second. */
async function installQueue(connectionString: string): Promise<void> {
  const boss = new PgBoss({ connectionString, max: 1, supervise: false, schedule: false, registerInstance: false });
  await boss.start();
  await boss.stop({ graceful: false });
}
