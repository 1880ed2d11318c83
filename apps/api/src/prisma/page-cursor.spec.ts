import { randomUUID } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { formatCursor, parseCursor } from './page-cursor.js';

describe('parseCursor', () => {
  it('reads what formatCursor wrote', () => {
    const position = { createdAt: new Date('2026-02-03T04:05:06.789Z'), id: randomUUID() };
    expect(parseCursor(formatCursor(position))).toEqual(position);
  });

  // The year 0 exists in JavaScript and not in PostgreSQL (22008), which would make a caller's text our error 500.
  it.each(['', 'x', `0000-01-01T00:00:00.000Z_${randomUUID()}`, `2026-13-01T00:00:00.000Z_${randomUUID()}`])(
    'refuses %s',
    (text) => expect(parseCursor(Buffer.from(text).toString('base64url'))).toBeUndefined(),
  );
});
