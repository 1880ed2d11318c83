#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { applyMigrations, markRolledBack } from './apply-migrations.js';
import { findDrift } from './find-drift.js';

const USAGE = `Usage, with DATABASE_URL set:
  node dist/main.js deploy  [--migrations DIR]                  apply what the database does not have yet
  node dist/main.js drift   [--migrations DIR] [--schema FILE]  compare migrations and schema; the database must be empty
  node dist/main.js resolve --rolled-back NAME                  let a failed migration be tried again
Exit codes: 0 done (drift: they agree), 1 failed, 2 drift found.`;

const FAILED = 1;
const DRIFT_FOUND = 2;

async function run(args: string[], databaseUrl: string | undefined): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      migrations: { type: 'string', default: 'prisma/migrations' },
      schema: { type: 'string', default: 'prisma/schema.prisma' },
      'rolled-back': { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  if (!databaseUrl) throw new Error(`DATABASE_URL is not set\n${USAGE}`);
  const [command, ...rest] = positionals;
  if (rest.length > 0) throw new Error(`one command at a time\n${USAGE}`);
  switch (command) {
    case 'deploy': {
      const { applied } = await applyMigrations({ databaseUrl, migrationsDir: values.migrations });
      console.log(applied.length > 0 ? `applied ${applied.join(', ')}` : 'nothing to apply');
      return 0;
    }
    case 'drift': {
      const drift = await findDrift({
        shadowDatabaseUrl: databaseUrl,
        migrationsDir: values.migrations,
        schemaFile: values.schema,
      });
      console.log(drift || 'migrations and schema agree');
      return drift ? DRIFT_FOUND : 0;
    }
    case 'resolve': {
      const migrationName = values['rolled-back'];
      if (!migrationName) throw new Error(`resolve needs --rolled-back NAME\n${USAGE}`);
      await markRolledBack({ databaseUrl, migrationName });
      console.log(`${migrationName} is marked as rolled back`);
      return 0;
    }
    default:
      throw new Error(`unknown command ${command ?? '(none)'}\n${USAGE}`);
  }
}

try {
  process.exitCode = await run(process.argv.slice(2), process.env.DATABASE_URL);
} catch (error) {
  // The message alone: a stack or an inspected error may show more than it should.
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = FAILED;
}
