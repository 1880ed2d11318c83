import { Injectable } from '@nestjs/common';
import { StorageError } from '../storage.errors.js';
import { BucketReader, type ListedObject, type ListedUpload } from '../upload/bucket-reader.js';
import { isTransferToken, ObjectProof, ownerOf } from '../upload/object-proof.js';
import { BucketWalk, type WalkedKey } from './bucket-walk.js';
import { InventoryRepository, type InventoryRow } from './inventory.repository.js';

/** Keys that are looked at side by side. */
const KEYS_AT_ONCE = 16;

/** What does not fit, and what is to be done about it. */
export const FINDINGS = {
  'row-without-object': 'a DONE row whose object is gone: transfer it again, or delete it',
  'size-mismatch': 'a DONE row and an object of another size: transfer it again',
  'hash-mismatch': 'a DONE row and an object with other bytes: transfer it again',
  'object-without-row': 'an object that a transfer made, and that no row names any more: --repair removes it',
  'object-of-failed-row': 'an object that a failed transfer left: --repair removes it',
  'object-of-moved-row': 'an object whose row names another path: move one of them',
  'foreign-object': 'an object that no transfer made: it is left alone',
  'upload-of-row': 'an upload that a failed transfer left, known by its id: --repair aborts it',
  'unknown-upload': 'an upload that no record names: it is left to the lifecycle rule of the bucket',
  'stuck-row': 'a row that waits, and that nobody comes for: does a worker run?',
} as const;

export type FindingKind = keyof typeof FINDINGS;

export interface Finding {
  kind: FindingKind;
  key: string;
  fileId?: string;
  uploadId?: string;
  what: string;
}

export interface ReconcileOptions {
  bucket: string;
  /** Age that an object or upload must have before it is missed in the database. */
  graceMs: number;
  /** For how long a row may wait without owner. */
  waitingMs: number;
  after?: string | undefined;
  /** Reads every object whose SHA-256 is known. */
  withHash?: boolean;
  signal?: AbortSignal | undefined;
}

export interface ReconcileStep {
  /** Key up to which all is done: `after` of a run that goes on from here. Null once only uploads are left. */
  position: string | null;
  /** Keys or uploads that were looked at. */
  looked: number;
  findings: Finding[];
}

/**
 * Finds where a bucket and its rows differ. Reads only; both may change meanwhile, so what does not fit is looked at
 * again. Memory: a page of the store's list and one of rows.
 */
@Injectable()
export class Reconciliation {
  constructor(
    private readonly walk: BucketWalk,
    private readonly inventory: InventoryRepository,
    private readonly reader: BucketReader,
    private readonly proof: ObjectProof,
  ) {}

  /** @throws StorageError BUCKET_NOT_FOUND, STORE_*; the reason of `signal` */
  async *run(options: ReconcileOptions): AsyncGenerator<ReconcileStep> {
    const { bucket, after, waitingMs, signal } = options;
    let group: WalkedKey[] = [];
    for await (const walked of this.walk.keys({ bucket, after, graceMs: waitingMs, signal })) {
      group.push(walked);
      if (group.length < KEYS_AT_ONCE) continue;
      yield await this.examineAll(group, options);
      group = [];
    }
    if (group.length > 0) yield await this.examineAll(group, options);
    for await (const upload of this.reader.listUploads({ bucket, signal })) {
      const finding = await this.examineUpload(upload, options);
      yield { position: null, looked: 1, findings: finding === undefined ? [] : [finding] };
    }
  }

  private async examineAll(group: readonly WalkedKey[], options: ReconcileOptions): Promise<ReconcileStep> {
    const found = await Promise.all(group.map((walked) => this.examine(walked, options)));
    return { position: group.at(-1)?.key ?? null, looked: group.length, findings: found.flat() };
  }

  private async examine({ row, object }: WalkedKey, options: ReconcileOptions): Promise<Finding[]> {
    if (row === undefined) return object === undefined ? [] : await this.examineUnowned(object, options);
    const findings = row.isStuck
      ? [of(row, 'stuck-row', `${row.transferStatus} without owner, due time or job`)]
      : await this.examineOwned(row, object, options);
    if (findings.length === 0) return [];
    return (await this.inventory.hasStayed(row, options.waitingMs)) ? findings : [];
  }

