import { hostname } from 'node:os';
import { Inject, Injectable } from '@nestjs/common';
import { type ChecksumOrigin, Prisma, type StorageFile } from '../../generated/prisma/client.js';
import { PrismaService } from '../../prisma/prisma.service.js';
import type { SourceVersion } from '../source/source-version.js';
import { STORAGE_OPTIONS, type StorageOptions } from '../storage.options.js';
import type { FileKey } from '../storage-file.repository.js';
import type { StoredPart } from '../upload/stored-part.js';
import { CallGroup } from './call-group.js';
import { type TicketOrigin, TransferQueue, ticketOf } from './transfer-queue.js';
import { TODAY } from './workspace-quota.repository.js';

/** The right to work on a row until `leaseUntil`, and what the owner before left there. */
export interface Claim {
  id: string;
  leaseToken: string;
  attempts: number;
  /** A multipart upload that the owner before began and did not end. */
  uploadId: string | null;
  /** An owner before may have begun another one, and died before it kept the id. */
  isUploadUnknown: boolean;
  /** That owner sent Complete: the upload must not be aborted. `size` and `sha256` are then what it had read. */
  completing: boolean;
  size: bigint | null;
  sha256: string | null;
  lengthVerified: boolean | null;
  /** Tries that failed since somebody asked for the file. */
  retries: number;
  /** Somebody wants the transfer to end. */
  isCancelled: boolean;
  /** Of that upload: the size of its parts, and the version of the source that they are of. */
  partSizeBytes: bigint | null;
  /** The try that began it, or sent the one PUT. */
  uploadAttempt: number | null;
  sourceVersion: unknown;
  /** Owners before that died in a row, none of which stored more than those before it. */
  crashes: number;
}

/** The right to remove a file. */
export interface RemovalClaim extends Claim {
  /** It was DONE before: the object at its path is its own. */
  wasDone: boolean;
}

/** What a try that did not end well leaves in the bucket for the next one, and says of itself. */
export interface Failure {
  /** `CODE: sentence`. */
  readonly transferError: string;
  readonly errorCode: string;
  /** Parts or an object may be left: the row keeps what the next owner needs to look. */
  readonly keepUpload: boolean;
  /** An upload may be left whose id nobody knows. */
  readonly isUploadUnknown: boolean;
}

/** What an entry of the purge table is about. */
export interface PurgePlace {
  readonly fileId: string;
  readonly bucket: string;
  readonly path: string;
  readonly uploadId: string | null;
}

/** A multipart upload that was just begun. */
export interface BegunUpload {
  readonly uploadId: string;
  readonly partSizeBytes: number;
  /** Null where nobody could go on with it: the source names no version, or gives no ranges. */
  readonly sourceVersion: SourceVersion | null;
  /** Another one may have been begun, and its id not read. */
  readonly isAnotherPossible: boolean;
}

/** What was proven of the object of a file that is DONE. */
export interface DoneObject {
  readonly size: number;
  readonly etag: string | null;
  readonly sha256: string | null;
  readonly sha256Origin: ChecksumOrigin | null;
  readonly isLengthVerified: boolean | null;
}

/** What was read of a file whose object is about to be made. */
export interface ReadObject {
  readonly size: number;
  readonly sha256: string | null;
  readonly lengthVerified: boolean;
}

interface OwnerCall {
  readonly claim: Claim;
}

interface ClaimCall {
  readonly id: string;
  readonly leaseMs: number;
}

type CompletingCall = OwnerCall & ReadObject;
type DoneCall = OwnerCall & DoneObject;

interface FileId {
  readonly id: string;
}

/** What a statement does about a row that somebody else has locked. */
type RowLock = 'wait' | 'skip';

/** Columns of a request that is sent anew. */
export type NewRequest = Pick<Prisma.StorageFileUpdateManyMutationInput, 'sourceSealed' | 'request' | 'createdBy'>;

/** How a row is made to wait anew. */
interface ReopenOptions {
  /** Before other processes look at it. */
  readonly delayMs: number;
  readonly request?: NewRequest;
  /** Statuses that it may have. */
  readonly from?: ('FAILED' | 'PENDING')[];
}

/** Of a statement whose last part only counts what it changed. */
interface ChangedRows {
  count: number;
}

/** The database's own clock, in the zone-less UTC that Prisma keeps dates in. */
export const NOW = Prisma.sql`(now() AT TIME ZONE 'UTC')`;
export const IS_UNLEASED = Prisma.sql`(lease_until IS NULL OR lease_until < now())`;
/** Of a Claim all but whose it is. */
const LEFT_COLUMNS = Prisma.sql`attempts, upload_id AS "uploadId", upload_unknown AS "isUploadUnknown", completing, size, sha256,
  length_verified AS "lengthVerified", retries, cancel_requested_at IS NOT NULL AS "isCancelled",
  part_size_bytes AS "partSizeBytes", upload_attempt AS "uploadAttempt", source_version AS "sourceVersion", crashes`;
