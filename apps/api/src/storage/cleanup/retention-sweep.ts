import { Inject, Injectable, Logger } from '@nestjs/common';
import { STORAGE_OPTIONS, type StorageOptions } from '../storage.options.js';
import { FileRemoval } from './file-removal.js';
import { type ExpiredPosition, RetentionRepository } from './retention.repository.js';

/** Removals of one round: left-overs and transfers of this process have their turn in between. */
const FILES_PER_ROUND = 100;
/** More than rounds of removals can bring. */
const TOMBSTONES_PER_ROUND = 1_000;
/** For which it is known what a workspace had of each day. */
const USAGE_DAYS = 31;
const USAGES_PER_ROUND = 1_000;

/** Removes deleted files for good when nobody can want them back any more, the longest deleted first. */
@Injectable()
export class RetentionSweep {
  private readonly logger = new Logger(RetentionSweep.name);
  /** Where the round before ended: files that the store keeps are passed by, and tried again when all others are gone. */
  private after: ExpiredPosition | null = null;

  constructor(
    private readonly retention: RetentionRepository,
    private readonly removal: FileRemoval,
    @Inject(STORAGE_OPTIONS) private readonly options: StorageOptions,
  ) {}

  /** One round. Several processes may run one: no file is removed by two. Resolves to the number of removed files. */
  async run(signal: AbortSignal): Promise<number> {
    const { deletedRetentionDays: retentionDays, tombstoneRetentionDays, leaseMs } = this.options;
    await this.retention.forgetRemoved(tombstoneRetentionDays, TOMBSTONES_PER_ROUND);
    await this.retention.forgetUsage(USAGE_DAYS, USAGES_PER_ROUND);
    let removed = 0;
    for (let taken = 0; taken < FILES_PER_ROUND && !signal.aborted; taken += 1) {
      const file = await this.retention.takeExpired({ retentionDays, leaseMs, after: this.after });
      this.after = file;
      if (file === null) break;
      try {
        await this.removal.removeClaimed(file, file);
        removed += 1;
      } catch (error) {
        this.logger.warn({ err: error, fileId: file.id }, 'a deleted file could not be removed; it is done again');
      }
    }
    return removed;
  }
}
