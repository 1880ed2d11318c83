// Whether prisma/migrations leads to what prisma/schema.prisma says: replays the migrations on an embedded PostgreSQL of
// its own and prints what differs. Exit code 1 when something does.
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startPostgres } from '@s3-transfer/local-stack';
import { findDrift } from '../dist/index.js';

const repositoryFile = (path) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));

const folder = await mkdtemp(join(tmpdir(), 'schema-drift-'));
// Started as root, PostgreSQL runs as a user of its own and must reach its files.
await chmod(folder, 0o711);
try {
  const postgres = await startPostgres({ dataDir: join(folder, 'postgres'), durable: false });
  try {
    const drift = await findDrift({
      shadowDatabaseUrl: await postgres.createDatabase('shadow'),
      migrationsDir: repositoryFile('prisma/migrations'),
      schemaFile: repositoryFile('prisma/schema.prisma'),
    });
    console.log(drift || 'The migrations lead to the schema.');
    if (drift) process.exitCode = 1;
  } finally {
    await postgres.stop();
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