export const LEASE_COLUMNS = Prisma.sql`id, lease_token AS "leaseToken", ${LEFT_COLUMNS}`;
export const REMOVAL_COLUMNS = Prisma.sql`${LEASE_COLUMNS}, was_done AS "wasDone"`;
/** Of the row's upload. */
const STORED_BYTES = Prisma.sql`(SELECT coalesce(sum(size_bytes), 0) FROM core_storage_part WHERE file_id = file.id)`;
/**
 * A row that is claimed while it is TRANSFERRING had an owner that died. One that sent Complete is not counted: what
 * became of that has to be found out, however often.
 */
const COUNTED_CRASH = Prisma.sql`
  crashes = CASE WHEN transfer_status <> 'TRANSFERRING' OR completing THEN 0
    WHEN ${STORED_BYTES} > crashed_at_bytes THEN 1 ELSE crashes + 1 END,
  crashed_at_bytes = CASE WHEN transfer_status <> 'TRANSFERRING' OR completing THEN 0
    ELSE greatest(crashed_at_bytes, ${STORED_BYTES}) END`;
/** Who tries, for people. */
const WORKER = `${hostname()}:${process.pid}`.slice(0, 200);
/** Rows that a recovery changes in one go. */
const RECOVERY_ROWS = 100;
/** Waiting rows that it looks at in one go: nearly always all have their tickets, however many wait. */
const WAITING_ROWS = 1_000;
const FIRST_ID = '00000000-0000-0000-0000-000000000000';
/** A row has its ticket with the transaction that makes it wait; what has none for so long has lost it. */
const FORGOTTEN_AFTER = Prisma.sql`interval '5 seconds'`;
/** Who holds a ticket tells the queue every few seconds that it lives (TransferWorker); one that does not died before its claim. */
const SILENT_AFTER = Prisma.sql`interval '12 seconds'`;
/** A Complete that gave no answer is waited for before anything of its upload is removed: Ceph holds on to one for ten minutes. */
const DUE = Prisma.sql`now() + CASE WHEN completing AND upload_id IS NOT NULL THEN interval '11 minutes' ELSE interval '0' END`;
const WAITING = Prisma.sql`transfer_status IN ('PENDING', 'TRANSFERRING')`;
const FORGOTTEN_SOURCE = Prisma.sql`source_version = NULL, part_size_bytes = NULL`;

/** What the workspaces had of their day, of the files in `done`. */
const BOOKED_BYTES = Prisma.sql`, booked AS (
        INSERT INTO core_storage_usage AS usage (workspace_id, day, bytes)
        SELECT workspace_id, ${TODAY}, sum(size) FROM done GROUP BY workspace_id ORDER BY workspace_id
        ON CONFLICT (workspace_id, day) DO UPDATE SET bytes = usage.bytes + EXCLUDED.bytes
      )`;

/** In order of their ids, so that two statements never wait for each other. */
function forUpdate(lock: RowLock, table: string): Prisma.Sql {
  return Prisma.raw(`ORDER BY ${table}.id FOR NO KEY UPDATE OF ${table} ${lock === 'skip' ? 'SKIP LOCKED' : ''}`);
}

/** What becomes of a row that is taken to be removed. */
export function removalBegun(leaseMs: number): Prisma.Sql {
  return Prisma.sql`was_done = was_done OR transfer_status = 'DONE', transfer_status = 'FAILED',
    transfer_error = 'FILE_DELETED: the removal of this file has begun', error_code = 'FILE_DELETED',
    lease_token = gen_random_uuid(), lease_until = now() + ${leaseMs} * interval '1 millisecond', updated_at = ${NOW}`;
}

/** Calls of owners of rows, answered by whether the row was still theirs. */
function groupOfOwner<Call extends OwnerCall>(
  change: (calls: readonly Call[], lock: RowLock) => Promise<readonly FileId[]>,
): CallGroup<Call, boolean> {
  return new CallGroup<Call, boolean>({
    together: async (calls) => {
      const changed = new Set((await change(calls, 'skip')).map(({ id }) => id));
      return calls.map(({ claim }) => (changed.has(claim.id) ? true : undefined));
    },
    alone: async (call) => (await change([call], 'wait')).length === 1,
  });
}

const idsOf = (calls: readonly OwnerCall[]) => calls.map(({ claim }) => claim.id);
const tokensOf = (calls: readonly OwnerCall[]) => calls.map(({ claim }) => claim.leaseToken);

/** The outbox row of what became of a file; `files` is the name of a WITH query that gives its row. */
function noteEvent(type: string, files: string): Prisma.Sql {
  return Prisma.sql`
    INSERT INTO core_outbox_event (type, workspace_id, subject_id, payload)
    SELECT ${type}, workspace_id, id, jsonb_build_object('fileId', id, 'workspaceId', workspace_id, 'type', type,
      'path', path, 'bucket', bucket, 'size', size::text, 'sha256', sha256, 'errorCode', error_code,
      'transferError', transfer_error)
    FROM ${Prisma.raw(files)}`;
}

