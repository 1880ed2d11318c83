import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  CreateBucketCommand,
  GetBucketCorsCommand,
  ListMultipartUploadsCommand,
  PutBucketCorsCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { jwtVerify } from 'jose';
import { type CliHome, CliProcess, makeCliHome, PROGRESS_ALONE, runCli, stillRunning } from './support/cli-process.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { startTestStore, type TestStore } from './support/test-store.js';

const MiB = 1024 * 1024;

let home: CliHome;
let database: TestDatabase;
let store: TestStore;
let client: S3Client;
let variables: Record<string, string>;
const sources: Server[] = [];

beforeAll(async () => {
  [home, database, store] = await Promise.all([makeCliHome(), createTestDatabase(), startTestStore()]);
  client = store.createClient();
  variables = { DATABASE_URL: database.url, ...store.variables, SOURCE_ALLOWED_ADDRESSES: '127.0.0.1/32' };
});

afterAll(async () => {
  for (const source of sources) source.close().closeAllConnections();
  client.destroy();
  await Promise.all([store.stop(), database.drop(), home.remove()]);
});

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  sources.push(server);
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function rowOf(path: string) {
  const [row] = await database.query<{ transfer_status: string; transfer_error: string | null; size: string | null }>(
    'SELECT transfer_status, transfer_error, size FROM core_storage_file WHERE path = $1',
    [path],
  );
  return row;
}

