import { Inject, Injectable } from '@nestjs/common';
import { Prisma } from '../../generated/prisma/client.js';
import { PrismaService, type Transaction } from '../../prisma/prisma.service.js';
import { StorageError } from '../storage.errors.js';
import { STORAGE_OPTIONS, type StorageOptions } from '../storage.options.js';

/** What a workspace had of the present day, and what it may have. */
export interface WorkspaceUsage {
  /** The day in UTC, as YYYY-MM-DD, and when the next one begins. */
  readonly day: string;
  readonly endsAt: Date;
  /** Files asked for, and bytes of those that became DONE; null where no quota is set, so that nobody counts. */
  readonly files: number | null;
  readonly bytes: number | null;
  /** Null: any number. */
  readonly filesPerDay: number | null;
  readonly bytesPerDay: number | null;
}

type DailyLimits = Pick<StorageOptions, 'filesPerDay' | 'bytesPerDay'>;

interface UsageRow {
  day: string;
  endsAt: Date;
  secondsLeft: number;
  files: bigint | null;
  bytes: bigint | null;
  filesPerDay: bigint | null;
  bytesPerDay: bigint | null;
}

const UTC = Prisma.sql`(now() AT TIME ZONE 'UTC')`;
export const TODAY = Prisma.sql`${UTC}::date`;

/**
 * Holds each workspace to its files and bytes of a day: a day of UTC, by the database's clock. One row a workspace and
 * day counts them, so that nothing is ever summed up. Asks nothing where neither quota is set.
 */
@Injectable()
export class WorkspaceQuotaRepository {
  constructor(
    private readonly prisma: PrismaService,
    @Inject(STORAGE_OPTIONS) private readonly options: DailyLimits,
  ) {}

  private get isCounted(): boolean {
    return this.options.filesPerDay > 0 || this.options.bytesPerDay > 0;
  }

  /**
   * Counts a new file, in the transaction that makes its row. As its last statement: others of the workspace wait for
   * the commit.
   *
   * @throws StorageError QUOTA_EXCEEDED: the transaction is to be rolled back
   */
  async countFile(transaction: Transaction, workspaceId: string): Promise<void> {
    if (!this.isCounted) return;
    const [usage] = await transaction.$queryRaw<(UsageRow & { isCounted: boolean })[]>`
      WITH quota AS (${usageOf(workspaceId, this.options)}
      ), counted AS (
        INSERT INTO core_storage_usage AS usage (workspace_id, day, files)
        SELECT ${workspaceId}::uuid, ${TODAY}, 1 FROM quota
        WHERE coalesce("filesPerDay" > 0, true) AND coalesce("bytesPerDay" > 0, true)
        ON CONFLICT (workspace_id, day) DO UPDATE SET files = usage.files + 1
        WHERE (SELECT coalesce(usage.files < "filesPerDay", true) AND coalesce(usage.bytes < "bytesPerDay", true) FROM quota)
        RETURNING files
      )
      SELECT quota.*, EXISTS (SELECT FROM counted) AS "isCounted" FROM quota`;
    if (usage === undefined || usage.isCounted) return;
    const { bytes, bytesPerDay } = usage;
    const isOfBytes = bytesPerDay !== null && (bytes ?? 0n) >= bytesPerDay;
    throw exceeded(usage, isOfBytes ? `${bytesPerDay} bytes` : `${usage.filesPerDay} files`);
  }

  /**
   * What a transfer may bring; null where no quota says.
   *
   * @throws StorageError QUOTA_EXCEEDED where nothing is left
   */
  async allowance(workspaceId: string): Promise<ByteAllowance | null> {
    if (!this.isCounted) return null;
    const usage = await this.readRow(workspaceId);
    if (usage.bytesPerDay === null) return null;
    const allowance = new ByteAllowance(usage, Number(usage.bytesPerDay));
    if (allowance.bytesLeft <= 0) throw allowance.refuse(0);
    return allowance;
  }

  async read(workspaceId: string): Promise<WorkspaceUsage> {
    const { day, endsAt, files, bytes, filesPerDay, bytesPerDay } = await this.readRow(workspaceId);
    return {
      day,
      endsAt,
      files: this.isCounted ? Number(files ?? 0n) : null,
      bytes: this.isCounted ? Number(bytes ?? 0n) : null,
      filesPerDay: this.isCounted && filesPerDay !== null ? Number(filesPerDay) : null,
      bytesPerDay: this.isCounted && bytesPerDay !== null ? Number(bytesPerDay) : null,
    };
  }

  private async readRow(workspaceId: string): Promise<UsageRow> {
    const [usage] = await this.prisma.client.$queryRaw<UsageRow[]>(usageOf(workspaceId, this.options));
    if (usage === undefined) throw new Error('a query of one row gave none');
    return usage;
  }
}

/** Bytes that a workspace has left of its day. Transfers that are under way at once have the same ones before them. */
export class ByteAllowance {
  readonly bytesLeft: number;

  constructor(
    private readonly usage: UsageRow,
    private readonly bytesPerDay: number,
  ) {
    this.bytesLeft = bytesPerDay - Number(usage.bytes ?? 0n);
  }

  /** @throws StorageError QUOTA_EXCEEDED; final for a file that no day is enough for */
  assertRoomFor(bytes: number): void {
    if (bytes > this.bytesLeft) throw this.refuse(bytes);
  }

  refuse(bytes: number): StorageError {
    if (bytes <= this.bytesPerDay) return exceeded(this.usage, `${this.bytesPerDay} bytes`);
    return new StorageError('QUOTA_EXCEEDED', `the file is larger than the ${this.bytesPerDay} bytes of a whole day`, {
      isRetryable: false,
    });
  }
}

function exceeded({ day, endsAt, secondsLeft }: UsageRow, quota: string): StorageError {
  const message = `the workspace has had its ${quota} of ${day} (UTC); more are taken from ${endsAt.toISOString()} on`;
  return new StorageError('QUOTA_EXCEEDED', message, { retryAfterMs: secondsLeft * 1_000 });
}

function usageOf(workspaceId: string, { filesPerDay, bytesPerDay }: DailyLimits): Prisma.Sql {
  return Prisma.sql`
    SELECT ${TODAY}::text AS day, (${TODAY} + 1)::timestamp AT TIME ZONE 'UTC' AS "endsAt",
      extract(epoch FROM (${TODAY} + 1) - ${UTC})::float8 AS "secondsLeft", usage.files, usage.bytes,
      coalesce(own.files_per_day, nullif(${filesPerDay}::bigint, 0)) AS "filesPerDay",
      coalesce(own.bytes_per_day, nullif(${bytesPerDay}::bigint, 0)) AS "bytesPerDay"
    FROM (SELECT ${workspaceId}::uuid AS id) AS workspace
    LEFT JOIN core_storage_quota AS own ON own.workspace_id = workspace.id
    LEFT JOIN core_storage_usage AS usage ON usage.workspace_id = workspace.id AND usage.day = ${TODAY}`;
}