/** What the try that ends now is remembered by. */
function endAttempt(outcome: string, files: string, failure?: Failure): Prisma.Sql {
  return Prisma.sql`
    UPDATE core_storage_attempt AS attempt
    SET outcome = ${outcome}, finished_at = now(), error_code = ${failure?.errorCode ?? null}, error = ${failure?.transferError ?? null}
    FROM ${Prisma.raw(files)} AS file
    WHERE attempt.file_id = file.id AND attempt.number = file.attempts`;
}

/**
 * Moves a row PENDING -> TRANSFERRING -> DONE, FAILED, or PENDING again for another try. Each step of an owner is one
 * statement that names the lease token, so that one whose lease another took changes nothing: it then reads "0 rows"
 * and must stop. What ends a row is written with its event for the outbox, what makes it wait with its ticket.
 */
@Injectable()
export class TransferStateRepository {
  private readonly claims = new CallGroup<ClaimCall, Claim | null>({
    together: async (calls) => {
      const claims = new Map((await this.claimAll(calls, 'skip')).map((claim) => [claim.id, claim]));
      return calls.map(({ id }) => {
        const claim = claims.get(id);
        claims.delete(id); // Two that ask for one row at once are two owners.
        return claim;
      });
    },
    alone: async (call) => (await this.claimAll([call], 'wait'))[0] ?? null,
  });
  private readonly completions = groupOfOwner<CompletingCall>((calls, lock) => this.setAllCompleting(calls, lock));
  private readonly endings = groupOfOwner<DoneCall>((calls, lock) => this.markAllDone(calls, lock));
  /** The waiting row that a recovery looked at last. */
  private lookedUpTo = FIRST_ID;

  constructor(
    private readonly prisma: PrismaService,
    private readonly queue: TransferQueue,
    @Inject(STORAGE_OPTIONS) private readonly options: Pick<StorageOptions, 'filesPerDay' | 'bytesPerDay'>,
  ) {}

  /**
   * Takes the row if it waits and its time has come, or if its owner's lease ran out; null when it is not to be had.
   *
   * A row has a lease while what it left is being removed, too. Nor may a transfer begin while the left-overs of
   * another file are being removed from its path: that removal saw the path free, and would take the new object.
   */
  async claim(id: string, leaseMs: number): Promise<Claim | null> {
    return await this.claims.run({ id, leaseMs });
  }

  private async claimAll(calls: readonly ClaimCall[], lock: RowLock): Promise<Claim[]> {
    const ids = calls.map(({ id }) => id);
    const leases = calls.map(({ leaseMs }) => leaseMs);
    return await this.prisma.client.$queryRaw<Claim[]>`
      WITH free AS (
        SELECT core_storage_file.id, call.lease_ms FROM core_storage_file
        JOIN unnest(${ids}::uuid[], ${leases}::float8[]) AS call (id, lease_ms) ON call.id = core_storage_file.id
        WHERE deleted_at IS NULL AND ${WAITING} AND ${IS_UNLEASED}
          AND (next_attempt_at IS NULL OR next_attempt_at <= now() OR cancel_requested_at IS NOT NULL)
          AND NOT EXISTS (
            SELECT FROM core_storage_purge AS purge
            WHERE purge.bucket = core_storage_file.bucket AND purge.path = core_storage_file.path
              AND purge.file_id <> core_storage_file.id AND purge.removing AND purge.next_attempt_at > now())
        ${forUpdate(lock, 'core_storage_file')}
      ), claimed AS (
        UPDATE core_storage_file AS file
        SET transfer_status = 'TRANSFERRING', lease_token = gen_random_uuid(),
            lease_until = now() + free.lease_ms * interval '1 millisecond',
            attempts = attempts + 1, next_attempt_at = NULL, transfer_error = NULL, error_code = NULL,
            bytes_transferred = NULL, total_bytes = NULL, finished_at = NULL, updated_at = ${NOW}, ${COUNTED_CRASH}
        FROM free WHERE file.id = free.id
        RETURNING file.*
      ), lost AS (
        UPDATE core_storage_attempt AS attempt SET outcome = 'LOST', finished_at = now()
        FROM claimed WHERE attempt.file_id = claimed.id AND attempt.outcome IS NULL
      ), noted AS (
        INSERT INTO core_storage_attempt (file_id, number, worker) SELECT id, attempts, ${WORKER} FROM claimed
      )
      SELECT ${LEASE_COLUMNS} FROM claimed`;
  }

