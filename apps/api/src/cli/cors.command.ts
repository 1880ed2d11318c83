import { BucketSettings } from '../storage/s3/bucket-settings.js';
import { S3Service } from '../storage/s3.service.js';
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
  const { settings, bucket } = await openBucket(context, options);
  await settings.writeCors(rules, bucket);
  console.log(`${corsFileOf(options.env)} is applied to bucket ${bucket}.`);
}

/** @throws CliError CORS_DIFFERS after each difference was printed; EXAMPLE_ORIGIN */
export async function verifyCors(context: CommandContext, options: CorsOptions): Promise<void> {
  const rules = await readCorsRules(options.env);
  const { settings, bucket } = await openBucket(context, options);
  const differences = compareCorsRules(rules, await settings.readCors(bucket));
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

/** The bucket named on the command line is meant: only calls of the API are held to S3_ALLOWED_BUCKETS. */
async function openBucket(
  context: CommandContext,
  options: CorsOptions,
): Promise<{ settings: BucketSettings; bucket: string }> {
  await openFoundation(context);
  const storage = await openStorage(context);
  context.opened.defer(() => storage.close());
  const bucket = options.bucket ?? storage.get(S3Service).getDefaultBucket();
  return { settings: storage.get(BucketSettings, { strict: false }), bucket };
}