  private async examineOwned(
    row: InventoryRow,
    listed: ListedObject | undefined,
    options: ReconcileOptions,
  ): Promise<Finding[]> {
    const place = { bucket: options.bucket, key: row.path };
    if (row.transferStatus === 'FAILED' && listed !== undefined && !row.isNoted && !row.isLeased) {
      const found = await this.proof.findPatiently(place, 'look at');
      if (!isTransferToken(found?.token) || ownerOf(found.token) !== row.id) return [];
      return [of(row, 'object-of-failed-row', `${found.size} bytes`)];
    }
    if (row.transferStatus !== 'DONE') return [];
    const isListedSo = listed !== undefined && hasSizeOf(row, listed.sizeBytes);
    if (isListedSo && (options.withHash !== true || row.sha256 === null)) return [];
    const found = await this.proof.findPatiently(place, 'look at');
    if (found === undefined) return [of(row, 'row-without-object', `${row.size} bytes are missed`)];
    if (!hasSizeOf(row, found.size)) {
      return [of(row, 'size-mismatch', `the object has ${found.size} bytes, the row says ${row.size}`)];
    }
    return options.withHash === true && row.sha256 !== null ? await this.compareBytes(row, row.sha256, options) : [];
  }

  private async compareBytes(row: InventoryRow, expected: string, options: ReconcileOptions): Promise<Finding[]> {
    try {
      const sha256 = await this.reader.sha256({ bucket: options.bucket, key: row.path }, options.signal);
      if (sha256 === expected) return [];
      return [of(row, 'hash-mismatch', `the object has SHA-256 ${sha256}, the row says ${expected}`)];
    } catch (error) {
      if (!(error instanceof StorageError) || error.code !== 'OBJECT_NOT_FOUND') throw error;
      return [of(row, 'hash-mismatch', 'the object cannot be read')];
    }
  }

  private async examineUnowned(listed: ListedObject, options: ReconcileOptions): Promise<Finding[]> {
    const { key, modifiedAt } = listed;
    const { bucket, waitingMs } = options;
    if (isYoung(modifiedAt, options)) return [];
    const found = await this.proof.findPatiently({ bucket, key }, 'look at');
    if (found === undefined) return [];
    if (!isTransferToken(found.token)) return [{ kind: 'foreign-object', key, what: `${found.size} bytes` }];
    const fileId = ownerOf(found.token);
    if (await this.inventory.isObjectNoted({ bucket, key, fileId })) return [];
    if ((await this.inventory.findRowAt({ bucket, path: key }, waitingMs)) !== null) return [];
    const own = await this.inventory.findRow(fileId, waitingMs);
    if (own !== null) {
      return [{ kind: 'object-of-moved-row', key, fileId, what: `${found.size} bytes; the row names ${own.path}` }];
    }
    return [{ kind: 'object-without-row', key, fileId, what: `${found.size} bytes` }];
  }

  private async examineUpload(upload: ListedUpload, options: ReconcileOptions): Promise<Finding | undefined> {
    const { bucket, key, uploadId, begunAt } = upload;
    if (isYoung(begunAt, options) || (await this.inventory.isUploadNoted(upload))) return undefined;
    const row = await this.inventory.findRowAt({ bucket, path: key }, options.waitingMs);
    const isWanted = row !== null && row.transferStatus !== 'FAILED' && row.uploadId === uploadId;
    if (row?.isLeased === true || isWanted) return undefined;
    if (!(await this.isStillThere(upload, options.signal))) return undefined;
    const since = begunAt === null ? '' : `begun ${begunAt.toISOString()}`;
    const fileId = await this.inventory.findOwnerOfUpload(upload);
    if (fileId === null) return { kind: 'unknown-upload', key, uploadId, what: since };
    // An Abort destroys the bytes under an object whose Complete the store is not done with.
    const found = await this.proof.findPatiently({ bucket, key }, 'look at');
    if (isTransferToken(found?.token)) {
      return { kind: 'unknown-upload', key, uploadId, fileId, what: `${since}; the key has an object of a transfer` };
    }
    return { kind: 'upload-of-row', key, uploadId, fileId, what: since };
  }

  private async isStillThere({ bucket, key, uploadId }: ListedUpload, signal: AbortSignal | undefined) {
    for await (const upload of this.reader.listUploads({ bucket, key, signal })) {
      if (upload.uploadId === uploadId) return true;
    }
    return false;
  }
}

/** Rows that no transfer made may say no size. */
function hasSizeOf({ size }: InventoryRow, bytes: number): boolean {
  return size === null || size === BigInt(bytes);
}

/** By two clocks, the store's and this process's: the time of grace is long against what they may differ by. */
function isYoung(at: Date | null, { graceMs }: ReconcileOptions): boolean {
  return at !== null && at.getTime() > Date.now() - graceMs;
}

function of({ id, path }: InventoryRow, kind: FindingKind, what: string): Finding {
  return { kind, key: path, fileId: id, what };
}
