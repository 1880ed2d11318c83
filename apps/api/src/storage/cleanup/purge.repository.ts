import { Injectable } from '@nestjs/common';
import { PrismaService } from '../../prisma/prisma.service.js';

/** What a failed clean-up left, taken by one worker for a while. `attempts` counts the takes: an older one is void. */
export interface PurgeEntry {
  id: string;
  bucket: string;
  path: string;
  fileId: string;
  /** Null: the answer that named the upload was lost, or there was none. */
  uploadId: string | null;
  attempts: number;
  /** Since the clean-up failed, by the database's clock. */
  ageMs: number;
}

/** Whose row has the entry's path. The file's own is told apart by whether the object there belongs to it. */
export type PathHolder = 'nobody' | 'another-file' | 'done-file' | 'unfinished-file';

/**
 * Entries of the purge table. TransferStateRepository writes them with the FAILED row, a trigger with a removed one, and
 * `note` for whoever finds what no row knows of.
 */
@Injectable()
export class PurgeRepository {
  constructor(private readonly prisma: PrismaService) {}

  /** Takes the entry that has been due for longest; null when none is due. Others see it due again after `leaseMs`. */
  async take(leaseMs: number): Promise<PurgeEntry | null> {
    const rows = await this.prisma.client.$queryRaw<PurgeEntry[]>`
      UPDATE core_storage_purge
      SET attempts = attempts + 1, removing = true,
          next_attempt_at = now() + ${leaseMs} * interval '1 millisecond'
      WHERE id = (
        SELECT id FROM core_storage_purge WHERE next_attempt_at <= now()
        ORDER BY next_attempt_at LIMIT 1
        FOR UPDATE SKIP LOCKED)
      RETURNING id, bucket, path, file_id AS "fileId", upload_id AS "uploadId", attempts,
        (extract(epoch FROM now() - created_at) * 1000)::float8 AS "ageMs"`;
    return rows[0] ?? null;
  }

  /**
   * Null when the entry is no longer this taker's. Asked in one statement: a row that becomes DONE ends the entry of
   * its own upload, so an upload whose entry is seen beside a DONE row is not that of its object.
   */
  async findHolder({ id, attempts }: PurgeEntry): Promise<PathHolder | null> {
    const rows = await this.prisma.client.$queryRaw<{ holder: PathHolder }[]>`
      SELECT CASE
        WHEN file.id IS NULL THEN 'nobody'
        WHEN file.id <> purge.file_id THEN 'another-file'
        WHEN file.transfer_status = 'DONE' THEN 'done-file'
        ELSE 'unfinished-file' END AS holder
      FROM core_storage_purge AS purge
      LEFT JOIN core_storage_file AS file ON file.bucket = purge.bucket AND file.path = purge.path
      WHERE purge.id = ${id}::uuid AND purge.attempts = ${attempts} AND purge.next_attempt_at > now()`;
    return rows[0]?.holder ?? null;
  }

  /**
   * Makes an entry, unless there is one that says the same. False beside a DONE row of the file: whether its object came
   * out of this upload is not to be told any more, and an Abort would destroy it. False too for the upload that the row
   * is at work on: it may become DONE by it at any moment. The row is waited for, because that may be this one.
   */
  async note(left: Pick<PurgeEntry, 'bucket' | 'path' | 'fileId' | 'uploadId'>): Promise<boolean> {
    const { bucket, path, fileId, uploadId } = left;
    const [outcome] = await this.prisma.client.$queryRaw<{ isWanted: boolean }[]>`
      WITH held AS (
        SELECT transfer_status = 'DONE' OR (transfer_status <> 'FAILED' AND upload_id = ${uploadId}) AS is_wanted
        FROM core_storage_file
        WHERE id = ${fileId}::uuid AND bucket = ${bucket} AND path = ${path}
        FOR SHARE
      ), noted AS (
        INSERT INTO core_storage_purge (bucket, path, file_id, upload_id)
        SELECT ${bucket}, ${path}, ${fileId}::uuid, ${uploadId}
        WHERE NOT EXISTS (SELECT FROM held WHERE is_wanted)
          AND NOT EXISTS (
            SELECT FROM core_storage_purge AS purge
            WHERE purge.bucket = ${bucket} AND purge.path = ${path} AND purge.file_id = ${fileId}::uuid
              AND purge.upload_id IS NOT DISTINCT FROM ${uploadId})
      )
      SELECT EXISTS (SELECT FROM held WHERE is_wanted) AS "isWanted"`;
    return outcome?.isWanted !== true;
  }

  /** Lets go of the entry until `delayMs` have passed. */
  async postpone(
    { id, attempts }: PurgeEntry,
    { delayMs, lastError }: { delayMs: number; lastError: string | null },
  ): Promise<void> {
    await this.prisma.client.$executeRaw`
      UPDATE core_storage_purge
      SET removing = false, last_error = ${lastError},
          next_attempt_at = now() + ${delayMs} * interval '1 millisecond'
      WHERE id = ${id}::uuid AND attempts = ${attempts}`;
  }

  /** Removes the entry of what is gone. */
  async end({ id, attempts }: PurgeEntry): Promise<void> {
    await this.prisma.client.storagePurge.deleteMany({ where: { id, attempts } });
  }
}
