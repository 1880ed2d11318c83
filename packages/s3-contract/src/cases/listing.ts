import {
  ListObjectsCommand,
  type ListObjectsCommandOutput,
  ListObjectsV2Command,
  type ListObjectsV2CommandInput,
  type ListObjectsV2CommandOutput,
} from '@aws-sdk/client-s3';
import type { CaseContext } from '../case-context.js';
import { api, guide, inArea, MEASURED } from '../contract.js';
import { must, same } from '../expectations.js';

const V2 = api('API_ListObjectsV2');
const V1 = api('API_ListObjects');
const FOLDERS = guide('using-prefixes');

async function fill(s3: CaseContext, names: readonly string[]): Promise<void> {
  for (let start = 0; start < names.length; start += 8) {
    await Promise.all(names.slice(start, start + 8).map((name) => s3.put(name)));
  }
}

function list(s3: CaseContext, more: Partial<ListObjectsV2CommandInput> = {}): Promise<ListObjectsV2CommandOutput> {
  return s3.send(new ListObjectsV2Command({ Bucket: s3.bucket, Prefix: s3.prefix, ...more }));
}

/** Keys and common prefixes of a page, without the case's prefix. */
function namesOf(s3: CaseContext, page: Partial<ListObjectsV2CommandOutput | ListObjectsCommandOutput>): string[] {
  const keys = (page.Contents ?? []).map(({ Key = '' }) => Key);
  const prefixes = (page.CommonPrefixes ?? []).map(({ Prefix = '' }) => Prefix);
  return [...keys, ...prefixes].map((name) => name.slice(s3.prefix.length));
}

/** All pages of a listing, each with its names. */
async function pagesOf(s3: CaseContext, more: Partial<ListObjectsV2CommandInput>): Promise<string[][]> {
  const pages: string[][] = [];
  let ContinuationToken: string | undefined;
  do {
    const page = await list(s3, { ...more, ContinuationToken });
    pages.push(namesOf(s3, page));
    must(pages.length < 20, 'no end after 20 pages');
    ContinuationToken = page.IsTruncated ? page.NextContinuationToken : undefined;
  } while (ContinuationToken !== undefined);
  return pages;
}

