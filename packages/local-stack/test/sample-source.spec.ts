import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { get } from 'node:http';
import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type SampleSource, startSampleSource } from '../src/index.js';

const FREE_BOX_BYTES = 24 * 1024 * 1024;

describe('startSampleSource', () => {
  let sample: SampleSource;
  let body: Buffer;
  let etag: string;
  const ask = (headers: Record<string, string> = {}, method = 'GET') => fetch(sample.url, { method, headers });

  beforeAll(async () => {
    sample = await startSampleSource();
    const response = await ask();
    etag = response.headers.get('etag') ?? '';
    body = Buffer.from(await response.arrayBuffer());
  });

  afterAll(() => sample.close());

  it('serves the whole body with the length and checksum it tells', async () => {
    expect(body.length).toBe(sample.sizeBytes);
    expect(createHash('sha256').update(body).digest('hex')).toBe(sample.sha256);
    expect(new URL(sample.url).pathname).toBe('/sample-recording.mp4');
  });

  it('is the committed video, index in front, and a free box of 24 MiB', async () => {
    const video = await readFile(new URL('../sample/sample-recording.mp4', import.meta.url));
    expect(body.subarray(0, video.length).equals(video)).toBe(true);
    expect(video.length).toBeLessThan(1_000_000);
    const boxes = readBoxes(body);
    expect(boxes.map((box) => box.type)).toEqual(['ftyp', 'moov', 'free', 'mdat', 'free']);
    expect(boxes.at(-1)?.size).toBe(FREE_BOX_BYTES);
    expect(boxes.reduce((sum, box) => sum + box.size, 0)).toBe(body.length);
  });

  it('never repeats a megabyte, so that parts in the wrong order are noticed', () => {
    const pieces = new Set<string>();
    const pieceBytes = 1024 * 1024;
    for (let start = 0; start < body.length; start += pieceBytes) {
      pieces.add(
        createHash('sha256')
          .update(body.subarray(start, start + pieceBytes))
          .digest('hex'),
      );
    }
    expect(pieces.size).toBe(Math.ceil(body.length / pieceBytes));
  });

  it('tells the same in HEAD as in GET', async () => {
    const response = await ask({}, 'HEAD');
    expect(response.status).toBe(200);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'video/mp4',
      'content-length': String(sample.sizeBytes),
      'accept-ranges': 'bytes',
      etag,
    });
    expect(etag).toMatch(/^"[0-9a-f]{64}"$/);
    expect(Date.parse(response.headers.get('last-modified') ?? '')).toBeLessThanOrEqual(Date.now());
    expect(await response.text()).toBe('');
  });

  it.each([
    ['bytes=0-0', 0, 1],
    ['bytes=317000-400000', 317_000, 400_001],
    // Across the header of the free box, and at places that are no multiple of the generator's block.
    ['bytes=317177-317200', 317_177, 317_201],
    ['bytes=20000003-20070021', 20_000_003, 20_070_022],
    ['bytes=-5', -5, undefined],
    ['bytes=25483000-99999999999', 25_483_000, undefined],
    ['bytes=25000000-', 25_000_000, undefined],
  ])('answers %s with those bytes', async (range, start, end) => {
    const response = await ask({ range });
    const wanted = body.subarray(start, end);
    const first = start < 0 ? body.length + start : start;
    expect(response.status).toBe(206);
    expect(response.headers.get('content-range')).toBe(`bytes ${first}-${first + wanted.length - 1}/${body.length}`);
    expect(response.headers.get('content-length')).toBe(String(wanted.length));
    expect(Buffer.from(await response.arrayBuffer()).equals(wanted)).toBe(true);
  });

  it.each(['bytes=25483003-', 'bytes=99999999999-', 'bytes=-0'])('refuses %s with 416', async (range) => {
    const response = await ask({ range });
    expect(response.status).toBe(416);
    expect(response.headers.get('content-range')).toBe(`bytes */${body.length}`);
  });

  it.each(['bytes=5-3', 'bytes=a-b', 'bytes=-', 'bytes=0-1,3-4', 'lines=1-2'])('ignores %s', async (range) => {
    const response = await ask({ range });
    expect(response.status).toBe(200);
    expect(response.headers.get('content-length')).toBe(String(body.length));
    await response.body?.cancel();
  });

  it('serves the range of If-Range only while the body is the same', async () => {
    const statusOf = async (ifRange: string) => {
      const response = await ask({ range: 'bytes=0-9', 'if-range': ifRange });
      await response.body?.cancel();
      return response.status;
    };
    const { headers } = await ask({}, 'HEAD');
    expect(await statusOf(etag)).toBe(206);
    expect(await statusOf(headers.get('last-modified') ?? '')).toBe(206);
    expect(await statusOf('"another"')).toBe(200);
    expect(await statusOf(`W/${etag}`)).toBe(200);
    expect(await statusOf('Thu, 01 Jan 1970 00:00:00 GMT')).toBe(200);
  });

  it('knows one path and two methods', async () => {
    const elsewhere = await fetch(new URL('/other.mp4', sample.url));
    const post = await ask({}, 'POST');
    expect([elsewhere.status, post.status, post.headers.get('allow')]).toEqual([404, 405, 'GET, HEAD']);
    const withQuery = await fetch(`${sample.url}?token=1`, { method: 'HEAD' });
    expect(withQuery.status).toBe(200);
  });

  it('closes in the middle of a reader, takes the wished port, and leaves a taken one alone', async () => {
    const source = await startSampleSource();
    const port = Number(new URL(source.url).port);
    const request = get(source.url);
    const [response] = await once(request, 'response');
    const failed = once(response, 'error');
    await source.close();
    await source.close();
    response.resume();
    await failed;

    const again = await startSampleSource({ port });
    expect(again.url).toBe(source.url);
    await again.close();
    const blocker = createServer().listen(port, '127.0.0.1');
    await once(blocker, 'listening');
    const other = await startSampleSource({ port });
    expect(other.url).not.toBe(source.url);
    await other.close();
    blocker.close();
    await once(blocker, 'close');
  });
});

function readBoxes(file: Buffer): { type: string; size: number }[] {
  const boxes: { type: string; size: number }[] = [];
  for (let position = 0; position < file.length; ) {
    const size = file.readUInt32BE(position);
    boxes.push({ type: file.toString('latin1', position + 4, position + 8), size });
    position += Math.max(size, 8);
  }
  return boxes;
}
