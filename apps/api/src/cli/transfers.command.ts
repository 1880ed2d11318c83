import { FileTransferService } from '../storage/file-transfer.service.js';
import { StorageError } from '../storage/storage.errors.js';
import { type StorageFile, StorageFileRepository } from '../storage/storage-file.repository.js';
import type { CommandContext } from './command-context.js';
import { openFoundation } from './foundation.js';
import { openStorage } from './storage-context.js';
import { printFields } from './terminal.js';

interface FileChoice {
  id: string;
  workspace?: string;
}

/** @throws StorageError FILE_NOT_FOUND, STORE_* */
export async function cancelTransfer(context: CommandContext, choice: FileChoice): Promise<void> {
  await withFile(context, choice, (transfers, file) => transfers.cancelTransfer(file));
}

/** @throws StorageError FILE_NOT_FOUND, SOURCE_LOST */
export async function retryTransfer(context: CommandContext, choice: FileChoice): Promise<void> {
  await withFile(context, choice, (transfers, file) => transfers.retryTransfer(file));
}

/** Prints what a workspace had of the present day. */
export async function printUsage(context: CommandContext, { workspace }: { workspace?: string }): Promise<void> {
  await openFoundation(context);
  const storage = await openStorage(context);
  context.opened.defer(() => storage.close());
  const workspaceId = workspace ?? (await context.settings.dataFolder.workspaceId());
  const { day, endsAt, ...usage } = await storage.get(FileTransferService).readUsage(workspaceId);
  const of = (used: number | null, limit: number | null) => `${used ?? 'not counted'}, of ${limit ?? 'any number'}`;
  printFields({
    workspace: workspaceId,
    day: `${day} (UTC), ends ${endsAt.toISOString()}`,
    files: of(usage.files, usage.filesPerDay),
    bytes: of(usage.bytes, usage.bytesPerDay),
  });
}

async function withFile(
  context: CommandContext,
  { id, workspace }: FileChoice,
  act: (transfers: FileTransferService, file: StorageFile) => Promise<StorageFile>,
): Promise<void> {
  await openFoundation(context);
  const storage = await openStorage(context);
  context.opened.defer(() => storage.close());
  const workspaceId = workspace ?? (await context.settings.dataFolder.workspaceId());
  const file = await storage.get(StorageFileRepository).findById({ workspaceId, id });
  if (file === null) throw new StorageError('FILE_NOT_FOUND', `there is no file ${id} in workspace ${workspaceId}`);
  const now = await act(storage.get(FileTransferService), file);
  printFields({ id: now.id, status: now.transferStatus, error: now.transferError ?? 'none', path: now.path });
}
