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

/** The database's own clock, in the zone-less UTC that Prisma keeps dates in. */
const NOW = Prisma.sql`(now() AT TIME ZONE 'UTC')`;
const LEASE_COLUMNS = Prisma.sql`id, lease_token AS "leaseToken", attempts, upload_id AS "uploadId", completing, size, sha256, length_verified AS "lengthVerified"`;

/**
 * Moves a row PENDING -> TRANSFERRING -> DONE or FAILED. Each step but the first is one UPDATE that names the lease
 * token, so that an owner whose lease another took changes nothing: it then reads "0 rows" and must stop.
 */
@Injectable()
export class TransferStateRepository {
  constructor(private readonly prisma: PrismaService) {}

  /** Takes the row if it is waiting, failed, or its owner's lease ran out; null when it is not to be had. */
  async claim(id: string, leaseMs: number): Promise<Claim | null> {
    const rows = await this.prisma.client.$queryRaw<Claim[]>`
      UPDATE core_storage_file
      SET transfer_status = 'TRANSFERRING', lease_token = gen_random_uuid(),
          lease_until = now() + ${leaseMs} * interval '1 millisecond',
          attempts = attempts + 1, transfer_error = NULL, bytes_transferred = NULL, total_bytes = NULL,
          finished_at = NULL, updated_at = ${NOW}
      WHERE id = ${id}::uuid AND deleted_at IS NULL
        AND (transfer_status IN ('PENDING', 'FAILED') OR (transfer_status = 'TRANSFERRING' AND lease_until < now()))
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
        AND deleted_at IS NOT NULL AND (lease_until IS NULL OR lease_until < now())
      RETURNING ${LEASE_COLUMNS}`;
    return rows[0] ?? null;
  }

  /**
   * Lengthens the lease, and writes how far the transfer is. 'lost': another owns the row, or it is gone. 'deleted':
   * the file was deleted meanwhile.
   */
  async renew(
    { id, leaseToken }: Claim,
    leaseMs: number,
    { bytes, totalBytes }: { bytes: number; totalBytes: number | null },
  ): Promise<'held' | 'deleted' | 'lost'> {
    const rows = await this.prisma.client.$queryRaw<{ isDeleted: boolean }[]>`
      UPDATE core_storage_file
      SET lease_until = now() + ${leaseMs} * interval '1 millisecond', bytes_transferred = ${bytes},
          total_bytes = ${totalBytes}, updated_at = ${NOW}
      WHERE id = ${id}::uuid AND lease_token = ${leaseToken}::uuid
      RETURNING deleted_at IS NOT NULL AS "isDeleted"`;
    if (rows[0] === undefined) return 'lost';
    return rows[0].isDeleted ? 'deleted' : 'held';
  }

  /** Keeps the id of the multipart upload before its first part, or forgets it. False: the lease is lost. */
  async setUpload(claim: Claim, uploadId: string | null): Promise<boolean> {
    return await this.change(claim, { uploadId, completing: false, ...NOTHING_READ });
  }

  /** Says that Complete is about to be sent, and what was read. False: the lease is lost. */
  async setCompleting(
    claim: Claim,
    { size, sha256, lengthVerified }: { size: number; sha256: string; lengthVerified: boolean },
  ): Promise<boolean> {
    return await this.change(claim, { completing: true, size: BigInt(size), sha256, lengthVerified });
  }

  async markDone(
    claim: Claim,
    object: { size: number; etag: string | null; sha256: string | null; isLengthVerified: boolean | null },
  ): Promise<boolean> {
    return await this.change(claim, {
      transferStatus: 'DONE',
      size: BigInt(object.size),
      etag: object.etag,
      sha256: object.sha256,
      lengthVerified: object.isLengthVerified,
      bytesTransferred: BigInt(object.size),
      totalBytes: BigInt(object.size),
      transferError: null,
      ...RELEASED,
      uploadId: null,
      completing: false,
      finishedAt: new Date(),
    });
  }

  /** `keepUpload`: the store never said what became of Complete, so the next owner must look. */
  async markFailed(claim: Claim, failure: { transferError: string; keepUpload: boolean }): Promise<boolean> {
    return await this.change(claim, {
      transferStatus: 'FAILED',
      transferError: failure.transferError,
      ...RELEASED,
      ...(failure.keepUpload ? {} : { uploadId: null, completing: false, ...NOTHING_READ }),
      finishedAt: new Date(),
    });
  }

  /** Lets go of a row that could not be removed, so that the next try need not wait for the lease to run out. */
  async release(claim: Claim): Promise<void> {
    await this.change(claim, RELEASED);
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
const NOTHING_READ = { size: null, sha256: null, lengthVerified: null };
