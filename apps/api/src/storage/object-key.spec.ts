import { describe, expect, it } from '@jest/globals';
import { assertFileName, assertObjectKey, assertPathOfWorkspace } from './object-key.js';

const WORKSPACE = '0d4f2a0e-5f0b-4b8e-9a53-3f0b9b9b7c11';
const OTHER = '9b6f3f6e-0c2d-4d58-8a1c-5a2f6f1d2e33';

describe('assertObjectKey', () => {
  it.each([
    'a',
    'uploads/workspace-id/file.mp4',
    'a b/c+d&e=f',
    "k/q?a=b;c#d!'()*[]{}<>^~@:$,=.txt",
    'é/ü.mp4',
    '日本語/😀.mp4',
    '..a/b..c',
    'a/.hidden',
    '100%',
    '100% sure',
    `${'a'.repeat(255)}/${'b'.repeat(255)}/${'c'.repeat(255)}/${'d'.repeat(254)}/e`.slice(0, 1_024),
  ])('takes %j', (key) => expect(() => assertObjectKey(key)).not.toThrow());

  it.each([
    ['', 'must not be empty'],
    ['../x', 'the segment ".."'],
    ['a/../b', 'the segment ".."'],
    ['a/./b', 'the segment "."'],
    ['a/...', 'the segment "..."'],
    ['..', 'the segment ".."'],
    ['/a', 'empty segment'],
    ['a/', 'empty segment'],
    ['a//b', 'empty segment'],
    ['/', 'empty segment'],
    ['a\\b', 'backslash'],
    ['a/%2e%2e/b', 'percent escape %2e'],
    ['a%00b', 'percent escape %00'],
    ['a\u0000b', 'U+0000 at position 1'],
    ['a\nb', 'U+000A'],
    ['a\u007fb', 'U+007F'],
    ['a\u0085b', 'U+0085'],
    ['a\u202eb', 'U+202E'],
    ['a\u200bb', 'U+200B'],
    ['a\ufeffb', 'U+FEFF'],
    ['a\u2028b', 'U+2028'],
    ['a\ue000b', 'U+E000'],
    ['a\uffffb', 'U+FFFF'],
    ['a\u{e0041}b', 'U+E0041'],
    ['a\ud800b', 'surrogate'],
    ['e\u0301', 'normal form C'],
    [' a', 'white space'],
    ['a /b', 'white space'],
    ['a/b.', 'ends with a dot'],
    ['．．/x', 'folded'],
    ['a／b/‥/c', 'folded'],
    ['a'.repeat(256), 'more than 255 bytes'],
    [`${'é'.repeat(127)}/`.repeat(5).slice(0, -1), '1274 bytes'],
    [`${'a/'.repeat(512)}b`, '1025 bytes'],
  ])('refuses %j', (key, rule) => {
    expect(() => assertObjectKey(key)).toThrow(
      expect.objectContaining({ code: 'INVALID_PATH', message: expect.stringContaining(rule) }),
    );
  });

  it('refuses what is no string', () => {
    expect(() => assertObjectKey(undefined as unknown as string)).toThrow('must be a string');
  });
});

describe('assertPathOfWorkspace', () => {
  it.each([`${WORKSPACE}/a.mp4`, `recordings/${WORKSPACE}/a.mp4`, `recordings/${WORKSPACE}/2026/a.mp4`])(
    'takes %s',
    (path) => expect(() => assertPathOfWorkspace(path, WORKSPACE)).not.toThrow(),
  );

  it.each([
    'a.mp4',
    WORKSPACE,
    `recordings/${WORKSPACE}`,
    `recordings/${OTHER}/a.mp4`,
    `${OTHER}/${WORKSPACE}/a.mp4`,
    `a/b/${WORKSPACE}/c`,
    `recordings/${WORKSPACE}x/a.mp4`,
  ])('refuses %s', (path) =>
    expect(() => assertPathOfWorkspace(path, WORKSPACE)).toThrow('must lie under its workspace'),
  );
});

describe('assertFileName', () => {
  it('takes names that people give, and refuses those that hide something', () => {
    for (const name of ['a.mp4', 'Réunion du 3 mai.mp4', 'x'.repeat(150)])
      expect(() => assertFileName(name)).not.toThrow();
    for (const name of ['', 'a/b', 'a\\b', 'a\r\nb', 'photo\u202egpj.exe', 'x'.repeat(151)]) {
      expect(() => assertFileName(name)).toThrow(expect.objectContaining({ code: 'INVALID_FILENAME' }));
    }
  });
});
