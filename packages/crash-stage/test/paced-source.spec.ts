import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { PacedSource } from '../src/index.js';

const MiB = 1024 ** 2;
let source: PacedSource;

beforeAll(async () => {
  source = await PacedSource.start();
});
afterAll(() => source.close());

const read = async (url: string, headers: Record<string, string> = {}) => {
  const answer = await fetch(url, { headers });
  return { answer, body: Buffer.from(await answer.arrayBuffer()) };
};

it('sends the whole file and ranges of it, and counts their bytes', async () => {
  const file = source.add(300_000);
  const whole = await read(file.url);
  expect(createHash('sha256').update(whole.body).digest('hex')).toBe(await file.sha256());
  const rest = await read(file.url, { range: 'bytes=200000-', 'if-range': file.etag });
  expect(rest.answer.headers.get('content-range')).toBe('bytes 200000-299999/300000');
  expect(rest.body.equals(whole.body.subarray(200_000))).toBe(true);
  expect(file.sentBytes).toBe(400_000);
  expect(file.requests.map(({ range }) => range)).toEqual([undefined, 'bytes=200000-']);
});

it('sends nothing behind the place at which it is held', async () => {
  const file = source.add(3 * MiB);
  file.holdAt(MiB);
  const reading = read(file.url);
  await file.sentUpTo(MiB);
  expect(file.sentBytes).toBe(MiB);
  file.release();
  expect((await reading).body).toHaveLength(3 * MiB);
});

it('sends the whole file to a range of the version before, and where it honours none', async () => {
  const file = source.add(1_000);
  const before = file.etag;
  file.replace();
  expect((await read(file.url, { range: 'bytes=500-', 'if-range': before })).answer.status).toBe(200);
  file.isHonouringRanges = false;
  expect((await read(file.url, { range: 'bytes=500-' })).answer.status).toBe(200);
});

it('sends no faster than it is told', async () => {
  const file = source.add(MiB);
  file.bytesPerSecond = 4 * MiB;
  const begin = performance.now();
  await read(file.url);
  expect(performance.now() - begin).toBeGreaterThan(200);
});