  /**
   * Takes the row, whatever its status, to remove it; null while an owner's lease lives or when the row is gone.
   *
   * From here on it is not DONE: a removal that breaks off may have taken the object, and a restored row would say
   * that it is there.
   */
  async claimForRemoval({ id, workspaceId }: FileKey, leaseMs: number): Promise<RemovalClaim | null> {
    const rows = await this.prisma.client.$queryRaw<RemovalClaim[]>`
      UPDATE core_storage_file SET ${removalBegun(leaseMs)}
      WHERE id = ${id}::uuid AND workspace_id = ${workspaceId}::uuid
        AND deleted_at IS NOT NULL AND ${IS_UNLEASED}
      RETURNING ${REMOVAL_COLUMNS}`;
    return rows[0] ?? null;
  }

  /**
   * Takes a FAILED or deleted row to remove what it left in the bucket, and leaves its status and error as they are;
   * null while an owner's lease lives, when the row waits for an owner, and when its object belongs to it.
   *
   * The row forgets the upload that is about to be aborted, so that no later owner goes on with it; the claim still
   * tells of it, and the entry keeps it.
   */
  async claimForPurge(place: PurgePlace, leaseMs: number): Promise<Claim | null> {
    const rows = await this.prisma.client.$queryRaw<Claim[]>`
      WITH before AS (
        SELECT * FROM core_storage_file
        WHERE id = ${place.fileId}::uuid AND bucket = ${place.bucket} AND path = ${place.path}
          AND (transfer_status = 'FAILED' OR (deleted_at IS NOT NULL AND transfer_status <> 'DONE')) AND ${IS_UNLEASED}
        FOR UPDATE
      ), taken AS (
        UPDATE core_storage_file AS file
        SET lease_token = gen_random_uuid(), lease_until = now() + ${leaseMs} * interval '1 millisecond',
            upload_id = nullif(file.upload_id, ${place.uploadId}),
            completing = file.completing AND file.upload_id IS DISTINCT FROM ${place.uploadId}
        FROM before WHERE file.id = before.id
        RETURNING file.id, file.lease_token
      )
      SELECT before.id, taken.lease_token AS "leaseToken", ${LEFT_COLUMNS}
      FROM before JOIN taken ON taken.id = before.id`;
    return rows[0] ?? null;
  }

  /**
   * Lengthens the lease, and writes how far the transfer is, if told. 'lost': another owns the row, or it is gone.
   * 'deleted', 'cancelled': somebody wants the transfer to end.
   */
  async renew(
    { id, leaseToken }: Claim,
    leaseMs: number,
    progress?: { bytes: number; totalBytes: number | null },
  ): Promise<'held' | 'deleted' | 'cancelled' | 'lost'> {
    const rows = await this.prisma.client.$queryRaw<{ isDeleted: boolean; isCancelled: boolean }[]>`
      UPDATE core_storage_file
      SET lease_until = now() + ${leaseMs} * interval '1 millisecond', updated_at = ${NOW},
          bytes_transferred = coalesce(${progress?.bytes ?? null}, bytes_transferred),
          total_bytes = coalesce(${progress?.totalBytes ?? null}, total_bytes)
      WHERE id = ${id}::uuid AND lease_token = ${leaseToken}::uuid
      RETURNING deleted_at IS NOT NULL AS "isDeleted", cancel_requested_at IS NOT NULL AS "isCancelled"`;
    if (rows[0] === undefined) return 'lost';
    if (rows[0].isDeleted) return 'deleted';
    return rows[0].isCancelled ? 'cancelled' : 'held';
  }

  /** Says that an upload is about to be begun, whose id is not known yet. False: the lease is lost. */
  async announceUpload(claim: Claim): Promise<boolean> {
    return await this.change(claim, { uploadUnknown: true });
  }

  /** Says that every upload is gone whose id was not known. */
  async forgetUnknownUploads(claim: Claim): Promise<void> {
    await this.change(claim, { uploadUnknown: false });
  }

  /**
   * Keeps the id of a new multipart upload before its first part, and what a next owner needs to go on with it. False:
   * the lease is lost, and the upload, which nobody goes on with, is the purge worker's.
   */
  async setUpload({ id, leaseToken }: Claim, upload: BegunUpload): Promise<boolean> {
    const [changed] = await this.prisma.client.$queryRaw<ChangedRows[]>`
      WITH begun AS (
        UPDATE core_storage_file
        SET ${FORGOTTEN_READ}, upload_id = ${upload.uploadId}, upload_attempt = attempts, upload_unknown = ${upload.isAnotherPossible}, part_size_bytes = ${BigInt(upload.partSizeBytes)},
            source_version = ${upload.sourceVersion === null ? null : JSON.stringify(upload.sourceVersion)}::jsonb
        WHERE id = ${id}::uuid AND lease_token = ${leaseToken}::uuid
        RETURNING id
      ), forgotten AS (DELETE FROM core_storage_part AS part USING begun WHERE part.file_id = begun.id
      ), noted AS (
        INSERT INTO core_storage_purge (bucket, path, file_id, upload_id)
        SELECT bucket, path, id, ${upload.uploadId} FROM core_storage_file
        WHERE id = ${id}::uuid AND NOT EXISTS (SELECT FROM begun)
      )
      SELECT count(*)::int AS count FROM begun`;
    return changed?.count === 1;
  }

