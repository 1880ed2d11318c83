import { randomUUID } from 'node:crypto';
import type { INestApplicationContext } from '@nestjs/common';
import { FileTransferService } from '../storage/file-transfer.service.js';
import { BucketSettings } from '../storage/s3/bucket-settings.js';
import { S3Service } from '../storage/s3.service.js';
import { type StorageFile, StorageFileRepository } from '../storage/storage-file.repository.js';
import { formatBytes, formatSeconds } from './byte-text.js';
import type { CommandContext } from './command-context.js';
import { DevelopmentWorkspaceRepository } from './development-workspace.repository.js';
import { fileNameOf } from './file-name.js';
import { type Foundation, openFoundation } from './foundation.js';
import { migrateDatabase } from './migrate.command.js';
import { openSampleSource } from './sample-source.js';
import { openStorage } from './storage-context.js';
import { print, printFields, strong, warn } from './terminal.js';
import { showTransferProgress } from './transfer-progress.js';

interface TransferOptions {
  url?: string;
  path?: string;
  type: string;
  mimeType?: string;
  workspace?: string;
}

/**
 * One transfer from beginning to end. Ctrl-C cancels it: parts are removed and the row is FAILED.
 *
 * @throws StorageError as createAndTransfer does, after the clean-up
 */
export async function transfer(context: CommandContext, options: TransferOptions): Promise<void> {
  const { settings, interruption, opened } = context;
  const foundation = await openFoundation(context);
  if (foundation.database === 'embedded') await migrateDatabase(process.env.DATABASE_URL ?? '');
  const sourceUrl = options.url ?? (await openSampleSource(context)).url;
  const storage = await openStorage(context);
  opened.defer(() => storage.close());
  interruption.throwIfAborted();

  if (foundation.store === 'embedded') await storage.get(BucketSettings, { strict: false }).createIfAbsent();
  const workspaceId = options.workspace ?? (await settings.dataFolder.workspaceId());
  if (options.workspace === undefined) await storage.get(DevelopmentWorkspaceRepository).ensure(workspaceId);

  const transfers = storage.get(FileTransferService);
  const startedAt = performance.now();
  const progress = showTransferProgress();
  const path = options.path ?? `imports/${workspaceId}/${randomUUID()}/${fileNameOf(sourceUrl)}`;
  let file: StorageFile;
  try {
    file = await transfers.createAndTransfer(
      {
        sourceUrl,
        workspaceId,
        path,
        type: options.type,
        mimeType: options.mimeType ?? (options.url === undefined ? 'video/mp4' : undefined),
      },
      { onProgress: (now) => progress.update(now), signal: interruption },
    );
  } catch (error) {
    progress.stop();
    if (!interruption.aborted) throw error;
    await cancelAt(storage, { workspaceId, path });
    warn('Cancelled. The row is FAILED and its parts are removed.');
    throw interruption.reason;
  }
  progress.stop();
  printFile(file, (performance.now() - startedAt) / 1_000);
  const { url, expiresAt } = await transfers.presign(file);
  print();
  print(strong('Presigned URL'), `until ${expiresAt.toISOString()}${noteOf(foundation)}`);
  print(url);
}

async function cancelAt(
  storage: INestApplicationContext,
  { workspaceId, path }: { workspaceId: string; path: string },
): Promise<void> {
  const bucket = storage.get(S3Service).getDefaultBucket();
  const file = await storage.get(StorageFileRepository).findByPath({ workspaceId, bucket, path });
  if (file !== null) await storage.get(FileTransferService).cancelTransfer(file);
}

function printFile(file: StorageFile, seconds: number): void {
  const size = Number(file.size);
  printFields({
    id: file.id,
    status: file.transferStatus,
    bucket: file.bucket,
    path: file.path,
    type: file.type,
    'mime type': file.mimeType ?? 'unknown',
    size: `${file.size} bytes (${formatBytes(size)})`,
    'SHA-256': file.sha256 ?? 'unknown',
    took: `${formatSeconds(seconds)}, ${formatBytes(size / seconds)}/s`,
  });
}

function noteOf({ isStoreStaying }: Foundation): string {
  return isStoreStaying
    ? ''
    : '; the embedded store stops with this command, and `npx -y pnpm@12 start` brings it back';
}
