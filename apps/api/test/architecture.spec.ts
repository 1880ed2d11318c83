// Who may import whom. A rule is changed in architecture/rules.ts, in the same commit as the code and with its reason.
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { PACKAGE_RULE, RULES } from './architecture/rules.js';
import { parseSourceFile, type SourceFile } from './architecture/source-file.js';

const repository = fileURLToPath(new URL('../../..', import.meta.url));

function readFiles(folder: string, pattern: string, isWanted: (path: string) => boolean): SourceFile[] {
  return globSync(pattern, { cwd: folder })
    .filter((path) => isWanted(path))
    .sort()
    .map((path) => parseSourceFile(path, readFileSync(join(folder, path), 'utf8')));
}

/** Files that a case makes up: their text by their path. */
const made = (texts: Record<string, string>): SourceFile[] =>
  Object.entries(texts).map(([path, text]) => parseSourceFile(path, text));

function findRule(words: string) {
  const rules = [...RULES, PACKAGE_RULE].filter(({ name }) => name.includes(words));
  expect(rules).toHaveLength(1);
  return rules[0] as (typeof RULES)[number];
}

const source = readFiles(
  join(repository, 'apps/api/src'),
  '**/*.ts',
  (path) => !path.endsWith('.spec.ts') && !path.startsWith('generated/'),
);

describe('apps/api/src', () => {
  it('is what is judged', () => {
    expect(source.map(({ path }) => path)).toEqual(
      expect.arrayContaining(['main.ts', 'app.module.ts', 'storage/s3.service.ts', 'storage/source/source-reader.ts']),
    );
    expect(source.flatMap(({ imports }) => imports).length).toBeGreaterThan(200);
  });

  it.each(RULES)('keeps the rule: $name', ({ findBreaches }) => expect(findBreaches(source)).toEqual([]));
});

describe('packages', () => {
  const packages = readFiles(
    repository,
    'packages/*/{src,test}/**/*.ts',
    (path) => !/\/(node_modules|generated)\//.test(path),
  );

  it('never import apps', () => {
    expect(packages.map(({ path }) => path)).toContain('packages/local-s3/src/index.ts');
    expect(PACKAGE_RULE.findBreaches(packages)).toEqual([]);
  });

  it('do not name the API among their dependencies', () => {
    const manifests = globSync('packages/*/package.json', { cwd: repository });
    expect(manifests.length).toBeGreaterThan(2);
    for (const manifest of manifests) {
      expect(readFileSync(join(repository, manifest), 'utf8')).not.toContain('@s3-transfer/api');
    }
  });
});

