import { S3Service } from '../storage/s3.service.js';
import { StorageError } from '../storage/storage.errors.js';
import { CliError } from './cli-error.js';
import type { CommandContext } from './command-context.js';
import { compareCorsRules, readCorsRules, withWebPort } from './cors-rules.js';
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
    const rules = withWebPort(await readCorsRules('dev'), context.settings.webPort);
    if (foundation.store === 'own') {
      await assertBucketReady(s3, context.interruption);
      return { bucket: s3.getDefaultBucket(), notes: await compareCors(s3, rules) };
    }
    await s3.createBucketIfAbsent();
    await s3.putBucketCors(rules);
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

async function compareCors(s3: S3Service, rules: Awaited<ReturnType<typeof readCorsRules>>): Promise<string[]> {
  try {
    const differences = compareCorsRules(rules, await s3.getBucketCors());
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
