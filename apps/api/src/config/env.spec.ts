import { describe, expect, it } from '@jest/globals';
import { EnvironmentError, readEnvironment } from './env.js';

const MINIMUM = { DATABASE_URL: 'postgresql://app@127.0.0.1/app', AUTH_JWT_SECRET: 's'.repeat(32) };
const STORE = {
  S3_ENDPOINT: 'https://s3.example.test',
  S3_REGION: 'gra',
  S3_BUCKET: 'files',
  DATA_ENCRYPTION_KEY: Buffer.alloc(32).toString('base64'),
};

function problemsOf(variables: NodeJS.ProcessEnv): readonly string[] {
  try {
    readEnvironment(variables);
  } catch (error) {
    if (error instanceof EnvironmentError) return error.problems;
    throw error;
  }
  return [];
}

describe('readEnvironment', () => {
  it('needs a database and a way to verify tokens, and has a default for the rest', () => {
    expect(readEnvironment(MINIMUM)).not.toHaveProperty('S3_ENDPOINT');
    expect(readEnvironment(MINIMUM)).toMatchObject({
      API_HOST: '127.0.0.1',
      API_PORT: 3001,
      S3_PART_SIZE_BYTES: 10 * 1024 * 1024,
      S3_QUEUE_SIZE: 4,
    });
    expect(problemsOf({})).toEqual([
      expect.stringMatching(/^DATABASE_URL /),
      expect.stringMatching(/^AUTH_JWT_SECRET or AUTH_JWKS_URL /),
    ]);
  });

  it('names every wrong key at once and shows no value', () => {
    const variables = {
      DATABASE_URL: 'mysql://user:hunter2@db/app',
      AUTH_JWT_SECRET: 'hunter2',
      DATA_ENCRYPTION_KEY: 'hunter2',
      API_PORT: 'hunter2',
      LOG_LEVEL: 'hunter2',
      S3_ENDPOINT: 'ftp://hunter2',
      S3_BUCKET: 'Hunter2',
      S3_ACCESS_KEY_ID: 'hunter2',
      S3_FORCE_PATH_STYLE: 'hunter2',
      SOURCE_ALLOWED_ADDRESSES: '10.0.0.0/8, hunter2',
      SOURCE_ALLOWED_HOSTS: 'files.example, https://hunter2/',
      SOURCE_DENIED_HOSTS: '10.0.0.1',
      SOURCE_NAT64_PREFIXES: '64:ff9b::/95',
      SOURCE_MAX_REDIRECTS: '-1',
    };
    const problems = problemsOf(variables);
    expect(problems.map((problem) => problem.split(' ')[0]).sort()).toEqual([
      'API_PORT',
      'AUTH_JWT_SECRET',
      'DATABASE_URL',
      'DATA_ENCRYPTION_KEY',
      'LOG_LEVEL',
      'S3_BUCKET',
      'S3_ENDPOINT',
      'S3_FORCE_PATH_STYLE',
      'S3_REGION',
      'S3_SECRET_ACCESS_KEY',
      'SOURCE_ALLOWED_ADDRESSES',
      'SOURCE_ALLOWED_HOSTS',
      'SOURCE_DENIED_HOSTS',
      'SOURCE_MAX_REDIRECTS',
      'SOURCE_NAT64_PREFIXES',
    ]);
    expect(new EnvironmentError(problems).message).not.toMatch(/hunter2/i);
  });

  it.each([
    ['S3_PART_SIZE_BYTES', 5 * 1024 * 1024 - 1, 5 * 1024 * 1024],
    ['S3_PART_SIZE_BYTES', 5 * 1024 ** 3 + 1, 5 * 1024 ** 3],
    ['S3_QUEUE_SIZE', 0, 1],
    ['S3_RETRY_DELAY_MS', 0, 1],
    ['S3_RETRY_DELAY_MS', 60_001, 60_000],
    ['S3_QUEUE_SIZE', 65, 64],
    ['S3_QUEUE_SIZE', 1.5, 2],
    ['API_PORT', 65_536, 65_535],
    ['TRANSFER_CONCURRENCY', 0, 1],
    ['SOURCE_DEADLINE_SECONDS', 604_801, 604_800],
  ])('%s refuses %d and takes %d', (key, outside, inside) => {
    const roomy = { ...MINIMUM, TRANSFER_MEMORY_BYTES: String(8 * 1024 ** 3) };
    expect(problemsOf({ ...roomy, [key]: String(outside) })).toEqual([expect.stringMatching(`^${key} must be `)]);
    expect(readEnvironment({ ...roomy, [key]: String(inside) })).toMatchObject({ [key]: inside });
  });

  it('needs memory for at least one part', () => {
    const bigParts = { ...MINIMUM, S3_PART_SIZE_BYTES: String(512 * 1024 ** 2) };
    expect(problemsOf(bigParts)).toEqual([expect.stringMatching(/^TRANSFER_MEMORY_BYTES must hold at least one part/)]);
    expect(problemsOf({ ...bigParts, TRANSFER_MEMORY_BYTES: String(512 * 1024 ** 2) })).toEqual([]);
  });

  it('needs region and bucket beside S3_ENDPOINT', () => {
    expect(problemsOf({ ...MINIMUM, S3_ENDPOINT: STORE.S3_ENDPOINT })).toEqual([
      'S3_REGION must be set when S3_ENDPOINT is set',
      'S3_BUCKET must be set when S3_ENDPOINT is set',
      'DATA_ENCRYPTION_KEY must be set when S3_ENDPOINT is set: `openssl rand -base64 32` makes one',
    ]);
  });

  it('takes both S3 keys or none, and refuses one of the two', () => {
    expect(readEnvironment({ ...MINIMUM, ...STORE })).toMatchObject(STORE);
    expect(
      readEnvironment({ ...MINIMUM, ...STORE, S3_ACCESS_KEY_ID: 'id', S3_SECRET_ACCESS_KEY: 'secret' }),
    ).toMatchObject({ S3_ACCESS_KEY_ID: 'id', S3_SECRET_ACCESS_KEY: 'secret' });
    expect(problemsOf({ ...MINIMUM, ...STORE, S3_ACCESS_KEY_ID: 'id' })).toEqual([
      expect.stringMatching(/^S3_SECRET_ACCESS_KEY must be set too/),
    ]);
    expect(problemsOf({ ...MINIMUM, ...STORE, S3_SECRET_ACCESS_KEY: 'secret' })).toEqual([
      expect.stringMatching(/^S3_ACCESS_KEY_ID must be set too/),
    ]);
    expect(problemsOf({ ...MINIMUM, ...STORE, S3_SESSION_TOKEN: 'token' })).toEqual([
      expect.stringMatching(/^S3_SESSION_TOKEN needs /),
    ]);
  });

  it('reads an empty value as "not set"', () => {
    expect(readEnvironment({ ...MINIMUM, S3_ENDPOINT: '', S3_QUEUE_SIZE: '', LOG_LEVEL: '' })).toEqual(
      readEnvironment(MINIMUM),
    );
  });

  it('splits lists and gives an object that cannot be changed', () => {
    const environment = readEnvironment({
      ...MINIMUM,
      WEB_ORIGINS: 'https://app.example.test, https://admin.example.test',
      SOURCE_ALLOWED_ADDRESSES: '127.0.0.1/32:9000,[::1/128]:9000, 10.0.0.0/8',
      SOURCE_ALLOWED_HOSTS: 'minio, .corp.example, bücher.example., 3.cdn-x_y.example',
      SOURCE_NAT64_PREFIXES: '64:ff9b::/96,2001:db8:122::/48',
    });
    expect(environment.WEB_ORIGINS).toEqual(['https://app.example.test', 'https://admin.example.test']);
    expect(environment.SOURCE_ALLOWED_ADDRESSES).toEqual(['127.0.0.1/32:9000', '[::1/128]:9000', '10.0.0.0/8']);
    expect(environment.SOURCE_ALLOWED_HOSTS).toEqual([
      'minio',
      '.corp.example',
      'bücher.example.',
      '3.cdn-x_y.example',
    ]);
    expect(environment.SOURCE_NAT64_PREFIXES).toEqual(['64:ff9b::/96', '2001:db8:122::/48']);
    expect(Object.isFrozen(environment)).toBe(true);
  });
});