  /**
   * Takes the upload out of the row and into the purge table, before anybody aborts it: an owner that goes on with the
   * row can then not be going on with this upload. False: the lease is lost.
   */
  async detachUpload({ id, leaseToken }: Claim): Promise<boolean> {
    const [changed] = await this.prisma.client.$queryRaw<ChangedRows[]>`
      WITH held AS (
        SELECT id, bucket, path, upload_id FROM core_storage_file
        WHERE id = ${id}::uuid AND lease_token = ${leaseToken}::uuid
        FOR UPDATE
      ), detached AS (
        UPDATE core_storage_file AS file SET ${FORGOTTEN_UPLOAD}, ${FORGOTTEN_SOURCE}
        FROM held WHERE file.id = held.id
        RETURNING file.id
      ), forgotten AS (DELETE FROM core_storage_part AS part USING detached WHERE part.file_id = detached.id
      ), replaced AS (
        DELETE FROM core_storage_purge AS purge USING held
        WHERE purge.bucket = held.bucket AND purge.path = held.path AND purge.file_id = held.id
          AND purge.upload_id = held.upload_id
      ), noted AS (
        INSERT INTO core_storage_purge (bucket, path, file_id, upload_id)
        SELECT bucket, path, id, upload_id FROM held WHERE upload_id IS NOT NULL
      )
      SELECT count(*)::int AS count FROM detached`;
    return changed?.count === 1;
  }

  /** Of an upload that was detached: no part of it is left, and no request of it can land any more. */
  async forgetDetached({ id }: Claim, uploadId: string): Promise<void> {
    await this.prisma.client.storagePurge.deleteMany({ where: { fileId: id, uploadId } });
  }

  /** Writes down a part that the store took. False: the lease is lost. */
  async addPart({ id, leaseToken }: Claim, uploadId: string, part: StoredPart): Promise<boolean> {
    const count = await this.prisma.client.$executeRaw`
      INSERT INTO core_storage_part (file_id, number, upload_id, size_bytes, etag, digest)
      SELECT id, ${part.number}, upload_id, ${BigInt(part.sizeBytes)}, ${part.etag}, ${part.digest}
      FROM core_storage_file
      WHERE id = ${id}::uuid AND lease_token = ${leaseToken}::uuid AND upload_id = ${uploadId}
      FOR KEY SHARE -- A row that is being removed is waited for: without it the part would break the foreign key.
      ON CONFLICT (file_id, number) DO UPDATE
      SET upload_id = EXCLUDED.upload_id, size_bytes = EXCLUDED.size_bytes, etag = EXCLUDED.etag, digest = EXCLUDED.digest`;
    return count === 1;
  }

  /** Of the row's upload, in order. */
  async listParts({ id, uploadId }: Claim): Promise<StoredPart[]> {
    const parts = await this.prisma.client.storagePart.findMany({
      where: { fileId: id, uploadId: uploadId ?? '' },
      orderBy: { number: 'asc' },
    });
    return parts.map(({ number, sizeBytes, etag, digest }) => ({ number, sizeBytes: Number(sizeBytes), etag, digest }));
  }

  /** Says of the try under way how much of the file it did not have to read. */
  async noteResumption({ id, attempts }: Claim, fromBytes: number): Promise<void> {
    await this.prisma.client.storageAttempt.updateMany({
      where: { fileId: id, number: attempts },
      data: { resumedFromBytes: BigInt(fromBytes) },
    });
  }

  /**
   * Says that Complete is about to be sent, and what was read; no SHA-256 where a part of it was read by another owner.
   * False: the lease is lost.
   */
  async setCompleting(claim: Claim, read: ReadObject): Promise<boolean> {
    return await this.completions.run({ ...read, claim });
  }

  private async setAllCompleting(calls: readonly CompletingCall[], lock: RowLock): Promise<FileId[]> {
    return await this.prisma.client.$queryRaw<FileId[]>`
      WITH held AS (
        SELECT file.id, call.size, call.sha256, call.length_verified FROM core_storage_file AS file
        JOIN unnest(${idsOf(calls)}::uuid[], ${tokensOf(calls)}::uuid[], ${calls.map(({ size }) => BigInt(size))}::bigint[],
          ${calls.map(({ sha256 }) => sha256)}::text[], ${calls.map(({ lengthVerified }) => lengthVerified)}::boolean[]
        ) AS call (id, lease_token, size, sha256, length_verified)
          ON file.id = call.id AND file.lease_token = call.lease_token
        ${forUpdate(lock, 'file')}
      )
      UPDATE core_storage_file AS file
      SET completing = true, size = held.size, sha256 = held.sha256, length_verified = held.length_verified,
          upload_attempt = coalesce(file.upload_attempt, file.attempts)
      FROM held WHERE file.id = held.id
      RETURNING file.id`;
  }

