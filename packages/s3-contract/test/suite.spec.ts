import { readdir, readFile } from 'node:fs/promises';
import { describe, expect, it } from '@jest/globals';
import { ALLOWED_OPERATIONS } from '../src/allowed-operations.js';
import { ContractRun } from '../src/contract-run.js';
import { judgeResults, parseExpectedShortfalls } from '../src/expected-shortfalls.js';
import { ALL_CASES, type CaseResult, ContractShortfall, type ContractStore } from '../src/index.js';
import { startOwnStore } from '../src/own-store.js';
import { casesNamed, runContract } from '../src/run-contract.js';

const SOURCES = new URL('../src/', import.meta.url);
const EXPECTED = new URL('../expected/', import.meta.url);

/** By file, the operations whose commands stand in it. */
async function operationsInSources(): Promise<Map<string, string[]>> {
  const files = (await readdir(SOURCES, { recursive: true })).filter((file) => file.endsWith('.ts'));
  const entries = await Promise.all(
    files.map(async (file): Promise<[string, string[]]> => {
      const text = await readFile(new URL(file, SOURCES), 'utf8');
      return [file, [...text.matchAll(/new ([A-Z]\w+)Command\(/g)].map(([, name = '']) => name)];
    }),
  );
  return new Map(entries);
}

describe('the cases', () => {
  it('use no operation beyond the list, but for those that are for local-s3 alone', async () => {
    const used = await operationsInSources();
    expect([...used.values()].flat().length).toBeGreaterThan(100);
    for (const [file, operations] of used) {
      if (file === 'cases/own.ts') continue;
      expect([file, operations.filter((operation) => !ALLOWED_OPERATIONS.has(operation))]).toEqual([file, []]);
    }
    const { OWN_CASES } = await import('../src/cases/own.js');
    expect(OWN_CASES.filter(({ needs }) => !needs?.includes('own'))).toEqual([]);
  });

  it('have ids of their own, a claim and a source', () => {
    const ids = ALL_CASES.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.filter((id) => !/^[a-z0-9]+\.[a-z0-9-]+$/.test(id))).toEqual([]);
    const isSourced =
      /^https:\/\/docs\.aws\.amazon\.com\/AmazonS3\/latest\/(API|userguide)\/[\w-]+\.html$|measured: (swift|ceph)-/;
    expect(ALL_CASES.filter(({ source }) => !isSourced.test(source)).map(({ id, source }) => [id, source])).toEqual([]);
    expect(ALL_CASES.filter(({ title }) => title.endsWith('.') || title === '')).toEqual([]);
  });

  it.each(['swift-2.30.txt', 'ceph-16.2.txt'])('are all there that expected/%s names', async (file) => {
    const known = parseExpectedShortfalls(await readFile(new URL(file, EXPECTED), 'utf8'));
    const ids = new Set(ALL_CASES.map(({ id }) => id));
    expect(known.size).toBeGreaterThan(10);
    expect([...known.keys()].filter((id) => !ids.has(id))).toEqual([]);
  });
});

