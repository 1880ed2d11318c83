import { describe, expect, it } from '@jest/globals';
import { formatBytes, formatSeconds } from './byte-text.js';

describe('formatBytes', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [25_465_824, '24.3 MiB'],
    [5 * 1024 ** 4, '5.0 TiB'],
    [5 * 1024 ** 5, '5120.0 TiB'],
  ])('%d is %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));
});

describe('formatSeconds', () => {
  it.each([
    [0.44, '0.4 s'],
    [42.4, '42 s'],
    [59.7, '1 min 0 s'],
    [185, '3 min 5 s'],
    [7_640, '2 h 7 min'],
  ])('%d is %s', (seconds, text) => expect(formatSeconds(seconds)).toBe(text));
});