  /** Purge entries of the upload that made the object end with it: from here on an Abort could destroy the object. */
  async markDone(claim: Claim, object: DoneObject): Promise<boolean> {
    return await this.endings.run({ ...object, claim });
  }

  private async markAllDone(calls: readonly DoneCall[], lock: RowLock): Promise<FileId[]> {
    return await this.prisma.client.$queryRaw<FileId[]>`
      WITH held AS (
        SELECT file.id, file.bucket, file.path, file.upload_id, call.size AS done_size, call.etag AS done_etag,
          call.sha256 AS done_sha256, call.sha256_origin AS done_origin, call.length_verified AS done_verified
        FROM core_storage_file AS file
        JOIN unnest(${idsOf(calls)}::uuid[], ${tokensOf(calls)}::uuid[], ${calls.map(({ size }) => BigInt(size))}::bigint[],
          ${calls.map(({ etag }) => etag)}::text[], ${calls.map(({ sha256 }) => sha256)}::text[],
          ${calls.map(({ sha256Origin }) => sha256Origin)}::text[],
          ${calls.map(({ isLengthVerified }) => isLengthVerified)}::boolean[]
        ) AS call (id, lease_token, size, etag, sha256, sha256_origin, length_verified)
          ON file.id = call.id AND file.lease_token = call.lease_token
        ${forUpdate(lock, 'file')}
      ), done AS (
        UPDATE core_storage_file AS file
        SET transfer_status = 'DONE', size = done_size, etag = done_etag, sha256 = done_sha256,
            sha256_origin = done_origin::"ChecksumOrigin", length_verified = done_verified, bytes_transferred = done_size,
            total_bytes = done_size, transfer_error = NULL, error_code = NULL, lease_token = NULL,
            lease_until = NULL, upload_id = NULL, upload_attempt = NULL, completing = false, ${FORGOTTEN_SOURCE}, source_sealed = NULL,
            retries = 0, next_attempt_at = NULL, cancel_requested_at = NULL, finished_at = ${NOW}, updated_at = ${NOW}
        FROM held WHERE file.id = held.id
        RETURNING file.*
      ), told AS (${noteEvent('storage.file.done', 'done')}
      ), ended AS (${endAttempt('DONE', 'done')}
      ), forgotten AS (
        DELETE FROM core_storage_part AS part USING done WHERE part.file_id = done.id
      ), settled AS (
        DELETE FROM core_storage_purge AS purge USING held
        WHERE purge.bucket = held.bucket AND purge.path = held.path AND purge.file_id = held.id
          AND purge.upload_id = held.upload_id
      )${this.options.filesPerDay + this.options.bytesPerDay > 0 ? BOOKED_BYTES : Prisma.empty}
      SELECT id FROM done`;
  }

  /**
   * `keepUpload`: parts or an object may be left. The row keeps what the next owner needs to look, and an entry for the
   * purge worker is made with it, instead of one that says the same.
   */
  async markFailed({ id, leaseToken }: Claim, failure: Failure): Promise<boolean> {
    const outcome = failure.errorCode === 'TRANSFER_CANCELLED' ? 'CANCELLED' : 'FAILED';
    const [changed] = await this.prisma.client.$queryRaw<ChangedRows[]>`
      WITH failed AS (
        UPDATE core_storage_file
        SET transfer_status = 'FAILED', transfer_error = ${failure.transferError}, error_code = ${failure.errorCode},
            lease_token = NULL, lease_until = NULL, next_attempt_at = NULL, cancel_requested_at = NULL,
            ${failure.keepUpload ? KEPT_UPLOAD : FORGOTTEN_UPLOAD}, upload_unknown = false, ${FORGOTTEN_SOURCE},
            finished_at = ${NOW}, updated_at = ${NOW}
        WHERE id = ${id}::uuid AND lease_token = ${leaseToken}::uuid
        RETURNING *
      ), told AS (${noteEvent('storage.file.failed', 'failed')}
      ), ended AS (${endAttempt(outcome, 'failed', failure)}
      ), forgotten AS (
        DELETE FROM core_storage_part AS part USING failed WHERE part.file_id = failed.id
      ), replaced AS (
        DELETE FROM core_storage_purge AS purge USING failed
        WHERE purge.bucket = failed.bucket AND purge.path = failed.path AND purge.file_id = failed.id
          AND (${failure.keepUpload} AND purge.upload_id IS NOT DISTINCT FROM failed.upload_id
            OR ${failure.isUploadUnknown} AND purge.upload_id IS NULL)
      ), noted AS (
        INSERT INTO core_storage_purge (bucket, path, file_id, upload_id, next_attempt_at)
        SELECT bucket, path, id, upload_id, ${DUE} FROM failed WHERE ${failure.keepUpload}
        UNION SELECT bucket, path, id, NULL, ${DUE} FROM failed WHERE ${failure.isUploadUnknown}
      )
      SELECT count(*)::int AS count FROM failed`;
    return changed?.count === 1;
  }

