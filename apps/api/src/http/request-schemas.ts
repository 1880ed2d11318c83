import { z } from 'zod';

export const idSchema = z.guid('must be a UUID').toLowerCase();

/** White space, control characters and backslashes: parsers of URLs drop or rewrite them, and zod's own takes some out. */
const REWRITTEN_CHARACTER = /[\s\p{Cc}\\]/u;

/** The shape alone: addresses, ports and the source's answer are judged when the transfer begins. */
export const sourceUrlSchema = z
  .string('must be a string')
  .max(8_192, 'must have at most 8192 characters')
  .refine((text) => /^https?:\/\/[^/]/i.test(text) && URL.canParse(text), 'must be an http:// or https:// URL')
  .refine((text) => !REWRITTEN_CHARACTER.test(text) && text.isWellFormed(), 'must not hold spaces or backslashes')
  .refine((text) => !hasUserinfo(text), 'must not hold a user name or password');

function hasUserinfo(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { username, password } = new URL(text);
  return username !== '' || password !== '';
}

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
