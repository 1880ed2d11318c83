import { BucketSettings } from '../storage/s3/bucket-settings.js';
import { S3Service } from '../storage/s3.service.js';
import { StorageError } from '../storage/storage.errors.js';
import { CliError } from './cli-error.js';
import type { CommandContext } from './command-context.js';
import { type CorsRule, compareCorsRules, readCorsRules, withWebPort } from './cors-rules.js';
import { DevelopmentWorkspaceRepository } from './development-workspace.repository.js';
import type { Foundation } from './foundation.js';
import { openStorage } from './storage-context.js';

/**
 * Makes sure that the development workspace and the bucket are there. The embedded bucket is made, with the CORS rules
 * of development; one that is not ours is only looked at, and the notes say what differs and what would mend it.
 *
 * @throws CliError BUCKET_NOT_READY with the command that makes the bucket
 */
export async function prepareStorage(
  context: CommandContext,
  foundation: Foundation,
  workspaceId: string,
): Promise<{ bucket: string; notes: string[] }> {
  const storage = await openStorage(context);
  try {
    await storage.get(DevelopmentWorkspaceRepository).ensure(workspaceId);
    const s3 = storage.get(S3Service);
    const settings = storage.get(BucketSettings, { strict: false });
    const rules = withWebPort(await readCorsRules('dev'), context.settings.webPort);
    if (foundation.store === 'own') {
      await assertBucketReady(s3, context.interruption);
      return {
        bucket: s3.getDefaultBucket(),
        notes: [...(await compareCors(settings, rules)), ...(await compareLifecycle(settings))],
      };
    }
    await settings.createIfAbsent();
    await settings.writeCors(rules);
    return { bucket: s3.getDefaultBucket(), notes: [] };
  } finally {
    await storage.close();
  }
}

async function assertBucketReady(s3: S3Service, interruption: AbortSignal): Promise<void> {
  try {
    await s3.checkBucket(interruption);
  } catch (cause) {
    if (!(cause instanceof StorageError) || cause.code !== 'BUCKET_NOT_FOUND') throw cause;
    throw new CliError(
      'BUCKET_NOT_READY',
      `${cause.message}; make it with: aws s3api create-bucket --bucket ${s3.getDefaultBucket()} --endpoint-url ${process.env.S3_ENDPOINT}`,
      { cause },
    );
  }
}

async function compareCors(settings: BucketSettings, rules: CorsRule[]): Promise<string[]> {
  try {
    const differences = compareCorsRules(rules, await settings.readCors());
    if (differences.length === 0) return [];
    return [
      'CORS of the bucket differs from infra/s3/cors-dev.json, so a web page may not show the video:',
      ...differences.map((difference) => `  ${difference}`),
      '  nothing was changed; mend it with: pnpm storage cors apply --env dev',
    ];
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    if (error.code === 'CORS_UNSUPPORTED') {
      return ['this store has no CORS call; infra/s3/README.md shows how to allow a web page on OpenStack Swift'];
    }
    // A key that may read and write objects need not be allowed to read the bucket's settings.
    return [
      `CORS of the bucket could not be read (${error.code}); compare it with: pnpm storage cors verify --env dev`,
    ];
  }
}

/** A net below the product's own clean-up, where the store has one that is safe; pnpm storage doctor tells more. */
async function compareLifecycle(settings: BucketSettings): Promise<string[]> {
  try {
    const rules = await settings.readLifecycle();
    if (rules.some(({ AbortIncompleteMultipartUpload: abort }) => abort !== undefined)) return [];
    return ['the bucket has no rule for stale uploads; infra/s3/README.md says where one is safe, and how to set it'];
  } catch (error) {
    if (error instanceof StorageError) return []; // No such call, or no right to it: nothing that a start needs.
    throw error;
  }
}
