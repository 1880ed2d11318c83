/** Where a page ends: lists are ordered by creation, newest first, and by id where times are equal. */
export interface PagePosition {
  readonly createdAt: Date;
  readonly id: string;
}

/** The year 0 exists in JavaScript and not in PostgreSQL. */
const CURSOR = /^((?!0000)\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z)_([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

/** An opaque text for the next page. It opens nothing: every query has its workspace besides. */
export function formatCursor({ createdAt, id }: PagePosition): string {
  return Buffer.from(`${createdAt.toISOString()}_${id}`).toString('base64url');
}

/** Undefined when no list gave this cursor. */
export function parseCursor(cursor: string): PagePosition | undefined {
  const [, createdAt = '', id = ''] = CURSOR.exec(Buffer.from(cursor, 'base64url').toString()) ?? [];
  const date = new Date(createdAt);
  return Number.isNaN(date.getTime()) ? undefined : { createdAt: date, id };
}

/** The `where` of what comes after a position. Its first bound is what the index can seek to; the second settles equal times. */
export function afterPosition({ createdAt, id }: PagePosition) {
  return { createdAt: { lte: createdAt }, OR: [{ createdAt: { lt: createdAt } }, { id: { lt: id } }] };
}
