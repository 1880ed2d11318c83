import { Injectable } from '@nestjs/common';
import { StorageError } from '../storage.errors.js';
import { type StorageFile, StorageFileRepository } from '../storage-file.repository.js';
import { RunningTransfers } from './running-transfers.js';
import { TransferStateRepository } from './transfer-state.repository.js';
import { TransferWorker } from './transfer-worker.js';

/** What a person says to a transfer, in whatever process it runs. Both give the row as it is then. */
@Injectable()
export class TransferControl {
  constructor(
    private readonly files: StorageFileRepository,
    private readonly state: TransferStateRepository,
    private readonly transfers: RunningTransfers,
    private readonly worker: TransferWorker,
  ) {}

  async cancel(file: StorageFile): Promise<StorageFile> {
    if (await this.state.requestCancel(file)) await this.end(file);
    return await this.reread(file);
  }

  /** @throws StorageError SOURCE_LOST where the row keeps no source */
  async retry(file: StorageFile): Promise<StorageFile> {
    if (file.sourceSealed === null) {
      if (file.transferStatus !== 'FAILED') return await this.reread(file); // A stream that waits is in its own process.
      throw new StorageError('SOURCE_LOST', `nothing says any more where file ${file.id} comes from`);
    }
    const reopened = await this.state.reopen(file, { delayMs: 0 });
    this.worker.poke();
    return reopened ?? (await this.reread(file));
  }

  /** Here at once; where another process runs it, that one reads the request with its next renewal. */
  private async end(file: StorageFile): Promise<void> {
    await this.transfers.cancel(file.id, new StorageError('TRANSFER_CANCELLED', 'the transfer was cancelled'));
    const now = await this.reread(file);
    if (now.transferStatus === 'PENDING') await this.transfers.run(now).catch(() => {}); // It ends as cancelled.
  }

  private async reread({ id, workspaceId }: StorageFile): Promise<StorageFile> {
    const file = await this.files.findById({ id, workspaceId });
    if (file === null) throw new StorageError('FILE_NOT_FOUND', `there is no file ${id} any more`);
    return file;
  }
}
