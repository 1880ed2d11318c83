import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { contentRange, contentSha256, type FileContent } from './content.js';

const FILE: FileContent = { seed: 7, sizeBytes: 1_000_003 };

describe('content', () => {
  it('gives the same bytes wherever a range begins', () => {
    const whole = contentRange(FILE, 0, FILE.sizeBytes);
    expect(whole.length).toBe(FILE.sizeBytes);
    for (const start of [0, 1, 15, 16, 17, 31, 32, 33, 262_143, 262_144, 262_145, 1_000_002, 1_000_003]) {
      for (const end of [start, start + 1, start + 40, start + 300_000].filter((offset) => offset <= FILE.sizeBytes)) {
        expect(contentRange(FILE, start, end).equals(whole.subarray(start, end))).toBe(true);
      }
    }
  });

  it('gives far offsets at once', () => {
    const file = { seed: 1, sizeBytes: 20 * 1024 ** 3 };
    const last = contentRange(file, file.sizeBytes - 100, file.sizeBytes);
    expect(last.subarray(1).equals(contentRange(file, file.sizeBytes - 99, file.sizeBytes))).toBe(true);
  });

  it('has no two equal pieces, and others for another seed', () => {
    const pieces = [FILE, { ...FILE, seed: 8 }].flatMap((file) => {
      const bytes = contentRange(file, 32, file.sizeBytes);
      return Array.from({ length: 62_000 }, (_, index) => bytes.toString('hex', index * 16, index * 16 + 16));
    });
    expect(new Set(pieces).size).toBe(pieces.length);
  });

  it('opens as an MP4', () => {
    expect(contentRange(FILE, 4, 12).toString('latin1')).toBe('ftypmp42');
  });

  it('hashes the whole file', async () => {
    const expected = createHash('sha256')
      .update(contentRange(FILE, 0, FILE.sizeBytes))
      .digest('hex');
    expect(await contentSha256(FILE)).toBe(expected);
    expect(await contentSha256({ seed: 7, sizeBytes: 0 })).toBe(createHash('sha256').digest('hex'));
  });

  it('refuses a range outside the file', () => {
    expect(() => contentRange(FILE, 0, FILE.sizeBytes + 1)).toThrow(RangeError);
    expect(() => contentRange(FILE, 5, 4)).toThrow(RangeError);
  });
});
