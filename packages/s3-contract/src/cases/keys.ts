import { DeleteObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import type { CaseContext } from '../case-context.js';
import { api, type ContractCase, guide, inArea, MEASURED } from '../contract.js';
import { must, refused, same } from '../expectations.js';

const KEYS = guide('object-keys');

type KeyCase = Omit<ContractCase, 'area'>;

/** Stored, listed, read by the SDK and through a presigned URL, and removed, all under its very name. */
async function liveThrough(s3: CaseContext, name: string): Promise<void> {
  await s3.put(name, 'content');
  same((await listed(s3)).includes(s3.key(name)), true, 'listed under its name');
  same(await s3.text(name), 'content', 'GetObject');
  const got = await s3.fetch(await s3.presignGet(name));
  same([got.status, got.body.toString()], [200, 'content'], 'presigned GET');
  await s3.send(new DeleteObjectCommand(s3.at(name)));
  await refused(s3.head(name), 404);
}

async function listed(s3: CaseContext): Promise<string[]> {
  const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket: s3.bucket, Prefix: s3.prefix }));
  return Contents.map(({ Key = '' }) => Key);
}

function named(id: string, name: string, what: string): KeyCase {
  return { id: `keys.${id}`, title: `a key with ${what}`, source: KEYS, run: (s3) => liveThrough(s3, name) };
}

/** Both keys are there at once, each with its own content. */
function apart(id: string, [one, other]: readonly [string, string], title: string): KeyCase {
  return {
    id: `keys.${id}`,
    title,
    source: KEYS,
    run: async (s3) => {
      await s3.put(one, 'one');
      await s3.put(other, 'other');
      same([await s3.text(one), await s3.text(other)], ['one', 'other'], 'contents');
      same((await listed(s3)).length, 2, 'objects listed');
    },
  };
}

/** A key of exactly so many bytes, with the prefix. */
const longName = (s3: CaseContext, bytes: number): string => 'k'.repeat(bytes - Buffer.byteLength(s3.prefix));

export const KEY_CASES = inArea('keys', [
  named('space', 'a b c.txt', 'spaces'),
  named('plus', 'a+b+c.txt', 'plus signs'),
  named('percent', '100%25 %zz %2F.txt', 'percent signs'),
  named('nfc', 'été.txt'.normalize('NFC'), 'composed accents'),
  named('nfd', 'été.txt'.normalize('NFD'), 'decomposed accents'),
  named('japanese', '日本語.txt', 'Japanese'),
  named('emoji', '😀🎬.mp4', 'characters beyond the basic plane'),
  named('special', `q?a=b&c=d;e#f!'()*[]{}<>/\\^'~@:$,=".txt`, 'every ASCII sign'),
  named('double-slash', 'a//b', 'two slashes in a row'),
  named('trailing-slash', 'folder/', 'a slash at its end'),
  named('two-dots-first', '..a', 'two dots before a letter'),
  named('surrounding-space', ' a ', 'spaces at its ends'),
  apart('case', ['Key', 'key'], 'capitals make another key'),
  apart('normal-forms', ['\u00e9', 'e\u0301'], 'composed and decomposed accents are two keys'),
  apart('file-and-folder', ['a', 'a/b'], '`a` and `a/b` exist side by side'),
  apart('slash-or-not', ['a', 'a/'], '`a` and `a/` exist side by side'),
  {
    id: 'keys.dot-segments',
    title: 'keys with . and .. segments are kept as they are by the SDK',
    source: MEASURED,
    run: async (s3) => {
      for (const name of ['a/../b', 'c/./d']) {
        await s3.put(name, name);
        same(await s3.text(name), name, `content of ${name}`);
        must((await listed(s3)).includes(s3.key(name)), `${name} is listed under another name`);
      }
    },
  },
  {
    id: 'keys.1024-bytes',
    title: 'a key may have 1,024 bytes',
    source: KEYS,
    run: (s3) => liveThrough(s3, longName(s3, 1024)),
  },
  {
    id: 'keys.1024-bytes-of-utf8',
    title: 'a key of 1,024 bytes may be of characters of three bytes each',
    source: KEYS,
    run: async (s3) => {
      const free = 1024 - Buffer.byteLength(s3.prefix);
      await liveThrough(s3, '日'.repeat(Math.floor(free / 3)) + 'k'.repeat(free % 3));
    },
  },
  {
    id: 'keys.1025-bytes',
    title: 'a key of 1,025 bytes is KeyTooLongError',
    source: KEYS,
    run: (s3) => refused(s3.put(longName(s3, 1025)), 400, 'KeyTooLongError'),
  },
  {
    id: 'keys.control-characters',
    title: 'a key with control characters is listed with encoding-type=url',
    source: api('API_ListObjectsV2'),
    run: async (s3) => {
      const name = 'a\u0001b\n\tc';
      try {
        await s3.put(name, 'content');
        same(await s3.text(name), 'content', 'GetObject');
        const EncodingType = 'url' as const;
        const input = { Bucket: s3.bucket, Prefix: s3.prefix, EncodingType };
        const { Contents = [] } = await s3.send(new ListObjectsV2Command(input));
        same(decodeURIComponent(Contents[0]?.Key ?? ''), s3.key(name), 'key in the listing');
      } finally {
        await s3.send(new DeleteObjectCommand(s3.at(name)));
      }
    },
  },
]);