  /**
   * Makes the row wait for another try, with the ticket for it. `isCounted`: the try failed; one that was handed over
   * by a process that stops did not, nor one that waits for a quota, whose error is told all the same (`isTold`). False:
   * the lease is lost.
   */
  async requeue(
    claim: Claim,
    {
      delayMs,
      failure,
      isCounted,
      isTold = isCounted,
    }: { delayMs: number; failure: Failure; isCounted: boolean; isTold?: boolean },
  ): Promise<boolean> {
    return await this.prisma.transaction(async (transaction) => {
      const [row] = await transaction.$queryRaw<TicketOrigin[]>`
        WITH waiting AS (
          UPDATE core_storage_file
          SET transfer_status = 'PENDING', lease_token = NULL, lease_until = NULL,
              transfer_error = ${isTold ? failure.transferError : null}, error_code = ${isTold ? failure.errorCode : null},
              retries = retries + ${isCounted ? 1 : 0}, updated_at = ${NOW},
              next_attempt_at = now() + ${delayMs} * interval '1 millisecond', upload_unknown = ${failure.isUploadUnknown},
              ${failure.keepUpload ? KEPT_UPLOAD : Prisma.sql`${FORGOTTEN_UPLOAD}, ${FORGOTTEN_SOURCE}`}
          WHERE id = ${claim.id}::uuid AND lease_token = ${claim.leaseToken}::uuid
          RETURNING *
        ), ended AS (${endAttempt(isTold ? 'RETRYING' : 'HANDED_OVER', 'waiting', failure)}
        ), forgotten AS (
          DELETE FROM core_storage_part AS part USING waiting
          WHERE part.file_id = waiting.id AND ${!failure.keepUpload}
        )
        SELECT id, workspace_id AS "workspaceId", source_url AS "sourceUrl" FROM waiting`;
      if (row === undefined) return false;
      await this.queue.sendAgain(transaction, ticketOf(row, delayMs));
      return true;
    });
  }

  /** Makes a FAILED row wait again, or one that waits for its next try wait no longer. Null: it is not in `from`. */
  async reopen(
    { id, workspaceId }: FileKey,
    { delayMs, request, from = ['FAILED', 'PENDING'] }: ReopenOptions,
  ): Promise<StorageFile | null> {
    return await this.prisma.transaction(async (transaction) => {
      const { count } = await transaction.storageFile.updateMany({
        where: { id, workspaceId, deletedAt: null, transferStatus: { in: from } },
        data: {
          transferStatus: 'PENDING',
          retries: 0,
          nextAttemptAt: null,
          cancelRequestedAt: null,
          finishedAt: null,
          ...request,
        },
      });
      if (count === 0) return null;
      const file = await transaction.storageFile.findUniqueOrThrow({ where: { id } });
      await this.queue.sendAgain(transaction, ticketOf(file, delayMs));
      return file;
    });
  }

  /** Gives a row that waits or is under way the newer source for its next try. Null: it has ended. */
  async renewRequest({ id, workspaceId }: FileKey, request: NewRequest): Promise<StorageFile | null> {
    const [file] = await this.prisma.client.storageFile.updateManyAndReturn({
      where: { id, workspaceId, transferStatus: { in: ['PENDING', 'TRANSFERRING'] } },
      data: request,
    });
    return file ?? null;
  }

  /** Tells whoever owns the row, now or next, to end the transfer. False: it has ended already. */
  async requestCancel({ id, workspaceId }: FileKey): Promise<boolean> {
    const count = await this.prisma.client.$executeRaw`
      UPDATE core_storage_file SET cancel_requested_at = coalesce(cancel_requested_at, now())
      WHERE id = ${id}::uuid AND workspace_id = ${workspaceId}::uuid AND ${WAITING}`;
    return count === 1;
  }

  /**
   * Sends tickets for rows whose owner died, and for those that wait and have none: a process that took a ticket and could
   * not reach the database ends it all the same. Ends deleted rows; what they left goes to the purge worker.
   */
  async recover(): Promise<number> {
    await this.endDeleted();
    return (await this.recoverAbandoned()) + (await this.recoverForgotten());
  }

