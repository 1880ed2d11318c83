import { describe, expect, it } from '@jest/globals';
import { checkType, detectType } from './file-type-check.js';

const MP4 = Buffer.from('00000020667479706d703432000000006d70343269736f6d', 'hex');
const M4V = Buffer.from('00000020667479704d345620000000004d34562069736f6d', 'hex');
const PNG = Buffer.from('89504e470d0a1a0a0000000d494844520000000100000001080600000000000000', 'hex');
const ZIP = Buffer.concat([
  Buffer.from('504b03041400000000000000000000000000000000000000000001000000', 'hex'),
  Buffer.alloc(100),
]);

describe('detectType', () => {
  it.each<[string, Buffer, string | undefined]>([
    ['a page', Buffer.from('<!DOCTYPE html><html>'), 'text/html'],
    [
      'a page after a mark, white space and a comment',
      Buffer.from('\ufeff\r\n<!-- x -->\n<HTML lang="en">'),
      'text/html',
    ],
    ['a page that begins with its title', Buffer.from('<title>Sign in</title>'), 'text/html'],
    ['a video', MP4, 'video/mp4'],
    ['an image', PNG, 'image/png'],
    ['text', Buffer.from('name,size\nvideo,1\n'), undefined],
    ['text about pages', Buffer.from('We use <html> and <body> here'), undefined],
    ['nothing', Buffer.alloc(0), undefined],
  ])('tells %s', async (_what, bytes, type) => {
    expect(await detectType(bytes)).toBe(type);
  });
});

describe('checkType', () => {
  const check = (bytes: Buffer, expectedType?: string, mimeType: string | null = null) =>
    checkType(bytes, { expectedType, mimeType }).then(
      () => 'taken',
      (error) => error.code,
    );

  it.each<[string, Buffer, string, string]>([
    ['the type itself', MP4, 'video/mp4', 'taken'],
    ['its family', MP4, 'video/*', 'taken'],
    ['another container of the family', M4V, 'video/mp4', 'taken'],
    ['another family', PNG, 'video/*', 'SOURCE_TYPE_MISMATCH'],
    ['another type that has a signature', ZIP, 'application/pdf', 'SOURCE_TYPE_MISMATCH'],
    ['nothing known, where the type has a signature', Buffer.from('hello'), 'video/mp4', 'SOURCE_TYPE_MISMATCH'],
    ['text, where the type has none', Buffer.from('a,b\n'), 'text/csv', 'taken'],
    ['a video, where text is expected', MP4, 'text/csv', 'SOURCE_TYPE_MISMATCH'],
    ['a page, where a page is expected', Buffer.from('<html>'), 'text/html', 'taken'],
  ])('judges %s', async (_what, bytes, expected, verdict) => {
    expect(await check(bytes, expected)).toBe(verdict);
  });

  it('refuses a page in place of a video, a sound or an image by itself, and nothing else', async () => {
    const page = Buffer.from('<!doctype html>');
    expect(await check(page, undefined, 'video/mp4; codecs=avc1')).toBe('SOURCE_TYPE_MISMATCH');
    expect(await check(page, undefined, 'application/octet-stream')).toBe('taken');
    expect(await check(page)).toBe('taken');
    expect(await check(PNG, undefined, 'video/mp4')).toBe('taken');
  });
});
