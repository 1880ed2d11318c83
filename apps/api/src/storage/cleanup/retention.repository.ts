import { Injectable } from '@nestjs/common';
import { Prisma } from '../../generated/prisma/client.js';
import { PrismaService } from '../../prisma/prisma.service.js';
import {
  IS_UNLEASED,
  NOW,
  REMOVAL_COLUMNS,
  type RemovalClaim,
  removalBegun,
} from '../transfer/transfer-state.repository.js';

/** A deleted file whose time is up, and the right to remove it. */
export interface ExpiredFile extends RemovalClaim {
  bucket: string;
  path: string;
  deletedAt: Date;
}

export type ExpiredPosition = Pick<ExpiredFile, 'deletedAt' | 'id'>;

/** Takes soft-deleted files out of their time of grace. */
@Injectable()
export class RetentionRepository {
  constructor(private readonly prisma: PrismaService) {}

  /**
   * Claims the file that has been deleted for longest, past `after`, for removal, or one whose removal broke off; null
   * when none is to be had. With 0 days the time of none is ever up, and only broken-off removals are had. As with
   * TransferStateRepository.claimForRemoval it is not DONE from here on.
   */
  async takeExpired(options: {
    retentionDays: number;
    leaseMs: number;
    after: ExpiredPosition | null;
  }): Promise<ExpiredFile | null> {
    const { retentionDays, leaseMs, after } = options;
    const isPast = after
      ? Prisma.sql`AND (deleted_at, id) > (${after.deletedAt}::timestamp, ${after.id}::uuid)`
      : Prisma.empty;
    const rows = await this.prisma.client.$queryRaw<ExpiredFile[]>`
      UPDATE core_storage_file SET ${removalBegun(leaseMs)}
      WHERE id = (
        -- Each on an index of its own: together they would read all that was deleted and is not due.
        SELECT id FROM (
          SELECT * FROM (
            SELECT id, deleted_at FROM core_storage_file
            WHERE ${retentionDays} > 0 AND deleted_at < ${NOW} - ${retentionDays} * interval '1 day' AND ${IS_UNLEASED} ${isPast}
            ORDER BY deleted_at, id LIMIT 1 FOR UPDATE SKIP LOCKED) AS expired
          UNION ALL
          SELECT * FROM (
            SELECT id, deleted_at FROM core_storage_file
            WHERE deleted_at IS NOT NULL AND error_code = 'FILE_DELETED' AND ${IS_UNLEASED} ${isPast}
            ORDER BY deleted_at, id LIMIT 1 FOR UPDATE SKIP LOCKED) AS broken_off
        ) AS due ORDER BY deleted_at, id LIMIT 1)
      RETURNING ${REMOVAL_COLUMNS}, bucket, path, deleted_at AS "deletedAt"`;
    return rows[0] ?? null;
  }

  /** Forgets at most `limit` files that were removed for good `days` ago or earlier. */
  async forgetRemoved(days: number, limit: number): Promise<void> {
    await this.prisma.client.$executeRaw`
      DELETE FROM core_storage_tombstone WHERE file_id = ANY (ARRAY(
        SELECT file_id FROM core_storage_tombstone WHERE removed_at <= now() - ${days} * interval '1 day'
        ORDER BY removed_at LIMIT ${limit}
        FOR UPDATE SKIP LOCKED))`;
  }

  /** Forgets what workspaces had of at most `limit` days that are `days` ago or longer. */
  async forgetUsage(days: number, limit: number): Promise<void> {
    await this.prisma.client.$executeRaw`
      DELETE FROM core_storage_usage WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM core_storage_usage WHERE day <= ${NOW}::date - ${days}::int
        ORDER BY day LIMIT ${limit}
        FOR UPDATE SKIP LOCKED))`;
  }
}
