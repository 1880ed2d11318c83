import { setTimeout as sleep } from 'node:timers/promises';
import { Inject, Injectable } from '@nestjs/common';
import { isTransferLost, StorageError } from '../storage.errors.js';
import { STORAGE_OPTIONS, type StorageOptions } from '../storage.options.js';
import { type FileKey, type StorageFile, StorageFileRepository } from '../storage-file.repository.js';
import { LeaseKeeper, transferLost } from '../transfer/lease-keeper.js';
import { type RemovalClaim, TransferStateRepository } from '../transfer/transfer-state.repository.js';
import { ObjectCleaner } from '../upload/object-cleaner.js';

/** How often a file is asked for whose transfer another process has to end first, in ms. */
const CLAIM_POLL_MS = 500;
const NEVER = new AbortController().signal;

/** Removes a soft-deleted file for good: object, parts, and then the row, which frees its path. */
@Injectable()
export class FileRemoval {
  constructor(
    private readonly files: StorageFileRepository,
    private readonly state: TransferStateRepository,
    private readonly cleaner: ObjectCleaner,
    @Inject(STORAGE_OPTIONS) private readonly options: StorageOptions,
  ) {}

  /** @throws StorageError FILE_BUSY when another process does not let go of the file, or the store keeps it; STORE_* */
  async remove(file: FileKey): Promise<void> {
    const { leaseMs } = this.options;
    const giveUpAt = performance.now() + leaseMs * 2;
    for (;;) {
      const claim = await this.state.claimForRemoval(file, leaseMs);
      const row = await this.files.findById(file);
      if (row === null) return;
      if (claim !== null) return await this.removeClaimed(claim, row);
      if (performance.now() > giveUpAt) {
        throw new StorageError('FILE_BUSY', `file ${file.id} is still being transferred by another process`);
      }
      await sleep(CLAIM_POLL_MS);
    }
  }

  /** The same for one who holds the claim already. */
  async removeClaimed(
    claim: RemovalClaim,
    { id, bucket, path: key }: Pick<StorageFile, 'id' | 'bucket' | 'path'>,
  ): Promise<void> {
    // Kept, because a slow store can take longer than a lease: the row may then be restored and its path written to.
    const lease = new LeaseKeeper({ state: this.state, claim, leaseMs: this.options.leaseMs }, NEVER);
    try {
      const removal = { signal: lease.signal, assertOwned: () => lease.assertHeld() };
      if (claim.wasDone) await this.cleaner.removeObject({ bucket, key }, removal);
      else await this.cleaner.removeOwn({ bucket, key }, id, removal);
      await lease.confirm();
      const { uploadId } = claim;
      if (uploadId !== null && !(await this.cleaner.discardParts({ bucket, key, uploadId }))) {
        throw new StorageError('FILE_BUSY', `parts of file ${id} cannot be discarded now; delete it again later`);
      }
      await this.cleaner.assertObjectGone({ bucket, key }, claim.wasDone ? undefined : id);
      if (!(await this.state.remove(claim))) throw transferLost(claim);
    } catch (error) {
      await this.state.release(claim).catch(() => {}); // The first error counts; the lease runs out by itself.
      if (!isTransferLost(error)) throw error;
      const message = `file ${id} was taken over while it was removed; delete it again`;
      throw new StorageError('FILE_BUSY', message, { cause: error });
    } finally {
      lease.end();
    }
  }
}