describe('pnpm transfer', () => {
  it('prints the row and a URL that reads the object', async () => {
    const body = Buffer.alloc(12 * MiB, 'v');
    const source = await serve((_, response) => response.writeHead(200, { 'content-length': body.length }).end(body));
    const workspaceId = await database.createWorkspace();
    const path = `films/${workspaceId}/one.mp4`;
    const { exitCode, stdout, stderr } = await runCli(
      home,
      [
        'transfer',
        `${source}/one.mp4?token=secret`,
        '--workspace',
        workspaceId,
        '--path',
        path,
        '--mime-type',
        'video/mp4',
      ],
      variables,
    );
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: expect.stringMatching(PROGRESS_ALONE) });
    expect(stdout).toMatch(/^status +DONE$/m);
    expect(stdout).toMatch(/^size +12582912 bytes \(12\.0 MiB\)$/m);
    expect(stdout).not.toContain('secret');
    const response = await fetch(stdout.trim().split('\n').at(-1) ?? '');
    expect(Buffer.from(await response.arrayBuffer()).equals(body)).toBe(true);
    expect(response.headers.get('content-type')).toBe('video/mp4');
    expect(await rowOf(path)).toEqual({ transfer_status: 'DONE', transfer_error: null, size: String(body.length) });
  });

  it('ends with the code of a source that is not there', async () => {
    const source = await serve((_, response) => response.writeHead(404).end('no such file'));
    const workspaceId = await database.createWorkspace();
    const path = `films/${workspaceId}/none.mp4`;
    const { exitCode, stdout, stderr } = await runCli(
      home,
      ['transfer', `${source}/none.mp4`, '--workspace', workspaceId, '--path', path],
      variables,
    );
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
    expect(stderr).toMatch(/^error SOURCE_STATUS: [^\n]*404[^\n]*\n {2}[^\n]*404: check the link[^\n]*\n$/);
    expect(await rowOf(path)).toMatchObject({
      transfer_status: 'FAILED',
      transfer_error: expect.stringMatching(/^SOURCE_STATUS: /),
    });
  });

  it.each([
    ['a path of another place', ['--path', '../x'], /^error INVALID_PATH: .*\n {2}change the path .*\n$/],
    [
      'a workspace that is not there',
      ['--workspace', '8a6f0b2e-6f4b-4a53-9f0e-2f9a5d1c7e10'],
      /^error WORKSPACE_NOT_FOUND: .*\n {2}check the id.*\n$/,
    ],
  ])('refuses %s', async (_, options, line) => {
    const source = await serve((_request, response) => response.end('body'));
    const { exitCode, stderr } = await runCli(home, ['transfer', `${source}/x`, ...options], variables);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(line);
  });

  it('cancels on Ctrl-C, and leaves no parts', async () => {
    // Enough for the first part, then nothing more.
    const source = await serve((_, response) => {
      response.writeHead(200, { 'content-length': 40 * MiB }).write(Buffer.alloc(12 * MiB));
    });
    const workspaceId = await database.createWorkspace();
    const path = `films/${workspaceId}/endless.mp4`;
    const args = ['transfer', `${source}/endless.mp4`, '--workspace', workspaceId, '--path', path];
    const command = new CliProcess(home, args, variables);
    const listUploads = new ListMultipartUploadsCommand({ Bucket: store.variables.S3_BUCKET });
    await command.until(async () => (await client.send(listUploads)).Uploads?.[0]);
    command.signalGroup('SIGINT');
    expect(await command.exit()).toBe(130);
    expect(command.stderr).toBe('Cancelled. The row is FAILED and its parts are removed.\n');
    expect((await client.send(listUploads)).Uploads ?? []).toEqual([]);
    expect(await rowOf(path)).toMatchObject({
      transfer_status: 'FAILED',
      transfer_error: expect.stringMatching(/^TRANSFER_CANCELLED: /),
    });
  });

  it('counts for the quotas that `pnpm storage usage` prints', async () => {
    const source = await serve((_, response) => response.writeHead(200, { 'content-length': 5 }).end('hello'));
    const workspaceId = await database.createWorkspace();
    const quotas = { ...variables, WORKSPACE_FILES_PER_DAY: '7', WORKSPACE_BYTES_PER_DAY: '1000' };
    const args = ['transfer', `${source}/small.mp4`, '--workspace', workspaceId];
    expect(await runCli(home, args, quotas)).toMatchObject({ exitCode: 0 });
    const { exitCode, stdout, stderr } = await runCli(home, ['usage', '--workspace', workspaceId], quotas);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(stdout).toMatch(new RegExp(`^workspace +${workspaceId}$`, 'm'));
    expect(stdout).toMatch(/^files +1, of 7$/m);
    expect(stdout).toMatch(/^bytes +5, of 1000$/m);
  });

  it('runs on embedded servers where nothing is set, and stops them', async () => {
    const bare = await makeCliHome();
    const command = new CliProcess(bare, ['transfer']);
    const processes = await command.until(async () => {
      const tree = await command.tree();
      return tree.length > 2 ? tree : undefined;
    });
    expect(await command.exit()).toBe(0);
    expect(command.stdout).toMatch(/^status +DONE$/m);
    expect(await stillRunning(processes)).toEqual([]);
    await bare.remove();
  });
});

