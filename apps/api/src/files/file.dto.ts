import { z } from 'zod';
import { pageOf } from '../http/request-schemas.js';
import type { StorageFile } from '../storage/storage-file.repository.js';

export const fileStatusSchema = z.enum(['PENDING', 'TRANSFERRING', 'DONE', 'FAILED']);

const byteCount = z.string().regex(/^\d+$/).nullable();

/** What a user sees of a row. Leases and upload ids are the workers' own. */
export const fileSchema = z
  .object({
    id: z.guid(),
    workspaceId: z.guid(),
    type: z.string().meta({ examples: ['recording-video'] }),
    path: z.string().meta({ description: 'Key of the object' }),
    bucket: z.string(),
    mimeType: z.string().nullable(),
    size: byteCount.meta({
      description: 'Bytes, as digits: a JSON number would round above 2^53',
      examples: ['25340713'],
    }),
    transferStatus: fileStatusSchema,
    transferError: z.string().nullable().meta({ description: '`CODE: sentence` of a FAILED file' }),
    sourceUrl: z.string().nullable().meta({ description: 'Without query and userinfo' }),
    bytesTransferred: byteCount.meta({ description: 'Read from the source so far, written once a second' }),
    totalBytes: byteCount.meta({ description: 'Announced by the source; null where it did not say' }),
    lengthVerified: z.boolean().nullable().meta({
      description:
        'False: nothing but the close of the connection marked the end, so a part of the file may be missing',
    }),
    sha256: z.string().nullable().meta({ description: 'Hex, of the bytes that the source sent' }),
    etag: z.string().nullable(),
    attempts: z.int().min(0),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
    finishedAt: z.iso.datetime().nullable(),
    deletedAt: z.iso.datetime().nullable(),
  })
  .meta({ id: 'File' });

export const filePageSchema = pageOf(fileSchema).meta({ id: 'FilePage' });

export type FileDto = z.output<typeof fileSchema>;

export function toFileDto(file: StorageFile): FileDto {
  return {
    id: file.id,
    workspaceId: file.workspaceId,
    type: file.type,
    path: file.path,
    bucket: file.bucket,
    mimeType: file.mimeType,
    size: file.size?.toString() ?? null,
    transferStatus: file.transferStatus,
    transferError: file.transferError,
    sourceUrl: file.sourceUrl,
    bytesTransferred: file.bytesTransferred?.toString() ?? null,
    totalBytes: file.totalBytes?.toString() ?? null,
    lengthVerified: file.lengthVerified,
    sha256: file.sha256,
    etag: file.etag,
    attempts: file.attempts,
    createdAt: file.createdAt.toISOString(),
    updatedAt: file.updatedAt.toISOString(),
    finishedAt: file.finishedAt?.toISOString() ?? null,
    deletedAt: file.deletedAt?.toISOString() ?? null,
  };
}