describe('the rules', () => {
  it.each<[rule: string, path: string, text: string]>([
    ['imports go one way', 'storage/s3.service.ts', "import { FilesModule } from '../files/files.module.js';"],
    ['imports go one way', 'prisma/prisma.service.ts', "import { StorageError } from '../storage/storage.errors.js';"],
    ['imports go one way', 'recordings/a.ts', "const { AppModule } = await import('../app.module.js');"],
    ['imports go one way', 'config/env.ts', "import type { Problem } from '../http/http-problem.js';"],
    ['imports go one way', 'create-app.ts', "import { start } from './cli/start.command.js';"],
    [
      'imports go one way',
      'files/a.ts',
      "import { RecordingRepository } from '../recordings/recording.repository.js';",
    ],
    ['imports go one way', 'workers/worker.ts', ''],
    ['inside storage/', 'storage/source/a.ts', "import { S3Clients } from '../s3/s3-clients.js';"],
    ['inside storage/', 'storage/upload/a.ts', "export { Runner } from '../transfer/transfer-runner.js';"],
    ['inside storage/', 'storage/storage.errors.ts', "import type { Options } from './storage.options.js';"],
    ['inside storage/', 'storage/a-new-thing.ts', ''],
    ['nine doors', 'files/a.ts', "import { assertObjectKey } from '../storage/object-key.js';"],
    ['nine doors', 'recordings/a.ts', "import type { Claim } from '../storage/transfer/transfer-state.repository.js';"],
    ['nine doors', 'files/a.ts', "import { StoreDoctor } from '../storage/s3/store-doctor.js';"],
    ['nine doors', 'webhooks/a.ts', "import { WebhookSender } from '../storage/events/webhook-sender.js';"],
    ['nine doors', 'cli/a.ts', "import { S3Clients } from '../storage/s3/s3-clients.js';"],
    ['AWS SDK', 'storage/transfer/a.ts', "import type { S3Client } from '@aws-sdk/client-s3';"],
    ['AWS SDK', 'health/a.ts', "import { NodeHttpHandler } from '@smithy/node-http-handler';"],
    ['undici', 'storage/s3/a.ts', "import { request } from 'undici';"],
    ["Prisma's values", 'files/a.ts', "import { Prisma } from '../generated/prisma/client.js';"],
    ["Prisma's values", 'files/a.ts', "import { type Recording, PrismaClient } from '../generated/prisma/client.js';"],
    ["Prisma's values", 'http/a.ts', "import { PrismaPg } from '@prisma/adapter-pg';"],
    ['no index.ts', 'recordings/index.ts', ''],
    ['end in .js', 'files/a.ts', "import { b } from './b';"],
    ['end in .js', 'files/a.ts', "export * from './b.ts';"],
    ['process.env', 'storage/s3/a.ts', 'export const region = process.env.S3_REGION;'],
    ['process.env', 'http/a.ts', "export const port = process['env'].PORT;"],
    ['process.env', 'http/a.ts', "import { env } from 'node:process';"],
    ['process.env', 'http/a.ts', 'const { env } = process;'],
    [
      'RecordingRepository',
      'recordings/a.ts',
      'class A { constructor(private readonly rows: RecordingRepository) {} get(id: string) { return this.rows.findById(id); } }',
    ],
    [
      'RecordingRepository',
      'recordings/a.ts',
      'const link = async (rows?: RecordingRepository) => await rows?.update("id", {});',
    ],
    [
      'RecordingRepository',
      'cli/a.ts',
      'const rows = await app.resolve(RecordingRepository); await rows.findById("id");',
    ],
    ['RecordingRepository', 'cli/a.ts', 'await app.get(RecordingRepository).update("id", {});'],
    [
      'value imports',
      'files/a.ts',
      "import type { S3Service } from '../storage/s3.service.js'; @Injectable() class A { constructor(private readonly s3: S3Service) {} }",
    ],
    [
      'value imports',
      'files/a.ts',
      "import { type S3Service } from '../storage/s3.service.js'; @Controller() export class A { constructor(s3: S3Service) {} }",
    ],
    ['packages never', 'packages/local-s3/src/a.ts', "import { env } from '../../../apps/api/src/config/env.js';"],
    ['packages never', 'packages/local-s3/src/a.ts', "import { env } from '@s3-transfer/api';"],
  ])('%s: refuse %s with %s', (rule, path, text) => {
    expect(findRule(rule).findBreaches(made({ [path]: text }))).toEqual([expect.stringContaining(path)]);
  });

  it('find a cycle over several files, once', () => {
    const cycle = made({
      'files/a.ts': "import { b } from './b.js';",
      'files/b.ts': "import type { c } from './c.js'; import { d } from './d.js';",
      'files/c.ts': "import { a } from './a.js';",
      'files/d.ts': '',
    });
    expect(findRule('no import cycle').findBreaches(cycle)).toEqual([
      'files/a.ts -> files/b.ts -> files/c.ts -> files/a.ts',
    ]);
  });

  it('let pass what they allow', () => {
    const files = made({
      'main.ts': "import { createApp } from './create-app.js'; console.log(process.env.HOME);",
      'files/a.controller.ts': `
        // import { request } from 'undici'; process.env.PORT
        import type { StorageFile } from '../generated/prisma/client.js';
        import { type StorageFileRepository as Rows, S3Service } from '../storage/s3.service.js';
        @Controller()
        export class A {
          constructor(private readonly s3: S3Service, @Inject(ROWS) private readonly rows: Rows) {}
          find() { return this.rows.findById("import { Prisma } from '../generated/prisma/client.js'"); }
        }`,
      'storage/upload/a.ts': "import { Upload } from '@aws-sdk/lib-storage'; import { b } from '../s3/b.js';",
      'storage/source/a.ts': "import { request } from 'undici'; import { b } from './b.js';",
      'recordings/a.repository.ts': "import { Prisma } from '../generated/prisma/client.js';",
      'recordings/recording-transfer.listener.ts':
        'class A { constructor(private readonly rows: RecordingRepository) { rows.update("id", {}); } }',
    });
    for (const { findBreaches } of RULES) expect(findBreaches(files)).toEqual([]);
  });
});
