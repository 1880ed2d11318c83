import { S3Service } from '../storage/s3.service.js';
import { StorageError } from '../storage/storage.errors.js';
import { CliError } from './cli-error.js';
import type { CommandContext } from './command-context.js';
import { type CorsEnvironment, compareCorsRules, corsFileOf, readCorsRules } from './cors-rules.js';
import { openFoundation } from './foundation.js';
import { openStorage } from './storage-context.js';

interface CorsOptions {
  env: CorsEnvironment;
  bucket?: string;
}

/** @throws CliError EXAMPLE_ORIGIN; StorageError CORS_UNSUPPORTED and STORE_* */
export async function applyCors(context: CommandContext, options: CorsOptions): Promise<void> {
  const rules = await readCorsRules(options.env);
  const s3 = await openBucket(context, options);
  await explainUnsupported(s3.putBucketCors(rules, options.bucket));
  console.log(`${corsFileOf(options.env)} is applied to bucket ${options.bucket ?? s3.getDefaultBucket()}.`);
}

/** @throws CliError CORS_DIFFERS after each difference was printed; EXAMPLE_ORIGIN */
export async function verifyCors(context: CommandContext, options: CorsOptions): Promise<void> {
  const rules = await readCorsRules(options.env);
  const s3 = await openBucket(context, options);
  const differences = compareCorsRules(rules, await explainUnsupported(s3.getBucketCors(options.bucket)));
  const bucket = options.bucket ?? s3.getDefaultBucket();
  if (differences.length === 0) {
    console.log(`Bucket ${bucket} has the rules of ${corsFileOf(options.env)}.`);
    return;
  }
  for (const difference of differences) console.log(difference);
  throw new CliError(
    'CORS_DIFFERS',
    `bucket ${bucket} differs from ${corsFileOf(options.env)}; mend it with: pnpm storage cors apply --env ${options.env}${options.bucket ? ` --bucket ${options.bucket}` : ''}`,
  );
}

async function openBucket(context: CommandContext, { bucket }: CorsOptions): Promise<S3Service> {
  await openFoundation(context);
  // Named on the command line, so it is meant: calls of the API still see S3_ALLOWED_BUCKETS alone.
  if (bucket) process.env.S3_ALLOWED_BUCKETS = [process.env.S3_ALLOWED_BUCKETS, bucket].filter(Boolean).join(',');
  const storage = await openStorage(context);
  context.opened.defer(() => storage.close());
  return storage.get(S3Service);
}

async function explainUnsupported<Answer>(answer: Promise<Answer>): Promise<Answer> {
  try {
    return await answer;
  } catch (error) {
    if (!(error instanceof StorageError) || error.code !== 'CORS_UNSUPPORTED') throw error;
    throw new StorageError(
      'CORS_UNSUPPORTED',
      'this store has no CORS call in its S3 API; on OpenStack Swift set it as container metadata: infra/s3/README.md shows how',
      { cause: error },
    );
  }
}
