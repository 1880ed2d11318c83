import { Body, Controller, Delete, Get, Header, Headers, HttpCode, Param, Post, Query, Req } from '@nestjs/common';
import {
  ApiAcceptedResponse,
  ApiHeader,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiOperation,
  ApiTags,
} from '@nestjs/swagger';
import { z } from 'zod';
import type { GuardedRequest } from '../auth/bearer-token.guard.js';
import { ApiProblems } from '../http/api-problems.decorator.js';
import { idSchema, type PresignedUrlDto, pageFields, presignedUrlSchema } from '../http/request-schemas.js';
import { FileTransferService, type RemoteFile } from '../storage/file-transfer.service.js';
import { StorageError } from '../storage/storage.errors.js';
import { type StorageFile, StorageFileRepository } from '../storage/storage-file.repository.js';
import {
  attemptListSchema,
  type FileDto,
  filePageSchema,
  fileSchema,
  fileStatusSchema,
  type NewImportDto,
  newImportSchema,
  toAttemptDto,
  toFileDto,
  toUsageDto,
  usageSchema,
} from './file.dto.js';

const listSchema = z.strictObject({
  ...pageFields,
  status: fileStatusSchema.optional(),
  type: z
    .string()
    .max(100)
    .regex(/^[\w.:/-]+$/, 'must be of a-z, 0-9 and _ . : / -')
    .optional(),
});
const urlSchema = z.strictObject({
  expiresIn: z.coerce
    .number('must be a whole number')
    .int('must be a whole number')
    .min(1, 'must be at least 1')
    .max(604_800, 'must be at most 604800')
    .default(3_600)
    .meta({ description: 'Seconds' }),
  disposition: z
    .enum(['inline', 'attachment'])
    .optional()
    .meta({ description: 'Absent: inline where the type cannot run scripts; such types are always attachments' }),
  filename: z.string().min(1).max(150).optional().meta({ description: 'Absent: the last segment of the path' }),
});
const deleteSchema = z.strictObject({
  hard: z
    .enum(['true', 'false'])
    .default('false')
    .transform((text) => text === 'true')
    .meta({ description: 'true: row and object are gone for good' }),
});

/** Files of a workspace. Every query has the workspace in it: an id of another's is not found. */
@ApiTags('files')
@Controller('workspaces/:workspaceId/files')
export class FilesController {
  constructor(
    private readonly files: StorageFileRepository,
    private readonly transfers: FileTransferService,
  ) {}

  @Get()
  @ApiOperation({ summary: 'Files that are not deleted, newest first' })
  @ApiOkResponse({ description: 'One page', standardSchema: filePageSchema })
  @ApiProblems({ 400: 'INVALID_REQUEST, INVALID_CURSOR' })
  async list(
    @Param('workspaceId', { schema: idSchema }) workspaceId: string,
    @Query({ schema: listSchema }) query: z.output<typeof listSchema>,
  ): Promise<z.output<typeof filePageSchema>> {
    const { files, nextCursor } = await this.files.list({ workspaceId, ...query });
    return { items: files.map(toFileDto), nextCursor: nextCursor ?? null };
  }

  @Post('imports')
  @HttpCode(202)
  @ApiOperation({ summary: 'Bring a file from a URL; the same request again gives the same file' })
  @ApiHeader({
    name: 'Idempotency-Key',
    required: false,
    description: 'Names the request: 1 to 255 printable characters',
  })
  @ApiAcceptedResponse({ description: 'The file, accepted: it ends DONE or FAILED', standardSchema: fileSchema })
  @ApiProblems({
    400: 'INVALID_*, SOURCE_URL_INVALID, MALFORMED_REQUEST',
    409: 'PATH_TAKEN',
    413: 'BODY_TOO_LARGE',
    415: 'UNSUPPORTED_MEDIA_TYPE',
    422: 'SOURCE_ADDRESS_BLOCKED, IDEMPOTENCY_KEY_REUSED',
    429: 'QUOTA_EXCEEDED',
  })
  async import(
    @Param('workspaceId', { schema: idSchema }) workspaceId: string,
    @Body({ schema: newImportSchema }) body: NewImportDto,
    @Headers('idempotency-key') idempotencyKey: string | undefined,
    @Req() { principal }: GuardedRequest,
  ): Promise<FileDto> {
    const file = await this.transfers.enqueue({
      // JSON has no undefined: what is absent is absent.
      ...(body as Omit<RemoteFile, 'workspaceId'>),
      workspaceId,
      ...(idempotencyKey !== undefined ? { idempotencyKey } : {}),
      ...(principal !== undefined ? { createdBy: principal.subject } : {}),
    });
    return toFileDto(file);
  }

  @Get('usage')
  @ApiOperation({ summary: 'What the workspace had of the present day, and what it may have' })
  @ApiOkResponse({ description: 'The usage', standardSchema: usageSchema })
  @ApiProblems({ 400: 'INVALID_REQUEST' })
  async readUsage(
    @Param('workspaceId', { schema: idSchema }) workspaceId: string,
  ): Promise<z.output<typeof usageSchema>> {
    return toUsageDto(await this.transfers.readUsage(workspaceId));
  }

