import { Injectable } from '@nestjs/common';
import { Prisma } from '../../generated/prisma/client.js';
import { PrismaService } from '../../prisma/prisma.service.js';
import type { FileTransferStatus } from '../storage-file.repository.js';
import { IS_UNLEASED, NOW } from '../transfer/transfer-state.repository.js';

/** What a row says of its object and of who works on it. */
export interface InventoryRow {
  id: string;
  path: string;
  transferStatus: FileTransferStatus;
  size: bigint | null;
  sha256: string | null;
  uploadId: string | null;
  /** 0: no transfer made the object, so that it carries no token. */
  attempts: number;
  isDeleted: boolean;
  /** An owner's lease lives. */
  isLeased: boolean;
  /** PENDING or TRANSFERRING, and for longer than the time of grace without lease, due time or job. */
  isStuck: boolean;
  /** Token and end of a lease, of which there is only one; or a lease of a DONE row. */
  isLeaseBroken: boolean;
  /** A purge entry tells of this file at this path. */
  isNoted: boolean;
}

/** Rows that share a page: memory is bounded by it. */
const ROWS_PER_PAGE = 500;

/** Reads rows, purge entries and events, to hold them against the bucket. Changes nothing. */
@Injectable()
export class InventoryRepository {
  constructor(private readonly prisma: PrismaService) {}

  /** Rows of the bucket by path, in the order of the bytes. */
  async *walkRows(options: {
    bucket: string;
    after?: string | undefined;
    graceMs: number;
  }): AsyncGenerator<InventoryRow> {
    const { bucket, graceMs } = options;
    for (
      let position: RowPosition | undefined = options.after !== undefined ? { path: options.after } : undefined;
      ;
    ) {
      const page: InventoryRow[] = await this.findRows(Prisma.sql`file.bucket = ${bucket} ${past(position)}`, graceMs);
      yield* page;
      position = page.length < ROWS_PER_PAGE ? undefined : page.at(-1);
      if (position === undefined) return;
    }
  }

  /** The row as it is now; null when it is gone. */
  async findRow(id: string, graceMs: number): Promise<InventoryRow | null> {
    const rows = await this.findRows(Prisma.sql`file.id = ${id}::uuid`, graceMs);
    return rows[0] ?? null;
  }

  /** Whether the row has not moved on since it was read: else what was seen of its object belongs to another moment. */
  async hasStayed(row: InventoryRow, graceMs: number): Promise<boolean> {
    const now = await this.findRow(row.id, graceMs);
    return (
      now?.path === row.path &&
      now.transferStatus === row.transferStatus &&
      now.attempts === row.attempts &&
      now.isNoted === row.isNoted &&
      now.isLeased === row.isLeased
    );
  }

  /** Who has the path now. */
  async findRowAt(place: { bucket: string; path: string }, graceMs: number): Promise<InventoryRow | null> {
    const { bucket, path } = place;
    const rows = await this.findRows(Prisma.sql`file.bucket = ${bucket} AND file.path = ${path}`, graceMs);
    return rows[0] ?? null;
  }

  /** Whether a purge entry tells of the upload: by its id, or as one whose id nobody read. */
  async isUploadNoted({ bucket, key, uploadId }: { bucket: string; key: string; uploadId: string }): Promise<boolean> {
    const count = await this.prisma.client.storagePurge.count({
      where: { bucket, path: key, OR: [{ uploadId }, { uploadId: null }] },
      take: 1,
    });
    return count > 0;
  }

  /** The file at the key that the upload is known to be of, by its row or its parts; null when neither names it. */
  async findOwnerOfUpload(upload: { bucket: string; key: string; uploadId: string }): Promise<string | null> {
    const { bucket, key, uploadId } = upload;
    const [owner] = await this.prisma.client.$queryRaw<{ id: string }[]>`
      SELECT id FROM core_storage_file AS file
      WHERE bucket = ${bucket} AND path = ${key} AND (upload_id = ${uploadId} OR (
        SELECT true FROM core_storage_part AS part
        WHERE part.file_id = file.id AND part.upload_id = ${uploadId} LIMIT 1))`;
    return owner?.id ?? null;
  }

