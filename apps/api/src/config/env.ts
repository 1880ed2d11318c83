import { z } from 'zod';

const MiB = 1024 * 1024;
const GiB = 1024 * MiB;

/** `KEY=` in a .env file means "not set", as it does in docker compose and CI settings. */
const emptyToUndefined = (value: unknown): unknown => (value === '' ? undefined : value);
const optional = <T extends z.ZodType>(schema: T) => z.preprocess(emptyToUndefined, schema.optional());
const withDefault = <T extends z.ZodType>(schema: T, fallback: z.output<T>) =>
  z.preprocess((value) => emptyToUndefined(value) ?? fallback, schema);

const integer = (min: number, max: number) =>
  z.coerce
    .number({ error: 'must be a whole number' })
    .int('must be a whole number')
    .min(min, `must be at least ${min}`)
    .max(max, `must be at most ${max}`);
const flag = z
  .union([z.boolean(), z.enum(['true', 'false'], { error: 'must be true or false' })])
  .transform(String)
  .transform((value) => value === 'true');
const httpUrl = z.url({ protocol: /^https?$/, error: 'must be an http:// or https:// URL' });
const list = z.preprocess(
  (value) =>
    String(value ?? '')
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== ''),
  z.array(z.string()),
);
/** `10.0.0.0/8`, `127.0.0.1/32:9000`, `::1/128`, `[::1/128]:9000`. */
const cidrList = list.pipe(
  z.array(
    z
      .string()
      .regex(
        /^(\[[0-9a-f:.]+\/\d{1,3}\]:\d{1,5}|[0-9.]+\/\d{1,2}(:\d{1,5})?|[0-9a-f:.]*:[0-9a-f:.]*\/\d{1,3})$/i,
        'must be a list of CIDR or CIDR:port ranges, such as 10.1.0.0/16 or 127.0.0.1/32:9000',
      ),
  ),
);
/** `files.example`, or `.files.example` for every name below it; the last label is no number, so this is no address. */
const hostList = list.pipe(
  z.array(
    z
      .string()
      .regex(
        /^\.?([\p{L}\p{N}_-]+\.)*[\p{L}\p{N}_-]*[\p{L}_-][\p{L}\p{N}_-]*\.?$/u,
        'must be a list of host names or .suffixes, such as files.example.com or .example.com; addresses have lists of their own',
      ),
  ),
);
/** RFC 6052, section 2.2. */
const nat64PrefixList = list.pipe(
  z.array(
    z
      .string()
      .regex(
        /^[0-9a-f:.]*:[0-9a-f:.]*\/(32|40|48|56|64|96)$/i,
        'must be a list of IPv6 prefixes of 32, 40, 48, 56, 64 or 96 bits, such as 64:ff9b::/96',
      ),
  ),
);

/** 32 bytes in base64, as `openssl rand -base64 32` makes them. */
const encryptionKey = z
  .string()
  .regex(/^[A-Za-z0-9+/]{43}=$/, 'must be 32 random bytes in base64, as `openssl rand -base64 32` makes them');

/** Stores whose ways are known (storage/s3/store-profile.ts); `auto` finds out which one answers. */
const STORE_NAMES = ['auto', 'aws-s3', 'swift', 'ceph', 'minio', 'ovh', 'local-s3', 'unknown'] as const;

/** What of a part the store compares with what arrived; `auto`: the cheapest that this store is known to verify. */
const PART_INTEGRITIES = ['auto', 'crc32', 'md5', 'sha256'] as const;

/** Which transfers a process runs: those of the queue too, those that it was itself asked to wait for, or none. */
const WORKER_MODES = ['all', 'own', 'none'] as const;

/**
 * Every variable that the API reads, with its bounds. `.env.example` explains each in one line.
 * Bounds of parts: S3 user guide, "multipart upload limits" (5 MiB to 5 GiB a part, 5 TiB an object).
 */
