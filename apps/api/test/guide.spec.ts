// The guide's code blocks stand word for word in test/guide, between marker lines; around them is only what its reader
// has there too. Here they are held against the product; guide.e2e-spec.ts runs them.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseEnv, promisify } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { readEnvironment } from '../src/config/env.js';
import { FileTransferService } from '../src/storage/file-transfer.service.js';
import { S3Service } from '../src/storage/s3.service.js';
import { StorageModule } from '../src/storage/storage.module.js';
import { toStorageOptions } from '../src/storage/storage.options.js';
import { StorageFileRepository } from '../src/storage/storage-file.repository.js';
import { TEST_ENCRYPTION_KEY } from './support/test-token.js';

/** The compiler starts as a process and reads the types of all packages, in ms. */
const COMPILER_LIMIT_MS = 120_000;
const guideFolder = fileURLToPath(new URL('guide', import.meta.url));
const apiFolder = fileURLToPath(new URL('..', import.meta.url));
const readGuide = (name: string) => readFileSync(join(guideFolder, name), 'utf8');
const readProject = (name: string) => readFileSync(new URL(`../../../${name}`, import.meta.url), 'utf8');

/** What tsc says of test/guide; empty when it compiles. */
async function compile(project = guideFolder): Promise<string> {
  const tsc = join(apiFolder, 'node_modules/typescript/bin/tsc');
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [tsc, '-p', project]);
    return stdout + stderr;
  } catch (error) {
    const { stdout, stderr, message } = error as Error & { stdout: string; stderr: string };
    return stdout + stderr || message;
  }
}

/** What breaks each promise of the guide, and the complaint that must follow. */
const BREACHES = [
  {
    file: 'recordings/recording.service.ts',
    from: 'createAndTransfer(',
    to: 'createAndTransferr(',
    complaint: "'createAndTransferr'",
  },
  { file: 'my/my.service.ts', from: "contentType: 'video/mp4'", to: "mime: 'video/mp4'", complaint: "'mime'" },
  {
    file: 'app.module.ts',
    from: './storage/storage.module',
    to: './storage/storages.module',
    complaint: "'./storage/storages.module'",
  },
  {
    file: 'published/s3.service.ts',
    from: 'size: number | null',
    to: 'size: number',
    complaint: 'uploadStream differs',
  },
  {
    file: 'published/s3.service.ts',
    from: 'getSignedUrl(path: string, expiresIn?',
    to: 'getSignedUrl(path: string, expiresIn',
    complaint: 'getSignedUrl differs',
  },
  {
    file: 'published/file-transfer.service.ts',
    from: 'mimeType?: string',
    to: 'mimeType: string',
    complaint: 'createAndTransfer differs',
  },
];

