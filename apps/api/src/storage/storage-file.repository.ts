import { Injectable } from '@nestjs/common';
import type { FileTransferStatus, StorageAttempt, StorageFile } from '../generated/prisma/client.js';
import { Prisma } from '../generated/prisma/client.js';
import { afterPosition, formatCursor, parseCursor } from '../prisma/page-cursor.js';
import { PrismaService, type Transaction } from '../prisma/prisma.service.js';
import { StorageError } from './storage.errors.js';

export type { FileTransferStatus, StorageAttempt, StorageFile };

/** Tries of one file that are shown at once: the last ones. */
const SHOWN_ATTEMPTS = 100;

/** In the outbox, of soft deletions and, from the trigger `core_storage_file_deleted`, of hard ones. */
const DELETED_EVENT = 'storage.file.deleted';

/** A row by its id, seen only from its workspace. */
export interface FileKey {
  workspaceId: string;
  id: string;
}

/** Runs in the transaction that inserts a row. */
export type WithinInsert = (transaction: Transaction) => Promise<void>;

export interface NewStorageFile {
  /** Made by the database when absent. */
  id?: string;
  workspaceId: string;
  type: string;
  path: string;
  bucket: string;
  mimeType?: string;
  /** Without query and userinfo: they hold secrets, and users read rows. */
  sourceUrl?: string;
  /** The whole source, encrypted for this id. */
  sourceSealed?: Uint8Array<ArrayBuffer>;
  /** What else was asked for; holds no secret. */
  request?: Prisma.InputJsonObject;
  createdBy?: string;
  idempotencyKey?: string;
}

export interface ListFiles {
  workspaceId: string;
  /** `nextCursor` of the page before. */
  cursor?: string;
  /** Rows a page, 1 to 100. */
  limit: number;
  status?: FileTransferStatus;
  type?: string;
}

export interface FilePlaces {
  workspaceId: string;
  bucket: string;
  ids: readonly string[];
  paths: readonly string[];
}

export interface FilePage {
  files: StorageFile[];
  /** Absent on the last page. */
  nextCursor?: string;
}

/** Rows of StorageFile, always within one workspace. Who moves a row from status to status is not decided here. */
@Injectable()
export class StorageFileRepository {
  constructor(private readonly prisma: PrismaService) {}

  /**
   * Inserts a PENDING row, and with it what `within` does. The path belongs to it until it is hard-deleted.
   *
   * @throws StorageError PATH_TAKEN (or its idempotency key), WORKSPACE_NOT_FOUND
   */
  async create(file: NewStorageFile, within?: WithinInsert): Promise<StorageFile> {
    try {
      if (within === undefined) return await this.prisma.client.storageFile.create({ data: file });
      return await this.prisma.transaction(async (transaction) => {
        const created = await transaction.storageFile.create({ data: file });
        await within(transaction);
        return created;
      });
    } catch (error) {
      if (isPrismaError(error, 'P2002')) {
        throw new StorageError('PATH_TAKEN', `path ${file.path} already belongs to another file`, { cause: error });
      }
      if (isPrismaError(error, 'P2003')) {
        throw new StorageError('WORKSPACE_NOT_FOUND', `workspace ${file.workspaceId} does not exist`, { cause: error });
      }
      throw error;
    }
  }

  /** Soft-deleted rows are found too: `deletedAt` says so. */
  async findById({ workspaceId, id }: FileKey): Promise<StorageFile | null> {
    return await this.prisma.client.storageFile.findFirst({ where: { workspaceId, id } });
  }

  /** The last tries of a file, newest first. */
  async listAttempts({ workspaceId, id }: FileKey): Promise<StorageAttempt[]> {
    return await this.prisma.client.storageAttempt.findMany({
      where: { fileId: id, file: { workspaceId } },
      orderBy: { number: 'desc' },
      take: SHOWN_ATTEMPTS,
    });
  }

  async findByIdempotencyKey(workspaceId: string, idempotencyKey: string): Promise<StorageFile | null> {
    return await this.prisma.client.storageFile.findFirst({ where: { workspaceId, idempotencyKey } });
  }

  async findByPath(place: { workspaceId: string; bucket: string; path: string }): Promise<StorageFile | null> {
    return await this.prisma.client.storageFile.findFirst({ where: place });
  }