const environmentSchema = z.object({
  API_HOST: withDefault(z.string(), '127.0.0.1'),
  API_PORT: withDefault(integer(0, 65_535), 3001),
  WEB_ORIGINS: withDefault(list.pipe(z.array(httpUrl)), ['http://localhost:3000', 'http://127.0.0.1:3000']),
  LOG_LEVEL: withDefault(
    z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], {
      error: 'must be one of fatal, error, warn, info, debug, trace, silent',
    }),
    'info',
  ),
  LOG_FORMAT: withDefault(z.enum(['json', 'pretty'], { error: 'must be json or pretty' }), 'json'),
  DATABASE_URL: z.preprocess(
    emptyToUndefined,
    z.url({ protocol: /^postgres(ql)?$/, error: 'must be a postgresql:// URL' }),
  ),
  // Above the 15 s that a transaction may hold rows for which others wait (prisma.service.ts), and the 7.5 s of the
  // longest statement known: a workspace with 30,000 files deleted. The rest reads and changes pages of 1,000 rows.
  DATABASE_SILENCE_SECONDS: withDefault(integer(1, 3_600), 20),

  DATA_ENCRYPTION_KEY: optional(encryptionKey),
  DATA_ENCRYPTION_OLD_KEYS: list.pipe(z.array(encryptionKey)),

  AUTH_JWT_SECRET: optional(z.string().min(32, 'must have at least 32 characters')),
  AUTH_JWKS_URL: optional(httpUrl),
  AUTH_ISSUER: optional(z.string()),
  AUTH_AUDIENCE: optional(z.string()),

  S3_ENDPOINT: optional(httpUrl),
  S3_REGION: optional(z.string()),
  S3_BUCKET: optional(
    z
      .string()
      .regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, 'must be a bucket name: 3 to 63 of a-z, 0-9, dot and hyphen'),
  ),
  S3_ACCESS_KEY_ID: optional(z.string()),
  S3_SECRET_ACCESS_KEY: optional(z.string()),
  S3_SESSION_TOKEN: optional(z.string()),
  S3_PUBLIC_ENDPOINT: optional(httpUrl),
  S3_ALLOWED_BUCKETS: list,
  S3_FORCE_PATH_STYLE: optional(flag),
  S3_CHECKSUM_MODE: optional(
    z.enum(['when_required', 'when_supported'], { error: 'must be when_required or when_supported' }),
  ),
  S3_STORE: withDefault(z.enum(STORE_NAMES, { error: `must be one of ${STORE_NAMES.join(', ')}` }), 'auto'),
  S3_MAX_PARTS: optional(integer(1, 10_000)),
  S3_PART_INTEGRITY: withDefault(
    z.enum(PART_INTEGRITIES, { error: `must be one of ${PART_INTEGRITIES.join(', ')}` }),
    'auto',
  ),
  S3_PART_SIZE_BYTES: withDefault(integer(5 * MiB, 5 * GiB), 10 * MiB),
  S3_QUEUE_SIZE: withDefault(integer(1, 64), 4),
  S3_RETRY_DELAY_MS: withDefault(integer(1, 60_000), 500),
  S3_ANSWER_TIMEOUT_MS: withDefault(integer(50, 600_000), 60_000),

  TRANSFER_CONCURRENCY: withDefault(integer(1, 256), 16),
  TRANSFER_CONCURRENCY_PER_HOST: withDefault(integer(1, 256), 4),
  TRANSFER_CONCURRENCY_PER_HOST_OVERALL: withDefault(integer(0, 100_000), 0),
  TRANSFER_SLOW_BYTES_PER_SECOND: withDefault(integer(0, GiB), 256 * 1024),
  TRANSFER_MEMORY_BYTES: withDefault(integer(5 * MiB, 64 * GiB), 256 * MiB),
  TRANSFER_LEASE_SECONDS: withDefault(integer(3, 3_600), 30),
  TRANSFER_WORKER: withDefault(z.enum(WORKER_MODES, { error: `must be one of ${WORKER_MODES.join(', ')}` }), 'all'),
  TRANSFER_POLL_MS: withDefault(integer(100, 86_400_000), 1_000),
  TRANSFER_RECOVERY_SECONDS: withDefault(integer(1, 86_400), 5),
  TRANSFER_CONCURRENCY_PER_WORKSPACE: withDefault(integer(1, 256), 8),
  WORKSPACE_FILES_PER_DAY: withDefault(integer(0, 1_000_000_000), 0),
  WORKSPACE_BYTES_PER_DAY: withDefault(integer(0, Number.MAX_SAFE_INTEGER), 0),
  TRANSFER_MAX_ATTEMPTS: withDefault(integer(1, 100), 5),
  TRANSFER_MAX_CRASHES: withDefault(integer(1, 100), 5),
  TRANSFER_RETRY_DELAY_SECONDS: withDefault(integer(1, 3_600), 10),
  PURGE_INTERVAL_SECONDS: withDefault(integer(1, 86_400), 15),
  DELETED_RETENTION_DAYS: withDefault(integer(0, 36_500), 30),
  TOMBSTONE_RETENTION_DAYS: withDefault(integer(1, 36_500), 365),

  EVENT_POLL_MS: withDefault(integer(10, 600_000), 1_000),
  EVENT_RETENTION_DAYS: withDefault(integer(1, 3_650), 30),
  WEBHOOK_TIMEOUT_MS: withDefault(integer(100, 60_000), 10_000),

  SOURCE_ALLOW_HTTP: withDefault(flag, true),
  SOURCE_ALLOWED_ADDRESSES: cidrList,
  SOURCE_DENIED_ADDRESSES: cidrList,
  SOURCE_ALLOWED_HOSTS: hostList,
  SOURCE_DENIED_HOSTS: hostList,
  SOURCE_NAT64_PREFIXES: nat64PrefixList,
  SOURCE_LOOKUP_CONCURRENCY: withDefault(integer(1, 64), 1),
  SOURCE_MAX_BYTES: withDefault(integer(1, 5 * 1024 * GiB), 5 * 1024 * GiB),
  SOURCE_MAX_REDIRECTS: withDefault(integer(0, 20), 5),
  SOURCE_HEADERS_TIMEOUT_MS: withDefault(integer(10, 600_000), 30_000),
  SOURCE_STALL_TIMEOUT_MS: withDefault(integer(10, 600_000), 30_000),
  SOURCE_DEADLINE_SECONDS: withDefault(integer(1, 604_800), 86_400),
  SOURCE_MIN_BYTES_PER_SECOND: withDefault(integer(0, GiB), 1_024),
  SOURCE_MIN_RATE_WINDOW_SECONDS: withDefault(integer(1, 3_600), 60),
  SOURCE_MAX_BYTES_PER_SECOND: optional(integer(64 * 1024, 1024 * GiB)),
  SOURCE_MAX_CONNECTIONS: withDefault(integer(1, 8), 8),
  SOURCE_MAX_RETRIES: withDefault(integer(0, 100), 6),
  SOURCE_RETRY_DELAY_MS: withDefault(integer(1, 60_000), 250),
});

