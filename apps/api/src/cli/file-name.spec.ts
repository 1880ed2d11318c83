import { describe, expect, it } from '@jest/globals';
import { fileNameOf } from './file-name.js';

describe('fileNameOf', () => {
  it.each([
    ['https://cdn.example.test/videos/talk.mp4?token=secret#t=10', 'talk.mp4'],
    ['https://cdn.example.test/My%20talk%20(1).mp4', 'My-talk-1-.mp4'],
    ['https://cdn.example.test/R%C3%A9union.mp4', 'Re-union.mp4'],
    ['https://cdn.example.test/100%.mp4', '100-.mp4'],
    ['https://cdn.example.test/a/..%2F..%2Fetc%2Fpasswd', 'etc-passwd'],
    ['https://cdn.example.test/%E2%80%AE%00', 'file'],
    ['https://cdn.example.test/', 'file'],
    ['not a URL', 'file'],
    [`https://cdn.example.test/${'a'.repeat(300)}.mp4`, `${'a'.repeat(96)}.mp4`],
  ])('%s becomes %s', (url, name) => {
    expect(fileNameOf(url)).toBe(name);
  });
});
