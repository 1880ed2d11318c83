import { Injectable } from '@nestjs/common';
import { StorageError } from '../storage.errors.js';
import { BucketReader, type ListedObject, type ListedUpload } from '../upload/bucket-reader.js';
import { isOwn, isTransferToken, ObjectProof, ownerOf } from '../upload/object-proof.js';
import { BucketWalk, type WalkedKey, type WalkOptions } from './bucket-walk.js';
import type { InvariantTally, Violation } from './invariant-tally.js';
import { InventoryRepository, type InventoryRow } from './inventory.repository.js';

/** Keys that are looked at side by side: each takes up to three requests. */
const KEYS_AT_ONCE = 16;

export interface BucketAuditOptions extends WalkOptions {
  /** Reads every object that has a SHA-256 in its row. */
  withHash?: boolean;
}

/** One bucket while it is held against its rows. */
interface Audited extends BucketAuditOptions {
  tally: InventoryTally;
}

type InventoryTally = Pick<InvariantTally, 'check' | 'breach' | 'foreignObjects'>;

/**
 * Holds a bucket against its rows. Both may change meanwhile: what looks wrong is looked at again, and counts only when
 * the row has stayed the same around the look at the store.
 */
@Injectable()
export class BucketAudit {
  constructor(
    private readonly walk: BucketWalk,
    private readonly inventory: InventoryRepository,
    private readonly reader: BucketReader,
    private readonly proof: ObjectProof,
  ) {}

  /** Memory: a page of the store's list, one of rows, and KEYS_AT_ONCE objects on their way. */
  async run(tally: InventoryTally, options: BucketAuditOptions): Promise<void> {
    const audited = { ...options, tally };
    let lastPath: string | undefined;
    let group: WalkedKey[] = [];
    const examineGroup = () => Promise.all(group.map((walked) => this.examine(walked, audited)));
    for await (const walked of this.walk.keys(options)) {
      if (walked.row !== undefined) {
        tally.check('path');
        if (walked.row.path === lastPath) tally.breach(of(walked.row, 'path', 'another row has the same path'));
        lastPath = walked.row.path;
      }
      group.push(walked);
      if (group.length < KEYS_AT_ONCE) continue;
      await examineGroup();
      group = [];
    }
    await examineGroup();
    for await (const upload of this.reader.listUploads(options)) await this.examineUpload(upload, audited);
  }

  private async examine({ row, object }: WalkedKey, audited: Audited): Promise<void> {
    if (row !== undefined) {
      await this.examineOwner(row, audited);
      if (row.transferStatus === 'DONE') return await this.examineDone(row, audited);
      if (object !== undefined) await this.examineUnfinished(row, audited);
      else if (row.transferStatus === 'FAILED') audited.tally.check('failed');
    } else if (object !== undefined) {
      await this.examineUnowned(object, audited);
    }
  }

  private async examineOwner(row: InventoryRow, audited: Audited): Promise<void> {
    const { tally } = audited;
    tally.check('owner');
    if (row.isLeaseBroken) tally.breach(of(row, 'owner', 'half of a lease, or one of a DONE row'));
    if (row.transferStatus !== 'PENDING' && row.transferStatus !== 'TRANSFERRING') return;
    tally.check('waiting');
    // Its job may have been taken between the look at the row and the one at the queue.
    if (row.isStuck) await this.breachIfSame(row, 'waiting', `${row.transferStatus}, and nobody comes for it`, audited);
  }

  private async examineDone(row: InventoryRow, audited: Audited): Promise<void> {
    audited.tally.check('done');
    const what = await this.findFaultOfObject(row, audited);
    if (what !== undefined) await this.breachIfSame(row, 'done', what, audited);
  }

  /** What is wrong with the object of a DONE row. */
  private async findFaultOfObject(
    row: InventoryRow,
    { bucket, withHash, signal }: Audited,
  ): Promise<string | undefined> {
    const place = { bucket, key: row.path };
    const found = await this.proof.findPatiently(place, 'look at');
    if (found === undefined) return 'no object';
    const isMade = row.attempts > 0; // By a transfer: other rows may say no size, and their objects carry no token.
    const isSized = isMade || row.size !== null;
    if (isSized && BigInt(found.size) !== row.size)
      return `the object has ${found.size} bytes, the row says ${row.size}`;
    if (isMade && !isOwn(found, row.id)) return 'the object carries the token of another';
    if (withHash !== true || row.sha256 === null) {
      return (await this.proof.isReadable(place, found.size)) ? undefined : 'the object cannot be read';
    }
    try {
      const sha256 = await this.reader.sha256(place, signal);
      return sha256 === row.sha256 ? undefined : `the object has SHA-256 ${sha256}, the row says ${row.sha256}`;
    } catch (error) {
      if (error instanceof StorageError && error.code === 'OBJECT_NOT_FOUND') return 'the object cannot be read';
      throw error;
    }
  }