/** Names of all variables of the schema. */
export const ENVIRONMENT_VARIABLES: readonly string[] = Object.keys(environmentSchema.shape);

export type Environment = Readonly<z.output<typeof environmentSchema>>;

/** Injection token of the checked variables. */
export const ENVIRONMENT = Symbol('ENVIRONMENT');

/** The variables do not fit the schema. `problems` has one line a key; none holds a value, which may be a secret. */
export class EnvironmentError extends Error {
  override readonly name = 'EnvironmentError';

  constructor(readonly problems: readonly string[]) {
    super(
      `The environment has ${problems.length === 1 ? 'a wrong variable' : `${problems.length} wrong variables`}:\n${problems.map((problem) => `  ${problem}`).join('\n')}`,
    );
  }
}

/**
 * Checks all variables at once.
 *
 * @throws EnvironmentError with every wrong key, never a value
 */
export function readEnvironment(variables: NodeJS.ProcessEnv): Environment {
  const result = environmentSchema.safeParse(variables);
  const problems = [
    ...(result.error?.issues ?? []).map((issue) => `${String(issue.path[0])} ${issue.message}`),
    ...findMissingNeighbours(variables),
  ];
  if (result.success && problems.length === 0) return Object.freeze(result.data);
  throw new EnvironmentError(problems);
}

/** Rules between variables. They read the raw variables, so that one wrong value does not hide what else is missing. */
function findMissingNeighbours(variables: NodeJS.ProcessEnv): string[] {
  const isSet = (key: string) => (variables[key] ?? '') !== '';
  const problems: string[] = [];
  if (!isSet('AUTH_JWT_SECRET') && !isSet('AUTH_JWKS_URL')) {
    problems.push('AUTH_JWT_SECRET or AUTH_JWKS_URL must be set: one of them verifies bearer tokens');
  }
  if (Number(variables.S3_PART_SIZE_BYTES || 10 * MiB) > Number(variables.TRANSFER_MEMORY_BYTES || 256 * MiB)) {
    problems.push('TRANSFER_MEMORY_BYTES must hold at least one part of S3_PART_SIZE_BYTES');
  }
  if (!isSet('S3_ENDPOINT')) return problems;
  for (const key of ['S3_REGION', 'S3_BUCKET']) {
    if (!isSet(key)) problems.push(`${key} must be set when S3_ENDPOINT is set`);
  }
  if (!isSet('DATA_ENCRYPTION_KEY')) {
    problems.push('DATA_ENCRYPTION_KEY must be set when S3_ENDPOINT is set: `openssl rand -base64 32` makes one');
  }
  if (isSet('S3_ACCESS_KEY_ID') !== isSet('S3_SECRET_ACCESS_KEY')) {
    const missing = isSet('S3_ACCESS_KEY_ID') ? 'S3_SECRET_ACCESS_KEY' : 'S3_ACCESS_KEY_ID';
    problems.push(`${missing} must be set too; leave out both keys to use the SDK's own credential chain`);
  }
  if (isSet('S3_SESSION_TOKEN') && !isSet('S3_ACCESS_KEY_ID')) {
    problems.push('S3_SESSION_TOKEN needs S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY');
  }
  return problems;
}
