import { Injectable } from '@nestjs/common';
import { FileRemoval } from './cleanup/file-removal.js';
import { StorageError } from './storage.errors.js';
import { type FileKey, StorageFileRepository } from './storage-file.repository.js';
import { RunningTransfers } from './transfer/running-transfers.js';

/** Takes a file away, and ends its transfer with it. */
@Injectable()
export class FileDeletion {
  constructor(
    private readonly files: StorageFileRepository,
    private readonly transfers: RunningTransfers,
    private readonly removal: FileRemoval,
  ) {}

  /** @throws StorageError FILE_BUSY when another process does not let go of the transfer; STORE_* */
  async delete({ id, workspaceId }: FileKey, isHard: boolean): Promise<void> {
    await this.files.softDelete({ id, workspaceId });
    await this.transfers.cancel(id, new StorageError('TRANSFER_CANCELLED', 'the file was deleted'));
    if (isHard) await this.removal.remove({ id, workspaceId });
  }
}
