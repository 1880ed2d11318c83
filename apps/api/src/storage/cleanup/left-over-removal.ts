import { Inject, Injectable } from '@nestjs/common';
import { StorageError } from '../storage.errors.js';
import { STORAGE_OPTIONS, type StorageOptions } from '../storage.options.js';
import { LeaseKeeper } from '../transfer/lease-keeper.js';
import { TransferStateRepository } from '../transfer/transfer-state.repository.js';
import { type LeftOverPlace, LeftOvers } from '../upload/left-overs.js';
import { type PurgeEntry, PurgeRepository } from './purge.repository.js';

/** A request that was on its way when its sender gave up can still make an object: look again when it has had its time. */
const LATE_REQUEST_MS = 2 * 60_000;
/** The same for a Complete: Ceph holds on to one for ten minutes. */
const LATE_COMPLETE_MS = 11 * 60_000;

/**
 * 'over': nothing is left, and nothing can come. 'taken': the entry is another worker's now, or was ended.
 * `waitsFor`: who has the path, so that nothing was removed from it.
 */
export type RemovalOutcome = 'over' | 'taken' | { lookAgainInMs: number } | { waitsFor: string };

/** The right to remove what is at the path. `confirm` throws when it has been lost, and is asked before every removal. */
interface RemovalRight {
  signal: AbortSignal;
  /** Of the row, whose Complete may be under way: it has an entry of its own, which waits for that. */
  spared?: string | null;
  confirm(): Promise<void>;
}

/**
 * Removes what an entry tells of, as far as nobody else has the path: under the lease of the file's own row, or where
 * no row holds the path. Beside the row of another file, or of this one when it is DONE, the object is left alone.
 */
@Injectable()
export class LeftOverRemoval {
  constructor(
    private readonly purges: PurgeRepository,
    private readonly state: TransferStateRepository,
    private readonly leftOvers: LeftOvers,
    @Inject(STORAGE_OPTIONS) private readonly options: StorageOptions,
  ) {}

  /**
   * @throws StorageError of the store; TRANSFER_LOST when the path came into use meanwhile
   */
  async run(entry: PurgeEntry, signal: AbortSignal): Promise<RemovalOutcome> {
    const holder = await this.purges.findHolder(entry);
    switch (holder) {
      case null:
        return 'taken';
      case 'nobody':
        return await this.removeUnowned(entry, signal);
      case 'unfinished-file':
        return await this.removeUnderLease(entry, signal);
      case 'done-file':
      case 'another-file':
        return await this.discardBeside(entry, holder, signal);
      default:
        throw new Error(`unknown holder ${holder satisfies never}`);
    }
  }

  private async removeUnowned(entry: PurgeEntry, signal: AbortSignal): Promise<RemovalOutcome> {
    const confirm = async () => {
      if ((await this.purges.findHolder(entry)) !== 'nobody') throw lost(entry);
    };
    const isQuiet = await this.removeAll(entry, { signal, confirm });
    return isQuiet && !this.canComeLate(entry) ? 'over' : { lookAgainInMs: this.lateRequestMs };
  }

  private async removeUnderLease(entry: PurgeEntry, signal: AbortSignal): Promise<RemovalOutcome> {
    const claim = await this.state.claimForPurge(entry, this.options.leaseMs);
    if (claim === null) return { waitsFor: `a transfer of file ${entry.fileId} that is under way or to come` };
    const lease = new LeaseKeeper({ state: this.state, claim, leaseMs: this.options.leaseMs }, signal);
    try {
      const spared = claim.completing ? claim.uploadId : null;
      const right = { signal: lease.signal, spared, confirm: () => lease.confirm() };
      const isQuiet = await this.removeAll(entry, right);
      const isRowsOwn = claim.uploadId === entry.uploadId;
      const isReleased = await (isRowsOwn ? this.state.releaseCleaned(claim) : this.state.release(claim));
      if (!isReleased) throw lost(entry);
      if (isRowsOwn && claim.completing && claim.uploadId !== null) return { lookAgainInMs: LATE_COMPLETE_MS };
      const isPutPossible = entry.uploadId === null && entry.ageMs < LATE_REQUEST_MS;
      return isQuiet && !isPutPossible ? 'over' : { lookAgainInMs: LATE_REQUEST_MS };
    } catch (error) {
      await this.state.release(claim).catch(() => {}); // The first error counts; the lease runs out by itself.
      throw error;
    } finally {
      lease.end();
    }
  }

  /** Uploads at this path may be the holder's, but for the one that the entry names. */
  private async discardBeside(
    entry: PurgeEntry,
    holder: 'done-file' | 'another-file',
    signal: AbortSignal,
  ): Promise<RemovalOutcome> {
    const place = placeOf(entry, signal);
    if (entry.uploadId !== null) await this.leftOvers.discardUpload(place, entry.uploadId);
    else if ((await this.leftOvers.listUploads(place)).length > 0) {
      return {
        waitsFor: `the end of the uploads at ${entry.bucket}/${entry.path}, which may be those of the file there`,
      };
    }
    if (holder === 'done-file') return 'over';
    if (await this.leftOvers.hasObject(place)) {
      return { waitsFor: `another file that has ${entry.bucket}/${entry.path}` };
    }
    return this.canComeLate(entry) ? { lookAgainInMs: this.lateRequestMs } : 'over';
  }

  /** Whose row vanished may begin a request for as long as its lease would have lasted. */
  private get lateRequestMs(): number {
    return this.options.leaseMs + LATE_REQUEST_MS;
  }

  private canComeLate({ uploadId, ageMs }: PurgeEntry): boolean {
    return ageMs < (uploadId === null ? this.lateRequestMs : this.options.leaseMs + LATE_COMPLETE_MS);
  }

  /** True when there was nothing that could have come late. */
  private async removeAll(entry: PurgeEntry, { signal, spared, confirm }: RemovalRight): Promise<boolean> {
    const place = placeOf(entry, signal);
    // The object first: an Abort destroys the bytes under one whose Complete the store is not done with.
    const hasObject = await this.leftOvers.hasObject(place);
    if (hasObject) {
      await confirm();
      await this.leftOvers.removeObject(place);
    }
    const { uploadId } = entry;
    const listed = uploadId !== null ? [uploadId] : await this.leftOvers.listUploads(place);
    const uploads = listed.filter((listedId) => listedId === uploadId || listedId !== spared);
    for (const upload of uploads) {
      await confirm();
      signal.throwIfAborted();
      await this.leftOvers.discardUpload(place, upload);
    }
    return !hasObject && (uploadId !== null || uploads.length === 0);
  }
}

function placeOf({ bucket, path: key, fileId }: PurgeEntry, signal: AbortSignal): LeftOverPlace {
  return { bucket, key, fileId, signal };
}

function lost({ bucket, path }: PurgeEntry): StorageError {
  return new StorageError('TRANSFER_LOST', `${bucket}/${path} came into use while left-overs were removed from it`);
}