  @Get(':id')
  @ApiOperation({ summary: 'One file, deleted or not' })
  @ApiOkResponse({ description: 'The file', standardSchema: fileSchema })
  @ApiProblems({ 400: 'INVALID_REQUEST', 404: 'FILE_NOT_FOUND' })
  async findOne(
    @Param('workspaceId', { schema: idSchema }) workspaceId: string,
    @Param('id', { schema: idSchema }) id: string,
  ): Promise<FileDto> {
    return toFileDto(await this.find(workspaceId, id));
  }

  @Get(':id/url')
  @Header('cache-control', 'no-store')
  @ApiOperation({ summary: 'A presigned URL that shows or downloads a DONE file' })
  @ApiOkResponse({ description: 'The URL and its end', standardSchema: presignedUrlSchema })
  @ApiProblems({
    400: 'INVALID_REQUEST, INVALID_FILENAME',
    404: 'FILE_NOT_FOUND',
    409: 'FILE_NOT_READY, FILE_DELETED',
  })
  async presign(
    @Param('workspaceId', { schema: idSchema }) workspaceId: string,
    @Param('id', { schema: idSchema }) id: string,
    @Query({ schema: urlSchema }) query: z.output<typeof urlSchema>,
  ): Promise<PresignedUrlDto> {
    const { url, expiresAt } = await this.transfers.presign(await this.find(workspaceId, id), query);
    return { url, expiresAt: expiresAt.toISOString() };
  }

  @Get(':id/attempts')
  @ApiOperation({ summary: 'The last 100 tries of a file with their errors, newest first' })
  @ApiOkResponse({ description: 'The tries', standardSchema: attemptListSchema })
  @ApiProblems({ 400: 'INVALID_REQUEST', 404: 'FILE_NOT_FOUND' })
  async listAttempts(
    @Param('workspaceId', { schema: idSchema }) workspaceId: string,
    @Param('id', { schema: idSchema }) id: string,
  ): Promise<z.output<typeof attemptListSchema>> {
    const { id: fileId } = await this.find(workspaceId, id);
    return { items: (await this.files.listAttempts({ workspaceId, id: fileId })).map(toAttemptDto) };
  }

  @Post(':id/cancel')
  @HttpCode(200)
  @ApiOperation({ summary: 'End the transfer; nothing of it is left. No change on a file that has ended' })
  @ApiOkResponse({ description: 'The file; one that another process runs ends shortly', standardSchema: fileSchema })
  @ApiProblems({ 400: 'INVALID_REQUEST', 404: 'FILE_NOT_FOUND' })
  async cancel(
    @Param('workspaceId', { schema: idSchema }) workspaceId: string,
    @Param('id', { schema: idSchema }) id: string,
  ): Promise<FileDto> {
    return toFileDto(await this.transfers.cancelTransfer(await this.find(workspaceId, id)));
  }

  @Post(':id/retry')
  @HttpCode(202)
  @ApiOperation({ summary: 'Try a FAILED file again with the source it came from, or a waiting one at once' })
  @ApiAcceptedResponse({ description: 'The file', standardSchema: fileSchema })
  @ApiProblems({ 400: 'INVALID_REQUEST', 404: 'FILE_NOT_FOUND', 409: 'SOURCE_LOST' })
  async retry(
    @Param('workspaceId', { schema: idSchema }) workspaceId: string,
    @Param('id', { schema: idSchema }) id: string,
  ): Promise<FileDto> {
    return toFileDto(await this.transfers.retryTransfer(await this.find(workspaceId, id)));
  }

  @Delete(':id')
  @HttpCode(204)
  @ApiOperation({ summary: 'Delete: soft (can be restored) or hard' })
  @ApiNoContentResponse({ description: 'Deleted, now or before' })
  @ApiProblems({ 400: 'INVALID_REQUEST', 404: 'FILE_NOT_FOUND', 409: 'FILE_BUSY', 502: 'STORE_ACCESS_DENIED' })
  async delete(
    @Param('workspaceId', { schema: idSchema }) workspaceId: string,
    @Param('id', { schema: idSchema }) id: string,
    @Query({ schema: deleteSchema }) { hard }: z.output<typeof deleteSchema>,
  ): Promise<void> {
    await this.transfers.deleteFile(await this.find(workspaceId, id), hard);
  }

  @Post(':id/restore')
  @HttpCode(200)
  @ApiOperation({ summary: 'Bring a soft-deleted file back' })
  @ApiOkResponse({ description: 'The file', standardSchema: fileSchema })
  @ApiProblems({ 400: 'INVALID_REQUEST', 404: 'FILE_NOT_FOUND', 409: 'FILE_BUSY', 410: 'FILE_PURGED' })
  async restore(
    @Param('workspaceId', { schema: idSchema }) workspaceId: string,
    @Param('id', { schema: idSchema }) id: string,
  ): Promise<FileDto> {
    const file = await this.files.restore({ workspaceId, id });
    if (file === null) throw fileNotFound(id);
    return toFileDto(file);
  }

  private async find(workspaceId: string, id: string): Promise<StorageFile> {
    const file = await this.files.findById({ workspaceId, id });
    if (file === null) throw fileNotFound(id);
    return file;
  }
}

function fileNotFound(id: string): StorageError {
  return new StorageError('FILE_NOT_FOUND', `there is no file ${id} in this workspace`);
}