/** Compiles a copy of test/guide with every breach in it. */
async function compileWithBreaches(): Promise<string> {
  const copy = await mkdtemp(join(tmpdir(), 'guide-'));
  try {
    await cp(guideFolder, copy, { recursive: true });
    await symlink(join(apiFolder, 'node_modules'), join(copy, 'node_modules'));
    const config = {
      extends: join(guideFolder, 'tsconfig.json'),
      compilerOptions: { rootDirs: [join(apiFolder, 'src'), copy] },
      include: [copy],
      exclude: [join(copy, 'node_modules')],
    };
    await writeFile(join(copy, 'tsconfig.json'), JSON.stringify(config));
    for (const { file, from, to } of BREACHES) {
      const text = await readFile(join(copy, file), 'utf8');
      expect(text).toContain(from);
      await writeFile(join(copy, file), text.replace(from, to));
    }
    return await compile(copy);
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}

/** Lines that say something: without comments, white space within a line as one space. */
function wordsByLine(text: string): string[] {
  return text
    .split('\n')
    .map((line) =>
      line
        .replace(/\/\/.*$/, '')
        .trim()
        .replace(/\s+/g, ' '),
    )
    .filter((line) => line !== '');
}

/** The lines between the braces of `model X {` or `enum X {`. */
function bodyOf(schema: string, head: string): string[] {
  const lines = wordsByLine(schema);
  const start = lines.indexOf(`${head} {`);
  expect(start).not.toBe(-1);
  return lines.slice(start + 1, lines.indexOf('}', start));
}

describe("the guide's code", () => {
  it(
    'compiles against our classes',
    async () => {
      expect(await compile()).toBe('');
    },
    COMPILER_LIMIT_MS,
  );

  it(
    'would not compile against other names, options, parameters or results',
    async () => {
      const lines = (await compileWithBreaches()).trim().split('\n');
      for (const { complaint } of BREACHES) {
        expect(lines).toContainEqual(expect.stringMatching(new RegExp(`error TS\\d+: .*${complaint}`)));
      }
      expect(lines.filter((line) => line.includes('error TS'))).toHaveLength(BREACHES.length);
    },
    COMPILER_LIMIT_MS,
  );

  it.each(['s3.service', 'file-transfer.service'])('has the signatures of %s as they are compared', (name) => {
    const published = readGuide(`published/${name}.txt`)
      .replace('@Injectable()\nexport class', 'export declare class')
      .replaceAll('  async ', '  ');
    const compared = readGuide(`published/${name}.ts`);
    expect(compared.slice(compared.indexOf('export declare class'))).toBe(published);
  });
});

describe("the guide's services", () => {
  it('are the three that StorageModule exports', () => {
    expect(Reflect.getMetadata('exports', StorageModule)).toEqual([
      S3Service,
      FileTransferService,
      StorageFileRepository,
    ]);
  });
});

describe("the guide's configuration", () => {
  const variables = parseEnv(readGuide('environment.txt'));

  it('is accepted at boot and taken as it stands', () => {
    const { store } = toStorageOptions(
      readEnvironment({
        ...variables,
        DATABASE_URL: 'postgresql://app@db/app',
        AUTH_JWT_SECRET: 's'.repeat(32),
        DATA_ENCRYPTION_KEY: TEST_ENCRYPTION_KEY,
      }),
    );
    expect(store).toMatchObject({
      endpoint: 'https://s3.gra.cloud.ovh.net',
      region: 'gra',
      bucket: 'my-app-storage',
      credentials: { accessKeyId: 'your-access-key', secretAccessKey: 'your-secret-key' },
    });
  });

  it('has its five variables in .env.example', () => {
    expect(Object.keys(parseEnv(readProject('.env.example')))).toEqual(
      expect.arrayContaining(['S3_ENDPOINT', 'S3_REGION', 'S3_BUCKET', 'S3_ACCESS_KEY_ID', 'S3_SECRET_ACCESS_KEY']),
    );
    expect(Object.keys(variables)).toHaveLength(5);
  });

  it('loads the storage module by its own line', () => {
    const condition = '...(process.env.S3_ENDPOINT ? [StorageModule';
    expect(readGuide('app.module.ts')).toContain(condition);
    expect(readProject('apps/api/src/app.module.ts')).toContain(condition);
  });

  it('names the default size and number of parts', () => {
    const block = readGuide('uploads/multipart-upload.ts');
    expect(block).toContain('partSize: 10 * 1024 * 1024,');
    expect(block).toContain('queueSize: 4,');
    const { S3_PART_SIZE_BYTES, S3_QUEUE_SIZE } = readEnvironment({
      DATABASE_URL: 'postgresql://app@db/app',
      AUTH_JWT_SECRET: 's'.repeat(32),
    });
    expect({ S3_PART_SIZE_BYTES, S3_QUEUE_SIZE }).toEqual({ S3_PART_SIZE_BYTES: 10 * 1024 * 1024, S3_QUEUE_SIZE: 4 });
  });

  it('has the CORS rules of development', () => {
    expect(JSON.parse(readProject('infra/s3/cors-dev.json'))).toEqual(JSON.parse(readGuide('cors-dev.json')));
  });
});

describe("the guide's database model", () => {
  it.each(['model StorageFile', 'enum FileTransferStatus'])('stands line for line in the schema: %s', (head) => {
    const published = bodyOf(readGuide('storage-file.prisma'), head);
    expect(published.length).toBeGreaterThanOrEqual(4);
    expect(bodyOf(readProject('prisma/schema.prisma'), head)).toEqual(expect.arrayContaining(published));
  });

  it('has no status but the published ones', () => {
    const published = bodyOf(readGuide('storage-file.prisma'), 'enum FileTransferStatus');
    expect(bodyOf(readProject('prisma/schema.prisma'), 'enum FileTransferStatus')).toEqual(published);
  });
});