  /** Whether a purge entry tells of objects of this file at the path. */
  async isObjectNoted({ bucket, key, fileId }: { bucket: string; key: string; fileId: string }): Promise<boolean> {
    const count = await this.prisma.client.storagePurge.count({ where: { bucket, path: key, fileId }, take: 1 });
    return count > 0;
  }

  /** Whether the file was deleted for good, as the trigger told. */
  async wasRemoved(fileId: string): Promise<boolean> {
    const count = await this.prisma.client.outboxEvent.count({
      where: { subjectId: fileId, type: 'storage.file.deleted', payload: { path: ['hard'], equals: true } },
      take: 1,
    });
    return count > 0;
  }

  private async findRows(where: Prisma.Sql, graceMs: number): Promise<InventoryRow[]> {
    const rows = await this.prisma.client.$queryRaw<(InventoryRow & { isIdle: boolean })[]>`
      SELECT file.id, file.path, file.transfer_status AS "transferStatus", file.size, file.sha256,
        file.attempts, file.upload_id AS "uploadId", file.deleted_at IS NOT NULL AS "isDeleted", NOT ${IS_UNLEASED} AS "isLeased",
        (file.lease_token IS NULL) <> (file.lease_until IS NULL)
          OR (file.transfer_status = 'DONE' AND file.lease_token IS NOT NULL) AS "isLeaseBroken",
        file.transfer_status IN ('PENDING', 'TRANSFERRING') AND file.deleted_at IS NULL AND ${IS_UNLEASED}
          AND greatest(file.updated_at, file.lease_until AT TIME ZONE 'UTC', file.next_attempt_at AT TIME ZONE 'UTC')
            < ${NOW} - ${graceMs} * interval '1 millisecond' AS "isIdle",
        -- Not EXISTS, for which PostgreSQL may read all entries once.
        (SELECT true FROM core_storage_purge AS purge
          WHERE purge.bucket = file.bucket AND purge.path = file.path AND purge.file_id = file.id LIMIT 1) IS TRUE AS "isNoted"
      FROM core_storage_file AS file
      WHERE ${where}
      ORDER BY file.path, file.id LIMIT ${ROWS_PER_PAGE}`;
    const waiting = await this.findWithJob(rows.filter(({ isIdle }) => isIdle).map(({ id }) => id));
    return rows.map(({ isIdle, ...row }) => ({ ...row, isStuck: isIdle && !waiting.has(row.id) }));
  }

  /** Of these files, those that a job of the queue is to come for. */
  private async findWithJob(ids: readonly string[]): Promise<Set<string>> {
    if (ids.length === 0) return new Set();
    const [queue] = await this.prisma.client.$queryRaw<{ isThere: boolean }[]>`
      SELECT to_regclass('pgboss.job') IS NOT NULL AS "isThere"`;
    if (queue?.isThere !== true) return new Set();
    const jobs = await this.prisma.client.$queryRaw<{ id: string }[]>`
      SELECT DISTINCT file.id FROM unnest(${[...ids]}::text[]) AS file(id)
      JOIN pgboss.job AS job ON job.singleton_key = file.id OR job.data ->> 'fileId' = file.id
      WHERE job.state::text IN ('created', 'retry', 'active')`;
    return new Set(jobs.map(({ id }) => id));
  }
}

/** Where a page ended: of several rows with one path, which must not be, none is passed by. */
interface RowPosition {
  path: string;
  id?: string;
}

function past(position: RowPosition | undefined): Prisma.Sql {
  if (position === undefined) return Prisma.empty;
  const { path, id } = position;
  return id === undefined
    ? Prisma.sql`AND file.path > ${path}`
    : Prisma.sql`AND (file.path, file.id) > (${path}, ${id}::uuid)`;
}
