import { Inject, Injectable } from '@nestjs/common';
import { PrismaService } from '../../prisma/prisma.service.js';
import { STORAGE_OPTIONS, type StorageOptions } from '../storage.options.js';
import type { StorageFile } from '../storage-file.repository.js';
import { TransferQueue, ticketOf } from './transfer-queue.js';
import { IS_UNLEASED } from './transfer-state.repository.js';

/** After which a transfer whose host is full is looked at again, in ms; up to as much again, so that not all come at once. */
const FULL_HOST_DELAY_MS = 1_000;

/**
 * Holds all processes together to a number of transfers that read from one host. In PostgreSQL: a place is in use while
 * its file is leased, so that one whose process died is free when the lease has run out. Asks nothing where no number is set.
 */
@Injectable()
export class HostPlaceRepository {
  constructor(
    private readonly prisma: PrismaService,
    private readonly queue: TransferQueue,
    @Inject(STORAGE_OPTIONS) private readonly options: Pick<StorageOptions, 'transferConcurrencyPerHostOverall'>,
  ) {}

  /**
   * Runs `task` in a place of the host. Where there is none it is not run, and the file's ticket comes back shortly:
   * that is no try.
   */
  async within(file: StorageFile, host: string | null, task: () => Promise<void>): Promise<void> {
    const places = this.options.transferConcurrencyPerHostOverall;
    // One that is to end reads from no host.
    if (places === 0 || host === null || file.cancelRequestedAt !== null) return await task();
    const owner = await this.take(file.id, host, places);
    if (owner === null) {
      const delayMs = FULL_HOST_DELAY_MS * (1 + Math.random());
      return await this.queue.sendAgain(this.prisma.client, ticketOf(file, delayMs));
    }
    try {
      await task();
    } finally {
      await this.giveBack(file.id, owner).catch(() => {}); // It ends with the lease.
    }
  }

  private async take(fileId: string, host: string, places: number): Promise<string | null> {
    const [taken] = await this.prisma.client.$queryRaw<{ owner: string | null }[]>`
      SELECT core_storage_take_host_place(${fileId}::uuid, ${host}, ${places}::int) AS owner`;
    return taken?.owner ?? null;
  }

  /**
   * One that another process took over with the file is left to it, and so is that of a file under way elsewhere: whoever
   * comes to that asks for its place too, before the claim says that it is not to be had.
   */
  private async giveBack(fileId: string, owner: string): Promise<void> {
    await this.prisma.client.$executeRaw`
      DELETE FROM core_storage_host_place AS place
      WHERE place.file_id = ${fileId}::uuid AND place.owner = ${owner}::uuid
        AND NOT EXISTS (SELECT FROM core_storage_file AS file WHERE file.id = place.file_id AND NOT ${IS_UNLEASED})`;
  }
}