  /** Goes on where it ended, and begins again after the last row. */
  private async recoverForgotten(): Promise<number> {
    const waiting = await this.prisma.client.$queryRaw<(TicketOrigin & { isForgotten: boolean })[]>`
      WITH waiting AS MATERIALIZED (
        SELECT id, workspace_id, source_url, updated_at, next_attempt_at FROM core_storage_file
        WHERE transfer_status = 'PENDING' AND deleted_at IS NULL AND id > ${this.lookedUpTo}::uuid
        ORDER BY id LIMIT ${WAITING_ROWS}
      )
      SELECT id, workspace_id AS "workspaceId", source_url AS "sourceUrl",
        updated_at < ${NOW} - ${FORGOTTEN_AFTER} AND (next_attempt_at IS NULL OR next_attempt_at < now() - ${FORGOTTEN_AFTER})
        -- Written as the index of these tickets is, one of which stands behind nearly every row.
        AND NOT EXISTS (
          SELECT FROM pgboss.job
          WHERE name = 'storage-transfer' AND policy = 'short' AND state = 'created'
            AND coalesce(singleton_key, '') = waiting.id::text)
        -- As many as are under way.
        AND id::text NOT IN (
          SELECT singleton_key FROM pgboss.job
          WHERE name = 'storage-transfer' AND singleton_key IS NOT NULL
            AND (state = 'retry' OR state = 'active' AND coalesce(heartbeat_on, started_on) > now() - ${SILENT_AFTER})
        ) AS "isForgotten"
      FROM waiting ORDER BY id`;
    this.lookedUpTo = waiting.length < WAITING_ROWS ? FIRST_ID : (waiting.at(-1)?.id ?? FIRST_ID);
    const forgotten = waiting.filter(({ isForgotten }) => isForgotten);
    for (const row of forgotten) await this.queue.sendAgain(this.prisma.client, ticketOf(row));
    return forgotten.length;
  }

  private async recoverAbandoned(): Promise<number> {
    const orphans = await this.prisma.client.$queryRaw<TicketOrigin[]>`
      SELECT id, workspace_id AS "workspaceId", source_url AS "sourceUrl" FROM core_storage_file
      WHERE transfer_status = 'TRANSFERRING' AND ${IS_UNLEASED} AND deleted_at IS NULL
      ORDER BY lease_until LIMIT ${RECOVERY_ROWS}`;
    for (const orphan of orphans) await this.queue.sendAgain(this.prisma.client, ticketOf(orphan));
    return orphans.length;
  }

  private async endDeleted(): Promise<void> {
    const transferError = 'TRANSFER_CANCELLED: the file was deleted';
    await this.prisma.client.$executeRaw`
      WITH before AS (
        SELECT * FROM core_storage_file WHERE deleted_at IS NOT NULL AND ${WAITING} AND ${IS_UNLEASED}
        LIMIT ${RECOVERY_ROWS} FOR UPDATE SKIP LOCKED
      ), ended AS (
        UPDATE core_storage_file AS file
        SET transfer_status = 'FAILED', transfer_error = ${transferError}, error_code = 'TRANSFER_CANCELLED',
            lease_token = NULL, lease_until = NULL, next_attempt_at = NULL, ${FORGOTTEN_UPLOAD}, upload_unknown = false,
            ${FORGOTTEN_SOURCE}, finished_at = ${NOW}, updated_at = ${NOW}
        FROM before WHERE file.id = before.id
      ), lost AS (
        UPDATE core_storage_attempt AS attempt SET outcome = 'LOST', finished_at = now()
        WHERE attempt.file_id = ANY (ARRAY(SELECT id FROM before)) AND attempt.outcome IS NULL
      ), forgotten AS (DELETE FROM core_storage_part WHERE file_id = ANY (ARRAY(SELECT id FROM before))
      )
      INSERT INTO core_storage_purge (bucket, path, file_id, upload_id, next_attempt_at)
      SELECT bucket, path, id, upload_id, ${DUE} FROM before WHERE attempts > 0
      UNION SELECT bucket, path, id, NULL, ${DUE} FROM before WHERE upload_unknown`;
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

  async findAll(ids: readonly string[]): Promise<StorageFile[]> {
    return await this.prisma.client.storageFile.findMany({ where: { id: { in: [...ids] } } });
  }

  private async change({ id, leaseToken }: Claim, data: Prisma.StorageFileUpdateManyMutationInput): Promise<boolean> {
    const { count } = await this.prisma.client.storageFile.updateMany({ where: { id, leaseToken }, data });
    return count === 1;
  }
}

const KEPT_UPLOAD = Prisma.sql`upload_id = upload_id`;
const FORGOTTEN_READ = Prisma.sql`completing = false, size = NULL, sha256 = NULL, length_verified = NULL`;
const FORGOTTEN_UPLOAD = Prisma.sql`upload_id = NULL, upload_attempt = NULL, ${FORGOTTEN_READ}`;
const RELEASED = { leaseToken: null, leaseUntil: null };
const NO_UPLOAD = {
  uploadId: null,
  uploadAttempt: null,
  completing: false,
  size: null,
  sha256: null,
  lengthVerified: null,
};
