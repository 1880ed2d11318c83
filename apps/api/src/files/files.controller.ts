import { Controller, Delete, Get, Header, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiNoContentResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { ApiProblems } from '../http/api-problems.decorator.js';
import { idSchema, type PresignedUrlDto, pageFields, presignedUrlSchema } from '../http/request-schemas.js';
import { FileTransferService } from '../storage/file-transfer.service.js';
import { StorageError } from '../storage/storage.errors.js';
import { type StorageFile, StorageFileRepository } from '../storage/storage-file.repository.js';
import { type FileDto, filePageSchema, fileSchema, fileStatusSchema, toFileDto } from './file.dto.js';

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
