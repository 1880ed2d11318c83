import { Inject, Injectable } from '@nestjs/common';
import { STORAGE_OPTIONS, type StorageOptions } from '../storage.options.js';
import { BucketAudit } from './bucket-audit.js';
import { type Invariant, type InvariantResult, InvariantTally } from './invariant-tally.js';
import { type FaultyRecord, RecordRepository } from './record.repository.js';

/** After the end of a lease, the next owner should be at a row, and nothing new should be without its row. */
const GRACE_BEYOND_LEASE_MS = 60_000;
/** After which what the purge worker has to do is late. */
const PURGE_LATE_MS = 10 * 60_000;
const DAY_MS = 24 * 60 * 60_000;
/** Shorter ones are words: they would be found everywhere. */
const KEY_MIN_LENGTH = 8;

export interface AuditOptions {
  /** Reads every byte of every object whose SHA-256 is known. */
  withHash?: boolean;
  /** For which what has no owner may be on its way to one; a lease and 60 s when absent. */
  graceMs?: number;
  signal?: AbortSignal;
}

export interface AuditReport {
  buckets: string[];
  withHash: boolean;
  graceMs: number;
  results: InvariantResult[];
  /** Objects without a row that no transfer made: they are nobody's here. */
  foreignObjects: number;
  violations: number;
}

/** Holds database and bucket against the rules that always hold (docs/operations.md). Reads only; both may be in use. */
@Injectable()
export class InvariantAudit {
  constructor(
    private readonly buckets: BucketAudit,
    private readonly records: RecordRepository,
    @Inject(STORAGE_OPTIONS) private readonly options: StorageOptions,
  ) {}

  /** @throws StorageError BUCKET_NOT_FOUND, STORE_*; the reason of `signal` */
  async run({ withHash = false, graceMs, signal }: AuditOptions = {}): Promise<AuditReport> {
    const tally = new InvariantTally();
    const grace = graceMs ?? this.options.leaseMs + GRACE_BEYOND_LEASE_MS;
    const { bucket: defaultBucket } = this.options.store;
    const buckets = [...new Set([defaultBucket, ...(await this.records.findBuckets())])];
    for (const bucket of buckets) await this.buckets.run(tally, { bucket, withHash, graceMs: grace, signal });
    signal?.throwIfAborted();
    await this.checkRecords(tally);
    const { results, foreignObjects } = tally;
    const violations = results.reduce((sum, { found }) => sum + found, 0);
    return { buckets, withHash, graceMs: grace, results, foreignObjects, violations };
  }

  private async checkRecords(tally: InvariantTally): Promise<void> {
    const judge = (rule: Invariant, faulty: readonly FaultyRecord[], what: string) => {
      for (const record of faulty) tally.breach({ rule, ...describe(record, what) });
    };
    const secrets = await this.records.findSecrets(this.keys());
    tally.check('secret', secrets.checked);
    judge('secret', secrets.faulty, 'holds what looks like a secret');
    const strangers = await this.records.findStrangers();
    tally.check('workspace', strangers.checked);
    judge('workspace', strangers.faulty, 'names a file of another workspace');
    judge('owner', await this.records.findRivals(), 'more than one try that is not over');
    if (!(await this.records.isPathUnique()))
      tally.breach({ rule: 'path', what: 'the unique index of paths is missing' });
    await this.checkRemovals(tally, judge);
  }

  private async checkRemovals(
    tally: InvariantTally,
    judge: (rule: Invariant, faulty: readonly FaultyRecord[], what: string) => void,
  ): Promise<void> {
    const { deletedRetentionDays, purgeIntervalMs } = this.options;
    const risen = await this.records.findRisen();
    const entries = await this.records.findOverdueEntries(PURGE_LATE_MS + purgeIntervalMs);
    tally.check('deleted', risen.checked + entries.checked);
    judge('deleted', risen.faulty, 'the row is there, and an event says that it was deleted for good');
    judge('deleted', entries.faulty, 'the entry has been due for long: does a purge worker run?');
    const overdue = await this.records.findOverdueFiles(deletedRetentionDays, DAY_MS);
    judge('deleted', overdue, 'could be restored until a day ago, and is not removed yet: does a purge worker run?');
    if (!(await this.records.isRemovalNoted())) {
      tally.breach({ rule: 'deleted', what: 'the triggers that note removed rows are missing or off' });
    }
  }

  private keys(): string[] {
    const { accessKeyId, secretAccessKey, sessionToken } = this.options.store.credentials ?? {};
    return [accessKeyId, secretAccessKey, sessionToken].filter(
      (key): key is string => key !== undefined && key.length >= KEY_MIN_LENGTH,
    );
  }
}

function describe({ id, table, column }: FaultyRecord, what: string): { fileId?: string; what: string } {
  const isFile = table === 'core_storage_file' || table === 'core_storage_attempt';
  const place = `${table}${column !== undefined ? `.${column}` : ''}`;
  return { ...(isFile ? { fileId: id } : {}), what: `${place}${isFile ? '' : ` ${id}`}: ${what}` };
}
