import { z } from 'zod';

export const idSchema = z.guid('must be a UUID').toLowerCase();

/** The part of a page that every list takes. */
export const pageFields = {
  cursor: z.string().max(200).optional().meta({ description: '`nextCursor` of the page before' }),
  limit: z.coerce
    .number('must be a whole number')
    .int('must be a whole number')
    .min(1, 'must be at least 1')
    .max(100, 'must be at most 100')
    .default(20)
    .meta({ description: 'Items a page' }),
};

/** A page of a list, newest first. */
export const pageOf = <T extends z.ZodType>(item: T) =>
  z.object({ items: z.array(item), nextCursor: z.string().nullable().meta({ description: 'null on the last page' }) });

export const presignedUrlSchema = z
  .object({
    url: z.url().meta({ description: 'Opens the object for whoever holds it, until it expires' }),
    expiresAt: z.iso.datetime(),
  })
  .meta({ id: 'PresignedUrl' });

export type PresignedUrlDto = z.output<typeof presignedUrlSchema>;
