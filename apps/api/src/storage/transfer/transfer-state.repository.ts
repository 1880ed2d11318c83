import { Injectable } from '@nestjs/common';
import { Prisma, type StorageFile } from '../../generated/prisma/client.js';
import { PrismaService } from '../../prisma/prisma.service.js';
import type { FileKey } from '../storage-file.repository.js';

/** The right to work on a row until `leaseUntil`, and what the owner before left there. */
export interface Claim {
  id: string;
  leaseToken: string;
  attempts: number;
  /** A multipart upload that the owner before began and did not end. */
  uploadId: string | null;
  /** That owner sent Complete: the upload must not be aborted. `size` and `sha256` are then what it had read. */
  completing: boolean;
  size: bigint | null;
  sha256: string | null;
  lengthVerified: boolean | null;
}

/** Of a statement whose last part only counts what it changed. */
interface ChangedRows {
  count: number;
}

/** The database's own clock, in the zone-less UTC that Prisma keeps dates in. */
export const NOW = Prisma.sql`(now() AT TIME ZONE 'UTC')`;
export const IS_UNLEASED = Prisma.sql`(lease_until IS NULL OR lease_until < now())`;
export const LEASE_COLUMNS = Prisma.sql`id, lease_token AS "leaseToken", attempts, upload_id AS "uploadId", completing, size, sha256,
  length_verified AS "lengthVerified"`;

/**
 * Moves a row PENDING -> TRANSFERRING -> DONE or FAILED. Each step but the first is one UPDATE that names the lease
 * token, so that an owner whose lease another took changes nothing: it then reads "0 rows" and must stop.
 */
@Injectable()
export class TransferStateRepository {
  constructor(private readonly prisma: PrismaService) {}

  /**
   * Takes the row if it is waiting, failed, or its owner's lease ran out; null when it is not to be had.
   *
   * A FAILED row has a lease while what it left is being removed. Nor may a transfer begin while the left-overs of
   * another file are being removed from its path: that removal saw the path free, and would take the new object.
   */
  async claim(id: string, leaseMs: number): Promise<Claim | null> {
    const rows = await this.prisma.client.$queryRaw<Claim[]>`
      UPDATE core_storage_file
      SET transfer_status = 'TRANSFERRING', lease_token = gen_random_uuid(),
          lease_until = now() + ${leaseMs} * interval '1 millisecond',
          attempts = attempts + 1, transfer_error = NULL, bytes_transferred = NULL, total_bytes = NULL,
          finished_at = NULL, updated_at = ${NOW}
      WHERE id = ${id}::uuid AND deleted_at IS NULL
        AND transfer_status <> 'DONE' AND ${IS_UNLEASED}
        AND NOT EXISTS (
          SELECT FROM core_storage_purge AS purge
          WHERE purge.bucket = core_storage_file.bucket AND purge.path = core_storage_file.path
            AND purge.file_id <> core_storage_file.id AND purge.removing AND purge.next_attempt_at > now())
      RETURNING ${LEASE_COLUMNS}`;
    return rows[0] ?? null;
  }

  /**
   * Takes the row, whatever its status, to remove it; null while an owner's lease lives or when the row is gone.
   *
   * From here on it is not DONE: a removal that breaks off may have taken the object, and a restored row would say
   * that it is there.
   */
  async claimForRemoval({ id, workspaceId }: FileKey, leaseMs: number): Promise<Claim | null> {
    const rows = await this.prisma.client.$queryRaw<Claim[]>`
      UPDATE core_storage_file
      SET transfer_status = 'FAILED', transfer_error = 'FILE_DELETED: the removal of this file has begun',
          lease_token = gen_random_uuid(), lease_until = now() + ${leaseMs} * interval '1 millisecond', updated_at = ${NOW}
      WHERE id = ${id}::uuid AND workspace_id = ${workspaceId}::uuid
        AND deleted_at IS NOT NULL AND ${IS_UNLEASED}
      RETURNING ${LEASE_COLUMNS}`;
    return rows[0] ?? null;
  }

  /**
   * Takes a FAILED or deleted row to remove what it left in the bucket, and leaves its status and error as they are;
   * null while an owner's lease lives, when the row waits for an owner, and when its object belongs to it.
   */
  async claimForPurge(place: { fileId: string; bucket: string; path: string }, leaseMs: number): Promise<Claim | null> {
    const rows = await this.prisma.client.$queryRaw<Claim[]>`
      UPDATE core_storage_file
      SET lease_token = gen_random_uuid(), lease_until = now() + ${leaseMs} * interval '1 millisecond'
      WHERE id = ${place.fileId}::uuid AND bucket = ${place.bucket} AND path = ${place.path}
        AND (transfer_status = 'FAILED' OR (deleted_at IS NOT NULL AND transfer_status <> 'DONE')) AND ${IS_UNLEASED}
      RETURNING ${LEASE_COLUMNS}`;
    return rows[0] ?? null;
  }

  /**
   * Lengthens the lease, and writes how far the transfer is, if told. 'lost': another owns the row, or it is gone. 'deleted':
   * the file was deleted meanwhile.
   */
  async renew(
    { id, leaseToken }: Claim,
    leaseMs: number,
    progress?: { bytes: number; totalBytes: number | null },
  ): Promise<'held' | 'deleted' | 'lost'> {
    const rows = await this.prisma.client.$queryRaw<{ isDeleted: boolean }[]>`
      UPDATE core_storage_file
      SET lease_until = now() + ${leaseMs} * interval '1 millisecond', updated_at = ${NOW},
          bytes_transferred = coalesce(${progress?.bytes ?? null}, bytes_transferred),
          total_bytes = coalesce(${progress?.totalBytes ?? null}, total_bytes)
      WHERE id = ${id}::uuid AND lease_token = ${leaseToken}::uuid
      RETURNING deleted_at IS NOT NULL AS "isDeleted"`;
    if (rows[0] === undefined) return 'lost';
    return rows[0].isDeleted ? 'deleted' : 'held';
  }

