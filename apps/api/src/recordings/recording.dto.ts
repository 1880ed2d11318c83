import { z } from 'zod';
import { pageOf, sourceUrlSchema } from '../http/request-schemas.js';
import type { StorageFile } from '../storage/storage-file.repository.js';
import type { Recording } from './recording.repository.js';

export const newRecordingSchema = z
  .strictObject({
    externalVideoUrl: sourceUrlSchema.meta({
      description: 'Where the video is now',
      format: 'uri',
      examples: ['https://videos.example.com/1.mp4'],
    }),
    title: z
      .string()
      .max(200, 'must have at most 200 characters')
      .regex(/^(?=.*\S)[^\p{Cc}\p{Cs}]+$/u, 'must not be blank or hold control characters')
      .optional(),
  })
  .meta({ id: 'NewRecording' });

export const recordingSchema = z
  .object({
    id: z.guid(),
    workspaceId: z.guid(),
    title: z.string().nullable(),
    externalVideoUrl: z.string().nullable().meta({ description: 'Without query and userinfo, which may hold tokens' }),
    videoFileId: z.guid().nullable().meta({ description: 'Set once the video is in the bucket' }),
    video: z
      .object({
        fileId: z.guid(),
        transferStatus: z.enum(['PENDING', 'TRANSFERRING', 'DONE', 'FAILED']),
        transferError: z.string().nullable(),
        size: z.string().regex(/^\d+$/).nullable().meta({ description: 'Bytes, as digits' }),
        deletedAt: z.iso.datetime().nullable(),
      })
      .nullable()
      .meta({ description: 'The transfer; null before it begins' }),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
  })
  .meta({ id: 'Recording' });

export const recordingPageSchema = pageOf(recordingSchema).meta({ id: 'RecordingPage' });

export type NewRecordingDto = z.output<typeof newRecordingSchema>;
export type RecordingDto = z.output<typeof recordingSchema>;

export function toRecordingDto(recording: Recording, file: StorageFile | undefined): RecordingDto {
  return {
    id: recording.id,
    workspaceId: recording.workspaceId,
    title: recording.title,
    externalVideoUrl: withoutSecrets(recording.externalVideoUrl),
    videoFileId: recording.videoFileId,
    video:
      file === undefined
        ? null
        : {
            fileId: file.id,
            transferStatus: file.transferStatus,
            transferError: file.transferError,
            size: file.size?.toString() ?? null,
            deletedAt: file.deletedAt?.toISOString() ?? null,
          },
    createdAt: recording.createdAt.toISOString(),
    updatedAt: recording.updatedAt.toISOString(),
  };
}

/** Rows can come from elsewhere: what is no URL is not shown at all. */
function withoutSecrets(text: string): string | null {
  if (!URL.canParse(text)) return null;
  const { protocol, host, pathname } = new URL(text);
  return `${protocol}//${host}${pathname}`;
}