describe('pnpm storage cors', () => {
  it('verifies rule by rule, applies, and leaves other buckets alone', async () => {
    await client.send(new CreateBucketCommand({ Bucket: 'other-bucket' }));
    await client.send(
      new PutBucketCorsCommand({
        Bucket: 'other-bucket',
        CORSConfiguration: {
          CORSRules: [{ AllowedOrigins: ['http://localhost:3000'], AllowedMethods: ['GET', 'HEAD'] }],
        },
      }),
    );
    const verify = ['cors', 'verify', '--env', 'dev', '--bucket', 'other-bucket'];
    const before = await runCli(home, verify, variables);
    expect(before.exitCode).toBe(1);
    expect(before.stdout).toContain(
      'rule 1: AllowedOrigins should be http://127.0.0.1:3000, http://localhost:3000, the bucket has http://localhost:3000\n',
    );
    expect(before.stderr).toMatch(
      /^error CORS_DIFFERS: bucket other-bucket .*cors apply --env dev --bucket other-bucket\n$/,
    );

    const apply = await runCli(home, ['cors', 'apply', '--env', 'dev', '--bucket', 'other-bucket'], variables);
    expect(apply).toMatchObject({ exitCode: 0, stderr: '' });
    expect(await runCli(home, verify, variables)).toMatchObject({ exitCode: 0, stderr: '' });
    await expect(client.send(new GetBucketCorsCommand({ Bucket: store.variables.S3_BUCKET }))).rejects.toThrow('CORS');
  });

  it.each(['apply', 'verify'])('%s shows the way where the store has no CORS call', async (action) => {
    // As OpenStack Swift answers it.
    const swift = await serve((_, response) =>
      response.writeHead(501, { 'content-type': 'application/xml' }).end('<Error><Code>NotImplemented</Code></Error>'),
    );
    const { exitCode, stderr } = await runCli(home, ['cors', action, '--env', 'dev'], {
      ...variables,
      S3_ENDPOINT: swift,
    });
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^error CORS_UNSUPPORTED: .*\n {2}.*infra\/s3\/README\.md shows how\n$/);
  });

  it.each(['apply', 'verify'])('%s refuses rules with an example origin', async (action) => {
    const { exitCode, stderr } = await runCli(home, ['cors', action, '--env', 'prod'], variables);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^error EXAMPLE_ORIGIN: infra\/s3\/cors-prod\.json still holds .*\n$/);
  });
});

describe('pnpm storage', () => {
  it('mints a token for the workspaces that are named', async () => {
    const secret = 'a secret that is only known here and there';
    const workspaceId = await database.createWorkspace();
    const { exitCode, stdout } = await runCli(home, ['token', '--workspace', workspaceId, '--expires-in', '5m'], {
      AUTH_JWT_SECRET: secret,
      AUTH_ISSUER: 'here',
    });
    expect(exitCode).toBe(0);
    const { payload } = await jwtVerify(stdout.trim(), new TextEncoder().encode(secret), { issuer: 'here' });
    expect(payload).toMatchObject({ sub: 'developer', workspaces: [workspaceId] });
    expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(300);
  });

  it('mints none where tokens come from an identity provider', async () => {
    const { exitCode, stderr } = await runCli(home, ['token'], { AUTH_JWKS_URL: 'https://id.example.test/keys' });
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^error TOKENS_ELSEWHERE: /);
  });

  it('migrates the database that is named, and asks for a name', async () => {
    const upToDate = await runCli(home, ['migrate'], { DATABASE_URL: database.url });
    expect(upToDate).toEqual({ exitCode: 0, stdout: 'The database is up to date.\n', stderr: '' });
    const unnamed = await runCli(home, ['migrate']);
    expect(unnamed.exitCode).toBe(1);
    expect(unnamed.stderr).toMatch(/^error USAGE: DATABASE_URL is not set/);
  });

  it('says how to migrate a database that has no tables yet', async () => {
    const empty = await createTestDatabase();
    await empty.query('DROP SCHEMA public CASCADE');
    await empty.query('CREATE SCHEMA public');
    const { exitCode, stderr } = await runCli(home, ['transfer'], { ...variables, DATABASE_URL: empty.url });
    expect(exitCode).toBe(1);
    expect(stderr).toBe(
      'error MIGRATION_NEEDED: the database has not all tables yet; make them with: pnpm storage migrate\n',
    );
    expect(await runCli(home, ['migrate'], { DATABASE_URL: empty.url })).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/^(applied \d{14}_\w+\n)+$/),
    });
    await empty.drop();
  });

  it('names every wrong variable', async () => {
    const { exitCode, stderr } = await runCli(home, ['transfer'], {
      ...variables,
      S3_REGION: '',
      S3_QUEUE_SIZE: 'many',
    });
    expect(exitCode).toBe(1);
    expect(stderr).toContain('S3_QUEUE_SIZE must be a whole number');
    expect(stderr).toContain('S3_REGION must be set when S3_ENDPOINT is set');
  });
});
