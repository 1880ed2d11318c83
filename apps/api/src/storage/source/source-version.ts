import { z } from 'zod';

/**
 * Which version of a file was read, in what another process needs to go on with it: plain JSON, because it is kept in a
 * row.
 */
export interface SourceVersion {
  /** Of the whole file, in bytes. */
  readonly length: number;
  readonly etag: string | null;
  readonly lastModified: string | null;
  readonly contentEncoding: string | null;
}

/** What may come back as a header: no end of line in it, and no more than a head holds. */
const headerValue = z
  .string()
  .max(16_384)
  .regex(/^[\t\x20-\x7e\x80-\xff]+$/);

const sourceVersion = z.strictObject({
  length: z.int().nonnegative(),
  etag: headerValue.nullable(),
  lastModified: headerValue.nullable(),
  contentEncoding: headerValue.nullable(),
});

/** Null for anything that is not exactly a version. */
export function parseSourceVersion(json: unknown): SourceVersion | null {
  return sourceVersion.safeParse(json).data ?? null;
}