  /** The workspace's files that have one of these ids, or one of these paths in `bucket`; soft-deleted ones too. */
  async findByIdsOrPaths(places: FilePlaces): Promise<StorageFile[]> {
    const { workspaceId, bucket, ids, paths } = places;
    return await this.prisma.client.storageFile.findMany({
      where: { workspaceId, OR: [{ id: { in: [...ids] } }, { bucket, path: { in: [...paths] } }] },
    });
  }

  /**
   * One page of a workspace's living files, newest first.
   *
   * @throws StorageError INVALID_CURSOR
   */
  async list({ workspaceId, cursor, limit, status, type }: ListFiles): Promise<FilePage> {
    const after = cursor === undefined ? undefined : parseCursor(cursor);
    if (cursor !== undefined && after === undefined) {
      throw new StorageError('INVALID_CURSOR', 'cursor is not one that a list gave; start without it');
    }
    const files = await this.prisma.client.storageFile.findMany({
      where: {
        workspaceId,
        deletedAt: null,
        ...(status !== undefined ? { transferStatus: status } : {}),
        ...(type !== undefined ? { type } : {}),
        ...(after !== undefined ? afterPosition(after) : {}),
      },
      orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
      take: limit + 1,
    });
    const last = files.length > limit ? files[limit - 1] : undefined;
    return { files: files.slice(0, limit), ...(last ? { nextCursor: formatCursor(last) } : {}) };
  }

  /**
   * Hides the file, and tells of it with the same statement; its object and path stay, so that it can be restored. Again
   * on a deleted file: no change.
   */
  async softDelete({ workspaceId, id }: FileKey): Promise<void> {
    await this.prisma.client.$executeRaw`
      WITH deleted AS (
        UPDATE core_storage_file SET deleted_at = now() AT TIME ZONE 'UTC', updated_at = now() AT TIME ZONE 'UTC'
        WHERE workspace_id = ${workspaceId}::uuid AND id = ${id}::uuid AND deleted_at IS NULL
        RETURNING *
      )
      INSERT INTO core_outbox_event (type, workspace_id, subject_id, payload)
      SELECT ${DELETED_EVENT}, workspace_id, id, jsonb_build_object('fileId', id, 'workspaceId', workspace_id,
        'type', type, 'path', path, 'bucket', bucket, 'hard', false)
      FROM deleted`;
  }

  /**
   * Brings a soft-deleted file back; null when the workspace has no such file.
   *
   * @throws StorageError FILE_BUSY while its transfer is being ended or its object removed; FILE_PURGED when it is gone
   * for good
   */
  async restore({ workspaceId, id }: FileKey): Promise<StorageFile | null> {
    await this.prisma.client.$executeRaw`
      UPDATE core_storage_file SET deleted_at = NULL
      WHERE workspace_id = ${workspaceId}::uuid AND id = ${id}::uuid AND (lease_until IS NULL OR lease_until < now())
        AND error_code IS DISTINCT FROM 'FILE_DELETED'`;
    const file = await this.findById({ workspaceId, id });
    if (file === null && (await this.wasPurged({ workspaceId, id }))) {
      throw new StorageError('FILE_PURGED', `file ${id} was deleted for good, and its object with it`);
    }
    if (file !== null && file.deletedAt !== null) {
      throw new StorageError('FILE_BUSY', `file ${id} is being removed or its transfer ended; try again in a minute`);
    }
    return file;
  }

  /** Removes the row and frees its path. Only after its object is gone: FileTransferService.deleteFile does both. */
  async hardDelete({ workspaceId, id }: FileKey): Promise<void> {
    await this.prisma.client.storageFile.deleteMany({ where: { workspaceId, id } });
  }

  /** Whatever removed the row, a trigger noted it; for TOMBSTONE_RETENTION_DAYS. */
  private async wasPurged({ workspaceId, id }: FileKey): Promise<boolean> {
    return (await this.prisma.client.storageTombstone.count({ where: { fileId: id, workspaceId } })) > 0;
  }
}

function isPrismaError(error: unknown, code: string): boolean {
  return error instanceof Prisma.PrismaClientKnownRequestError && error.code === code;
}
