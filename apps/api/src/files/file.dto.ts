import { z } from 'zod';
import { pageOf, sourceUrlSchema } from '../http/request-schemas.js';
import type { WorkspaceUsage } from '../storage/file-transfer.service.js';
import type { StorageAttempt, StorageFile } from '../storage/storage-file.repository.js';

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
    sha256: z.string().nullable().meta({ description: 'Hex, of all bytes of the file' }),
    sha256Origin: z.enum(['SOURCE', 'STORED']).nullable().meta({
      description:
        'SOURCE: of the bytes as they were read from the source; STORED: read back, after a resumed transfer',
    }),
    etag: z.string().nullable(),
    attempts: z.int().min(0),
    nextAttemptAt: z.iso.datetime().nullable().meta({ description: 'When a waiting file is tried again' }),
    createdBy: z.string().nullable().meta({ description: '`sub` of the token that asked for it' }),
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
    sha256Origin: file.sha256Origin,
    etag: file.etag,
    attempts: file.attempts,
    nextAttemptAt: file.nextAttemptAt?.toISOString() ?? null,
    createdBy: file.createdBy,
    createdAt: file.createdAt.toISOString(),
    updatedAt: file.updatedAt.toISOString(),
    finishedAt: file.finishedAt?.toISOString() ?? null,
    deletedAt: file.deletedAt?.toISOString() ?? null,
  };
}

const limit = byteCount.meta({ description: 'Of one day; null: any number' });

export const usageSchema = z
  .object({
    day: z.iso.date().meta({ description: 'Of UTC, by the clock of the database' }),
    endsAt: z.iso.datetime().meta({ description: 'From then on both begin anew' }),
    files: z.object({ used: byteCount.meta({ description: 'Asked for; null where no quota is set' }), limit }),
    bytes: z.object({ used: byteCount.meta({ description: 'Of files that became DONE; null as above' }), limit }),
  })
  .meta({ id: 'Usage' });

export function toUsageDto({ day, endsAt, ...usage }: WorkspaceUsage): z.output<typeof usageSchema> {
  const digits = (count: number | null) => count?.toString() ?? null;
  return {
    day,
    endsAt: endsAt.toISOString(),
    files: { used: digits(usage.files), limit: digits(usage.filesPerDay) },
    bytes: { used: digits(usage.bytes), limit: digits(usage.bytesPerDay) },
  };
}

export const newImportSchema = z
  .strictObject({
    sourceUrl: sourceUrlSchema.meta({
      description: 'Where the file is now; its query is kept encrypted and shown to nobody',
      format: 'uri',
      examples: ['https://exports.example.com/1.zip'],
    }),
    path: z
      .string()
      .max(1_024)
      .meta({ description: 'Key of the object; its first or second segment is the workspace' }),
    type: z
      .string()
      .max(100)
      .regex(/^[\w.:/-]+$/, 'must be of a-z, 0-9 and _ . : / -'),
    mimeType: z.string().max(255).optional().meta({ description: 'Absent: a download that no browser shows' }),
    sourceHeaders: z
      .record(z.string().max(100), z.string().max(8_192))
      .optional()
      .meta({ description: 'Sent to the origin of sourceUrl alone, such as a bearer token; kept encrypted' }),
    expected: z
      .strictObject({
        size: z.int().min(0).optional().meta({ description: 'Bytes' }),
        sha256: z.string().optional().meta({ description: 'Hex' }),
        type: z
          .string()
          .optional()
          .meta({ description: 'By the first bytes: a MIME type or a family such as video/*' }),
      })
      .optional()
      .meta({ description: 'What the bytes must be; others are refused' }),
    maxBytes: z.int().min(1).optional(),
    allowUnprovenLength: z.boolean().optional().meta({
      description: 'Take a body whose end nothing but the close of the connection marks',
    }),
  })
  .meta({ id: 'NewImport' });

export type NewImportDto = z.output<typeof newImportSchema>;

export const attemptSchema = z
  .object({
    number: z.int().min(1),
    startedAt: z.iso.datetime(),
    finishedAt: z.iso.datetime().nullable(),
    outcome: z
      .enum(['DONE', 'FAILED', 'RETRYING', 'HANDED_OVER', 'CANCELLED', 'LOST'])
      .nullable()
      .meta({ description: 'null while it runs; LOST: its process died' }),
    errorCode: z.string().nullable(),
    error: z.string().nullable().meta({ description: '`CODE: sentence`' }),
    resumedFromBytes: byteCount.meta({ description: 'Stored by an earlier try, and not asked of the source again' }),
  })
  .meta({ id: 'Attempt' });

export const attemptListSchema = z.object({ items: z.array(attemptSchema) }).meta({ id: 'AttemptList' });

export function toAttemptDto(attempt: StorageAttempt): z.output<typeof attemptSchema> {
  return {
    number: attempt.number,
    startedAt: attempt.startedAt.toISOString(),
    finishedAt: attempt.finishedAt?.toISOString() ?? null,
    outcome: attempt.outcome as z.output<typeof attemptSchema>['outcome'],
    errorCode: attempt.errorCode,
    error: attempt.error,
    resumedFromBytes: attempt.resumedFromBytes.toString(),
  };
}