export const LISTING_CASES = inArea('listing', [
  {
    id: 'list.entry',
    title: 'an entry has key, size, ETag and time of the object',
    source: V2,
    run: async (s3) => {
      await s3.put('object', 'content');
      const head = await s3.head('object');
      const { Contents = [] } = await list(s3);
      const entries = Contents.map(({ Key, Size, ETag, LastModified }) => ({
        Key,
        Size,
        ETag,
        at: LastModified?.getTime(),
      }));
      const [entry] = entries;
      same([entries.length, entry?.Key, entry?.Size, entry?.ETag], [1, s3.key('object'), 7, head.ETag], 'entry');
      // HEAD gives whole seconds; some servers round the one up and the other down.
      const off = Math.abs((entry?.at ?? 0) - (head.LastModified?.getTime() ?? 0));
      must(off <= 1000, `LastModified is ${off} ms off that of HEAD`);
    },
  },
  {
    id: 'list.empty',
    title: 'a prefix without objects is an empty list',
    source: V2,
    run: async (s3) => {
      const { Contents = [], KeyCount, IsTruncated } = await list(s3);
      same([Contents.length, KeyCount, IsTruncated ?? false], [0, 0, false], 'entries, KeyCount, IsTruncated');
    },
  },
  {
    id: 'list.byte-order',
    title: 'keys come in the order of their UTF-8 bytes',
    source: V2,
    run: async (s3) => {
      // U+1F600 comes after U+FF5E in UTF-8, and before it in UTF-16.
      const names = ['B', 'a', 'a b', 'a+', 'a-', 'a.', 'a/', 'a0', 'aa', 'é', '日', '～', '😀'];
      await fill(s3, [...names].reverse());
      same(namesOf(s3, await list(s3)), names, 'order');
    },
  },
  {
    id: 'list.pages',
    title: 'continuation tokens lead through all pages, each key once',
    source: V2,
    run: async (s3) => {
      await fill(s3, ['a', 'b', 'c', 'd', 'e']);
      same(await pagesOf(s3, { MaxKeys: 2 }), [['a', 'b'], ['c', 'd'], ['e']], 'pages');
    },
  },
  {
    id: 'list.pages-special-keys',
    title: 'pages go on behind keys that URLs and XML must escape',
    source: V2,
    run: async (s3) => {
      const names = ['a b', 'a&b', 'a+b', 'a<b', 'a=b', 'é'];
      await fill(s3, names);
      same(
        await pagesOf(s3, { MaxKeys: 1 }),
        names.map((name) => [name]),
        'pages',
      );
    },
  },
  {
    id: 'list.exact-page',
    title: 'a page that is full by the last key is not truncated',
    source: V2,
    run: async (s3) => {
      await fill(s3, ['a', 'b']);
      const { IsTruncated, NextContinuationToken, KeyCount } = await list(s3, { MaxKeys: 2 });
      same(
        [IsTruncated ?? false, NextContinuationToken ?? '', KeyCount],
        [false, '', 2],
        'IsTruncated, token, KeyCount',
      );
    },
  },
  {
    id: 'list.changes-between-pages',
    title: 'a key written behind the page that was read is in the next one',
    source: MEASURED,
    run: async (s3) => {
      await fill(s3, ['a', 'c', 'd']);
      const { NextContinuationToken: ContinuationToken } = await list(s3, { MaxKeys: 1 });
      await s3.put('b');
      same(namesOf(s3, await list(s3, { ContinuationToken })), ['b', 'c', 'd'], 'next page');
    },
  },
  {
    id: 'list.start-after',
    title: 'StartAfter leaves out the key and all before it, also when there is no such key',
    source: V2,
    run: async (s3) => {
      await fill(s3, ['a', 'b', 'c']);
      same(namesOf(s3, await list(s3, { StartAfter: s3.key('a') })), ['b', 'c'], 'after a');
      same(namesOf(s3, await list(s3, { StartAfter: s3.key('bb') })), ['c'], 'after bb');
    },
  },
  {
    id: 'list.folders',
    title: 'a delimiter folds keys into common prefixes',
    source: FOLDERS,
    run: async (s3) => {
      await fill(s3, ['a/1', 'a/2', 'b', 'c/d/e']);
      const page = await list(s3, { Delimiter: '/' });
      same(namesOf(s3, page), ['b', 'a/', 'c/'], 'keys and prefixes');
      same(page.KeyCount, 3, 'KeyCount');
      const inner = await list(s3, { Delimiter: '/', Prefix: s3.key('c/') });
      same(namesOf(s3, inner), ['c/d/'], 'inside of c/');
    },
  },
  {
    id: 'list.folder-pages',
    title: 'a common prefix counts as one entry of a page and comes once',
    source: V2,
    run: async (s3) => {
      await fill(s3, ['a/1', 'a/2', 'b', 'c/1', 'c/2', 'd']);
      const pages = await pagesOf(s3, { Delimiter: '/', MaxKeys: 1 });
      same(pages, [['a/'], ['b'], ['c/'], ['d']], 'pages');
    },
  },
  {
    id: 'list.other-delimiter',
    title: 'any text can be the delimiter',
    source: V2,
    run: async (s3) => {
      await fill(s3, ['2026-11-01', '2026-11-02', '2026-12-01']);
      const page = await list(s3, { Prefix: s3.key('2026-'), Delimiter: '-' });
      same(namesOf(s3, page), ['2026-11-', '2026-12-'], 'prefixes');
    },
  },
  {
    id: 'list.prefix-is-no-folder',
    title: 'a prefix may end in the middle of a name',
    source: FOLDERS,
    run: async (s3) => {
      await fill(s3, ['report', 'reports/1', 'rest']);
      same(namesOf(s3, await list(s3, { Prefix: s3.key('rep') })), ['report', 'reports/1'], 'keys');
    },
  },
  {
    id: 'list.no-keys-wanted',
    title: 'MaxKeys 0 gives no keys and is not truncated',
    source: MEASURED,
    run: async (s3) => {
      await s3.put('a');
      const { Contents = [], IsTruncated } = await list(s3, { MaxKeys: 0 });
      same([Contents.length, IsTruncated ?? false], [0, false], 'entries, IsTruncated');
    },
  },
  {
    id: 'list.1000-at-most',
    title: 'a page has 1,000 keys at most, whatever is asked for',
    source: V2,
    run: async (s3) => {
      await fill(
        s3,
        Array.from({ length: 1001 }, (_, index) => `key-${String(index).padStart(4, '0')}`),
      );
      const page = await list(s3, { MaxKeys: 2000 });
      same([page.Contents?.length, page.IsTruncated], [1000, true], 'keys and IsTruncated');
      const rest = await list(s3, { ContinuationToken: page.NextContinuationToken });
      same(namesOf(s3, rest), ['key-1000'], 'second page');
    },
  },
  {
    id: 'list.url-encoding',
    title: 'EncodingType url encodes keys and says so',
    source: V2,
    run: async (s3) => {
      await fill(s3, ['a b+é']);
      const { Contents = [], EncodingType } = await list(s3, { EncodingType: 'url' });
      const decoded = decodeURIComponent((Contents[0]?.Key ?? '').replaceAll('+', ' '));
      same([EncodingType, decoded], ['url', s3.key('a b+é')], 'EncodingType and decoded key');
    },
  },
  {
    id: 'list.owner-when-asked',
    title: 'FetchOwner adds the owner, which is missing otherwise',
    source: V2,
    run: async (s3) => {
      await s3.put('a');
      const plain = (await list(s3)).Contents?.[0]?.Owner;
      const asked = (await list(s3, { FetchOwner: true })).Contents?.[0]?.Owner;
      same([plain, (asked?.ID ?? '') !== ''], [undefined, true], 'owner without and with FetchOwner');
    },
  },
  {
    id: 'list.v1-marker',
    title: 'ListObjects goes on behind Marker',
    source: V1,
    run: async (s3) => {
      await fill(s3, ['a', 'b', 'c']);
      const input = { Bucket: s3.bucket, Prefix: s3.prefix };
      const first = await s3.send(new ListObjectsCommand({ ...input, MaxKeys: 2 }));
      same([namesOf(s3, first), first.IsTruncated], [['a', 'b'], true], 'first page');
      const second = await s3.send(new ListObjectsCommand({ ...input, Marker: s3.key('b') }));
      same(namesOf(s3, second), ['c'], 'second page');
    },
  },
  {
    id: 'list.v1-next-marker',
    title: 'ListObjects with a delimiter gives NextMarker, and goes on from it',
    source: V1,
    run: async (s3) => {
      await fill(s3, ['a/1', 'a/2', 'b']);
      const input = { Bucket: s3.bucket, Prefix: s3.prefix, Delimiter: '/' };
      const first = await s3.send(new ListObjectsCommand({ ...input, MaxKeys: 1 }));
      same([namesOf(s3, first), first.NextMarker], [['a/'], s3.key('a/')], 'first page and NextMarker');
      const second = await s3.send(new ListObjectsCommand({ ...input, Marker: first.NextMarker }));
      same(namesOf(s3, second), ['b'], 'second page');
    },
  },
]);
