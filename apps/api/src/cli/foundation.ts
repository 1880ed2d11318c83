import { startLocalStack } from '@s3-transfer/local-stack';
import { CliError } from './cli-error.js';
import type { CommandContext } from './command-context.js';
import { describeConnection, type EmbeddedServers, findRunningProduct } from './running-product.js';

/** `embedded`: ours, with its data in the data folder. `own`: the user's, named by DATABASE_URL or S3_ENDPOINT. */
export type ServerOrigin = 'embedded' | 'own';

/** What a run of the product stands on. Its addresses and keys are in process.env. */
export interface Foundation {
  readonly database: ServerOrigin;
  readonly store: ServerOrigin;
  /** For people: host and port, without a secret. */
  readonly databaseAddress: string;
  readonly storeAddress: string;
  readonly embedded: EmbeddedServers;
  /** Whether the store still runs when this command has ended. */
  readonly isStoreStaying: boolean;
}

/** Wished ports: the same every day, so that a presigned URL of yesterday still works. A taken one is replaced. */
const PORTS = { postgres: 54_329, s3: 9_199 };
const BUCKET = 'files';

/**
 * Fills in process.env what the product needs and the user did not set: an embedded PostgreSQL for DATABASE_URL, an
 * embedded store for S3_ENDPOINT, secrets for AUTH_JWT_SECRET and DATA_ENCRYPTION_KEY, the web page's origins. Embedded servers are stopped
 * with `context.opened`, the store before the database. Where `start` runs on the same data folder, its servers are used.
 *
 * @throws CliError LOCAL_SERVER_FAILED with one line that says what to do
 */
export async function openFoundation(context: CommandContext): Promise<Foundation> {
  const { dataFolder, webPort } = context.settings;
  const database: ServerOrigin = isSet('DATABASE_URL') ? 'own' : 'embedded';
  const store: ServerOrigin = isSet('S3_ENDPOINT') ? 'own' : 'embedded';
  const running = await findRunningProduct(dataFolder);
  const started = await startEmbedded(context, {
    withPostgres: database === 'embedded' && running?.embedded.database === undefined,
    withS3: store === 'embedded' && running?.embedded.store === undefined,
  });
  context.interruption.throwIfAborted();

  const embedded: EmbeddedServers = { ...running?.embedded, ...started };
  if (database === 'embedded') Object.assign(process.env, embedded.database);
  if (store === 'embedded') Object.assign(process.env, embedded.store);
  if (!isSet('AUTH_JWT_SECRET') && !isSet('AUTH_JWKS_URL')) process.env.AUTH_JWT_SECRET = await dataFolder.jwtSecret();
  if (!isSet('DATA_ENCRYPTION_KEY')) process.env.DATA_ENCRYPTION_KEY = await dataFolder.encryptionKey();
  if (!isSet('WEB_ORIGINS')) process.env.WEB_ORIGINS = `http://localhost:${webPort},http://127.0.0.1:${webPort}`;
  return {
    database,
    store,
    databaseAddress: describeConnection(process.env.DATABASE_URL),
    storeAddress: process.env.S3_ENDPOINT ?? '',
    embedded,
    isStoreStaying: started.store === undefined,
  };
}

/** `KEY=` means "not set", as in config/env.ts. */
function isSet(key: string): boolean {
  return (process.env[key] ?? '') !== '';
}

async function startEmbedded(
  { settings, opened }: CommandContext,
  parts: { withPostgres: boolean; withS3: boolean },
): Promise<EmbeddedServers> {
  const { postgres, s3, stop } = await startLocalStack({
    ...parts,
    dataDir: settings.dataFolder.path,
    ports: PORTS,
    withSample: false,
  }).catch((cause: unknown) => {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CliError('LOCAL_SERVER_FAILED', reason, { cause });
  });
  opened.defer(stop);
  return {
    ...(postgres && { database: { DATABASE_URL: postgres.url } }),
    ...(s3 && {
      store: {
        S3_ENDPOINT: s3.endpoint,
        S3_REGION: s3.region,
        S3_ACCESS_KEY_ID: s3.accessKeyId,
        S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
        S3_BUCKET: process.env.S3_BUCKET || BUCKET,
      },
    }),
  };
}