describe('a run', () => {
  it('takes cases by id and area, and refuses other names', () => {
    expect(casesNamed(['mpu.abort-twice']).map(({ id }) => id)).toEqual(['mpu.abort-twice']);
    expect(casesNamed(['clock']).every(({ area }) => area === 'clock')).toBe(true);
    expect(() => casesNamed(['clocks'])).toThrow('There is no case or area "clocks".');
  });

  it('says what the server did, skips what it does not offer, refuses what could harm, and leaves nothing', async () => {
    const store = await startOwnStore();
    try {
      const { restart: _, ...foreign } = { ...store, isOwn: false, makesBuckets: false };
      const run = new ContractRun(foreign);
      const base = { area: 'errors', title: 'a claim', source: 'measured: swift-2.30' } as const;
      const { GetBucketPolicyCommand } = await import('@aws-sdk/client-s3');
      const results = [
        await run.run({ ...base, id: 'a.one', run: () => Promise.reject(new ContractShortfall('200, not 404')) }),
        await run.run({ ...base, id: 'a.two', needs: ['restart'], run: () => Promise.resolve() }),
        await run.run({
          ...base,
          id: 'a.three',
          run: async (s3) => void (await s3.send(new GetBucketPolicyCommand({ Bucket: s3.bucket }))),
        }),
        await run.run({
          ...base,
          id: 'a.four',
          run: async (s3) => void (await s3.raw({ method: 'DELETE', query: 'policy' })),
        }),
        await run.run({
          ...base,
          id: 'a.five',
          run: async (s3) => {
            await s3.put('left');
            await s3.upload('open');
            await s3.read('missing');
          },
        }),
      ];
      expect(results.map(({ id, outcome, did }) => [id, outcome, did])).toEqual([
        ['a.one', 'short', '200, not 404'],
        ['a.two', 'skipped', 'this server cannot be killed by the suite'],
        ['a.three', 'short', 'Error: GetBucketPolicy is not on the list of allowed operations'],
        ['a.four', 'short', 'Error: ?policy is not on the list of allowed parameters'],
        ['a.five', 'short', '404 NoSuchKey: The specified key does not exist.'],
      ]);
      await run.close();
      expect(await leftIn(store)).toEqual([]);
    } finally {
      await store.close();
    }
  });

  it('reports every result once, in order', async () => {
    const store = await startOwnStore();
    try {
      const seen: CaseResult[] = [];
      const results = await runContract(store, { only: ['clock'], onResult: (result) => seen.push(result) });
      expect(seen).toEqual(results);
      expect(results.map(({ id }) => id)).toEqual(casesNamed(['clock']).map(({ id }) => id));
      expect(await leftIn(store)).toEqual([]);
    } finally {
      await store.close();
    }
  });
});

async function leftIn(store: ContractStore): Promise<string[]> {
  const { ListMultipartUploadsCommand, ListObjectsV2Command } = await import('@aws-sdk/client-s3');
  const { clientFor } = await import('../src/store-client.js');
  const client = clientFor(store, {});
  try {
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: store.bucket }));
    const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: store.bucket }));
    return [...Contents, ...Uploads].map(({ Key = '' }) => Key);
  } finally {
    client.destroy();
  }
}

describe('known shortfalls', () => {
  const result = (id: string, outcome: CaseResult['outcome']): CaseResult => ({
    id,
    outcome,
    area: 'errors',
    title: 'a claim',
    ms: 1,
  });

  it('are read from lines of id and reason', () => {
    const known = parseExpectedShortfalls('# Swift\n\nmpu.a: 501: no\nmpu.b: 200\n');
    expect([...known]).toEqual([
      ['mpu.a', '501: no'],
      ['mpu.b', '200'],
    ]);
    expect(() => parseExpectedShortfalls('mpu.a')).toThrow('Line 1 is not "id: reason".');
    expect(() => parseExpectedShortfalls('a.b: 1\na.b: 2')).toThrow('Line 2 names a.b again.');
  });

  it('are no failure, but one that has gone is', () => {
    const results = [
      result('a.known', 'short'),
      result('a.gone', 'ok'),
      result('a.new', 'short'),
      result('a.skipped', 'skipped'),
    ];
    const known = new Map([
      ['a.known', ''],
      ['a.gone', ''],
      ['a.skipped', ''],
    ]);
    const verdict = judgeResults(results, known);
    const ids = (list: readonly CaseResult[]) => list.map(({ id }) => id);
    expect([ids(verdict.unexpected), ids(verdict.expected), ids(verdict.surprising)]).toEqual([
      ['a.new'],
      ['a.known'],
      ['a.gone'],
    ]);
    expect(verdict.isGood).toBe(false);
    expect(judgeResults(results.slice(0, 1), known).isGood).toBe(true);
    expect(judgeResults(results.slice(1, 2), known).isGood).toBe(false);
  });
});