  /** A key with an object whose row is not DONE. */
  private async examineUnfinished(row: InventoryRow, audited: Audited): Promise<void> {
    const { bucket, tally } = audited;
    const isFailed = row.transferStatus === 'FAILED';
    tally.check(isFailed ? 'failed' : 'orphan');
    const found = await this.proof.findPatiently({ bucket, key: row.path }, 'look at');
    if (found === undefined || !isTransferToken(found.token)) return;
    if (isOwn(found, row.id)) {
      if (isFailed && !row.isNoted && !row.isLeased)
        await this.breachIfSame(row, 'failed', 'an object is left', audited);
    } else if (!(await this.inventory.isObjectNoted({ bucket, key: row.path, fileId: ownerOf(found.token) }))) {
      await this.breachIfSame(row, 'orphan', 'an object of another file has the path', audited);
    }
  }

  private async examineUnowned({ key }: ListedObject, { bucket, graceMs, tally }: Audited): Promise<void> {
    tally.check('orphan');
    const found = await this.proof.findPatiently({ bucket, key }, 'look at');
    if (found === undefined) return;
    if (!isTransferToken(found.token)) {
      tally.foreignObjects += 1;
      return;
    }
    const fileId = ownerOf(found.token);
    if ((await this.inventory.findRowAt({ bucket, path: key }, graceMs)) !== null) return;
    if (await this.inventory.isObjectNoted({ bucket, key, fileId })) return;
    if (!(await this.exists(bucket, key))) return;
    if (await this.inventory.wasRemoved(fileId)) {
      tally.breach({ rule: 'deleted', fileId, key, what: 'the file was deleted for good, and its object is there' });
    } else {
      tally.breach({ rule: 'orphan', fileId, key, what: 'an object without row and purge entry' });
    }
  }

  private async examineUpload(upload: ListedUpload, audited: Audited): Promise<void> {
    const { bucket, key, uploadId, begunAt } = upload;
    const { graceMs, tally, signal } = audited;
    tally.check('orphan');
    if (await this.inventory.isUploadNoted(upload)) return;
    const row = await this.inventory.findRowAt({ bucket, path: key }, graceMs);
    if (row?.isLeased === true) return;
    const isFailed = row?.transferStatus === 'FAILED';
    if (row?.uploadId === uploadId && !isFailed) return; // Its next owner goes on with it, or aborts it.
    if (!isFailed && begunAt !== null && begunAt.getTime() > Date.now() - graceMs) return;
    for await (const { uploadId: stillThere } of this.reader.listUploads({ bucket, key, signal })) {
      if (stillThere !== uploadId) continue;
      if (row !== null && isFailed)
        return await this.breachIfSame(row, 'failed', 'parts of an upload are left', audited);
      // Not left: the object's own, which the store shows although it has carried out its Complete.
      if (row?.transferStatus === 'DONE' && (await this.proof.isMadeOf(upload, signal))) return;
      const beside =
        row === null ? 'without row and purge entry' : `beside a ${row.transferStatus} row that does not know it`;
      tally.breach({ rule: 'orphan', key, ...(row !== null ? { fileId: row.id } : {}), what: `an upload ${beside}` });
      return;
    }
  }

  /** Counts it unless the row went on meanwhile: then what was seen belonged to another moment. */
  private async breachIfSame(
    row: InventoryRow,
    rule: Violation['rule'],
    what: string,
    audited: Audited,
  ): Promise<void> {
    if (await this.inventory.hasStayed(row, audited.graceMs)) audited.tally.breach(of(row, rule, what));
  }

  private async exists(bucket: string, key: string): Promise<boolean> {
    return (await this.proof.findPatiently({ bucket, key }, 'look at')) !== undefined;
  }
}

function of({ id, path }: InventoryRow, rule: Violation['rule'], what: string): Violation {
  return { rule, fileId: id, key: path, what };
}
