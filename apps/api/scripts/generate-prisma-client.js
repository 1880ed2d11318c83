// Generates the Prisma client from prisma/schema.prisma.
//
// The `prisma` command looks for its schema-engine binary before it does anything, and downloads it when absent.
// Generating never runs that engine, so any executable satisfies the check and nothing is downloaded.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const repositoryRoot = fileURLToPath(new URL('../../../', import.meta.url));
const prismaCli = join(dirname(createRequire(import.meta.url).resolve('prisma/package.json')), 'build/index.js');
const { status } = spawnSync(
  process.execPath,
  [prismaCli, 'generate', '--no-hints', '--schema', join(repositoryRoot, 'prisma/schema.prisma')],
  {
    env: {
      ...process.env,
      PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
      PRISMA_HIDE_UPDATE_MESSAGE: '1',
      CHECKPOINT_DISABLE: '1',
    },
    stdio: 'inherit',
  },
);
process.exitCode = status ?? 1;
