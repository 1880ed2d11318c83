import { describe, expect, it } from '@jest/globals';
import { formatIni } from './ini-file.js';

describe('formatIni', () => {
  it('writes sections in their order and leaves out what is undefined', () => {
    expect(formatIni({ a: { x: 1, y: undefined, z: false }, b: {}, 'c d': { 'long name': 'v' } })).toBe(
      '[a]\nx = 1\nz = false\n\n[b]\n\n[c d]\nlong name = v\n',
    );
  });
});
