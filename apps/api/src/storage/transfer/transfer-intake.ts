import { randomUUID } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { redactSourceUrl } from '../source/source-url.js';
import { StorageError } from '../storage.errors.js';
import { STORAGE_OPTIONS, type StorageOptions } from '../storage.options.js';
import { type NewStorageFile, type StorageFile, StorageFileRepository } from '../storage-file.repository.js';
import { type RemoteFile, SourceOpener, type StreamedFile } from './source-opener.js';
import { TransferQueue, ticketOf } from './transfer-queue.js';
import { assertIdempotencyKey, assertNewFile } from './transfer-request.js';
import { TransferStateRepository } from './transfer-state.repository.js';
import { WorkspaceQuotaRepository } from './workspace-quota.repository.js';

/** A stream that waits longer than this for a slot is given up, in ms: another process can only end its row. */
const STREAM_PATIENCE_MS = 60 * 60_000;

type IdentifiedFile = NewStorageFile & { id: string };

/** Turns requests into rows: once for each request, and with the ticket that brings them to an end. */
@Injectable()
export class TransferIntake {
  constructor(
    private readonly files: StorageFileRepository,
    private readonly state: TransferStateRepository,
    private readonly queue: TransferQueue,
    private readonly sources: SourceOpener,
    private readonly quotas: WorkspaceQuotaRepository,
    @Inject(STORAGE_OPTIONS) private readonly options: StorageOptions,
  ) {}

  /**
   * The row of the request: a new one, the one that it made before, or that one waiting again where it had FAILED.
   *
   * @param delayMs before other processes look at the row
   * @throws StorageError INVALID_*, SOURCE_URL_INVALID, SOURCE_ADDRESS_BLOCKED, WORKSPACE_NOT_FOUND, PATH_TAKEN,
   * IDEMPOTENCY_KEY_REUSED, QUOTA_EXCEEDED
   */
  async acceptRemote(request: RemoteFile, delayMs: number): Promise<StorageFile> {
    const target = this.sources.parse(request);
    assertNewFile(request);
    assertIdempotencyKey(request.idempotencyKey);
    const id = randomUUID();
    const sourceUrl = redactSourceUrl(target.url);
    const { createdBy, idempotencyKey } = request;
    const columns = {
      ...this.sources.toColumns(id, request, target),
      ...(createdBy !== undefined ? { createdBy } : {}),
    };
    const made = await this.create(
      {
        ...this.describe(id, request),
        ...columns,
        sourceUrl,
        ...(idempotencyKey !== undefined ? { idempotencyKey } : {}),
      },
      delayMs,
    );
    if (made instanceof StorageError) {
      const existing = await this.findSame(request, sourceUrl, made);
      if (existing.transferStatus === 'DONE') return existing;
      const fresh = this.sources.toColumns(existing.id, request, target);
      const renewed = await this.state.renewRequest(existing, fresh);
      return renewed ?? (await this.state.reopen(existing, { delayMs, request: fresh })) ?? existing;
    }
    return made;
  }

  /**
   * The same for bytes of this process. Two streams cannot be compared: only one whose file FAILED may be followed by
   * another, and of several that come at once only the one that makes the row wait again.
   */
  async acceptStream(request: StreamedFile): Promise<StorageFile> {
    assertNewFile(request);
    const made = await this.create(this.describe(randomUUID(), request), STREAM_PATIENCE_MS);
    if (!(made instanceof StorageError)) return made;
    const existing = await this.findSame(request, null, made);
    const reopened = await this.state.reopen(existing, { delayMs: STREAM_PATIENCE_MS, from: ['FAILED'] });
    if (reopened === null) throw made;
    return reopened;
  }

  private describe(id: string, { workspaceId, path, type, mimeType }: RemoteFile | StreamedFile): IdentifiedFile {
    return { id, workspaceId, path, type, bucket: this.options.store.bucket, ...(mimeType ? { mimeType } : {}) };
  }

  /** Row and ticket in one transaction; the error, when the path or the key is taken. */
  private async create(file: IdentifiedFile, delayMs: number): Promise<StorageFile | StorageError> {
    const ticket = ticketOf(file, delayMs);
    try {
      return await this.files.create(file, async (transaction) => {
        await this.queue.send(transaction, ticket);
        await this.quotas.countFile(transaction, file.workspaceId);
      });
    } catch (error) {
      if (error instanceof StorageError && error.code === 'PATH_TAKEN') return error;
      throw error;
    }
  }

  /** @throws taken when the row that is in the way is not that of this request */
  private async findSame(
    { workspaceId, path, ...request }: RemoteFile | StreamedFile,
    sourceUrl: string | null,
    taken: StorageError,
  ): Promise<StorageFile> {
    const { bucket } = this.options.store;
    const key = 'idempotencyKey' in request ? request.idempotencyKey : undefined;
    const byKey = key === undefined ? null : await this.files.findByIdempotencyKey(workspaceId, key);
    const existing = byKey ?? (await this.files.findByPath({ workspaceId, bucket, path }));
    const isSame = existing?.path === path && existing.sourceUrl === sourceUrl && existing.deletedAt === null;
    if (existing !== null && isSame) return existing;
    if (byKey === null) throw taken;
    throw new StorageError('IDEMPOTENCY_KEY_REUSED', 'the idempotency key belongs to another request', {
      cause: taken,
    });
  }
}