  /** Keeps the id of the multipart upload before its first part, or forgets it. False: the lease is lost. */
  async setUpload(claim: Claim, uploadId: string | null): Promise<boolean> {
    return await this.change(claim, { ...NO_UPLOAD, uploadId });
  }

  /** Says that Complete is about to be sent, and what was read. False: the lease is lost. */
  async setCompleting(
    claim: Claim,
    { size, sha256, lengthVerified }: { size: number; sha256: string; lengthVerified: boolean },
  ): Promise<boolean> {
    return await this.change(claim, { completing: true, size: BigInt(size), sha256, lengthVerified });
  }

  /** Purge entries of the upload that made the object end with it: from here on an Abort could destroy the object. */
  async markDone(
    { id, leaseToken }: Claim,
    object: { size: number; etag: string | null; sha256: string | null; isLengthVerified: boolean | null },
  ): Promise<boolean> {
    const [outcome] = await this.prisma.client.$queryRaw<ChangedRows[]>`
      WITH held AS (
        SELECT id, bucket, path, upload_id FROM core_storage_file
        WHERE id = ${id}::uuid AND lease_token = ${leaseToken}::uuid
        FOR UPDATE
      ), done AS (
        UPDATE core_storage_file AS file
        SET transfer_status = 'DONE', size = ${BigInt(object.size)}, etag = ${object.etag}, sha256 = ${object.sha256},
            length_verified = ${object.isLengthVerified}, bytes_transferred = ${BigInt(object.size)},
            total_bytes = ${BigInt(object.size)}, transfer_error = NULL, lease_token = NULL, lease_until = NULL, upload_id = NULL, completing = false,
            finished_at = ${NOW}, updated_at = ${NOW}
        FROM held WHERE file.id = held.id
        RETURNING file.id
      ), settled AS (
        DELETE FROM core_storage_purge AS purge USING held
        WHERE purge.bucket = held.bucket AND purge.path = held.path AND purge.file_id = held.id
          AND purge.upload_id = held.upload_id
      )
      SELECT count(*)::int AS count FROM done`;
    return outcome?.count === 1;
  }

  /**
   * `keepUpload`: parts or an object may be left. The row keeps what the next owner needs to look, and an entry for the
   * purge worker is made with it, instead of one that says the same.
   */
  async markFailed(claim: Claim, failure: { transferError: string; keepUpload: boolean }): Promise<boolean> {
    if (failure.keepUpload) return await this.markFailedWithRemains(claim, failure.transferError);
    return await this.change(claim, {
      transferStatus: 'FAILED',
      transferError: failure.transferError,
      ...RELEASED,
      ...NO_UPLOAD,
      finishedAt: new Date(),
    });
  }

  private async markFailedWithRemains({ id, leaseToken }: Claim, transferError: string): Promise<boolean> {
    const [outcome] = await this.prisma.client.$queryRaw<ChangedRows[]>`
      WITH failed AS (
        UPDATE core_storage_file
        SET transfer_status = 'FAILED', transfer_error = ${transferError}, lease_token = NULL, lease_until = NULL,
            finished_at = ${NOW}, updated_at = ${NOW}
        WHERE id = ${id}::uuid AND lease_token = ${leaseToken}::uuid
        RETURNING id, bucket, path, upload_id
      ), replaced AS (
        DELETE FROM core_storage_purge AS purge USING failed
        WHERE purge.bucket = failed.bucket AND purge.path = failed.path AND purge.file_id = failed.id
          AND purge.upload_id IS NOT DISTINCT FROM failed.upload_id
      ), noted AS (
        INSERT INTO core_storage_purge (bucket, path, file_id, upload_id)
        SELECT bucket, path, id, upload_id FROM failed
      )
      SELECT count(*)::int AS count FROM failed`;
    return outcome?.count === 1;
  }

  /** Lets go of a row whose left-overs are gone, so that the next owner looks for none. False: the lease is lost. */
  async releaseCleaned(claim: Claim): Promise<boolean> {
    return await this.change(claim, { ...RELEASED, ...NO_UPLOAD });
  }

  /** Lets go of a row as it is, so that the next try need not wait for the lease to run out. */
  async release(claim: Claim): Promise<boolean> {
    return await this.change(claim, RELEASED);
  }

  /** Removes the row whose object is gone, and frees its path. False: the lease is lost, so the file may live again. */
  async remove({ id, leaseToken }: Claim): Promise<boolean> {
    const { count } = await this.prisma.client.storageFile.deleteMany({ where: { id, leaseToken } });
    return count === 1;
  }

  async find(id: string): Promise<StorageFile | null> {
    return await this.prisma.client.storageFile.findUnique({ where: { id } });
  }

  private async change({ id, leaseToken }: Claim, data: Prisma.StorageFileUpdateManyMutationInput): Promise<boolean> {
    const { count } = await this.prisma.client.storageFile.updateMany({ where: { id, leaseToken }, data });
    return count === 1;
  }
}

const RELEASED = { leaseToken: null, leaseUntil: null };
const NO_UPLOAD = { uploadId: null, completing: false, size: null, sha256: null, lengthVerified: null };
