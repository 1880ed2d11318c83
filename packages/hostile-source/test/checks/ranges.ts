import { expect } from '@jest/globals';
import type { RANGES } from '../../src/behaviours/ranges.js';
import { contentRange } from '../../src/index.js';
import { header, type Probe } from '../support/probe.js';
import type { Received } from '../support/raw-client.js';
import type { Checks } from './checks.js';

export const RANGE_CHECKS: Checks<typeof RANGES> = {
  async 'range-ignored'(probe) {
    const { etag, rest } = await resumeAfterCut(probe);
    probe.expectWhole(rest);
    expect(header(rest, 'etag')).toBe(etag);
  },
  async 'range-ignored-other-etag'(probe) {
    const { etag, rest } = await resumeAfterCut(probe);
    probe.expectWhole(rest);
    expect(header(rest, 'etag')).not.toBe(etag);
  },
  async 'range-wrong-start'(probe) {
    const { rest } = await resumeAfterCut(probe);
    probe.expectPart(rest, 99_000);
  },
  async 'range-wrong-bytes'(probe) {
    const { rest } = await resumeAfterCut(probe);
    expectPartialHead(rest, 'bytes 100000-299999/300000', '200000');
    probe.expectBody(rest, 99_000, 299_000);
  },
  async 'range-wrong-total'(probe) {
    const { rest } = await resumeAfterCut(probe);
    expectPartialHead(rest, 'bytes 100000-299999/301000', '200000');
    probe.expectBody(rest, 100_000);
  },
  async 'range-unknown-total'(probe) {
    const { rest } = await resumeAfterCut(probe);
    expectPartialHead(rest, 'bytes 100000-299999/*', '200000');
    probe.expectBody(rest, 100_000);
  },
  async 'range-without-content-range'(probe) {
    const { rest } = await resumeAfterCut(probe);
    expect(rest).toMatchObject({ status: 206, ending: 'fin' });
    expect(rest.headers['content-range']).toBeUndefined();
    probe.expectBody(rest, 100_000);
  },
  async 'range-malformed'(probe) {
    const { rest } = await resumeAfterCut(probe);
    expectPartialHead(rest, 'bytes=100000-', '200000');
    probe.expectBody(rest, 100_000);
  },
  async 'range-multipart'(probe) {
    const { rest } = await resumeAfterCut(probe);
    expect(rest).toMatchObject({ status: 206, ending: 'fin' });
    expect(rest.headers['content-range']).toBeUndefined();
    expect(header(rest, 'content-length')).toBe(String(rest.body.length));
    const [, boundary] = /^multipart\/byteranges; boundary=(\S+)$/.exec(header(rest, 'content-type')) ?? [];
    const [opening = '', part = '', closing] = rest.body.toString('latin1').split(/(?:\r\n)?--boundary-of-parts/);
    expect({ boundary, opening, closing }).toEqual({ boundary: 'boundary-of-parts', opening: '', closing: '--\r\n' });
    const [partHead = '', ...partBody] = part.split('\r\n\r\n');
    expect(partHead).toContain('Content-Range: bytes 100000-299999/300000');
    expect(Buffer.from(partBody.join('\r\n\r\n'), 'latin1').equals(probe.bytes(100_000))).toBe(true);
  },
  async 'range-unasked'(probe) {
    probe.expectPart(await probe.get(), 0, 100_000);
    probe.expectPart(await probe.resume(100_000), 100_000);
  },
  async 'range-other-etag'(probe) {
    const { etag, rest } = await resumeAfterCut(probe);
    expectPartialHead(rest, 'bytes 100000-299999/300000', '200000');
    expect(header(rest, 'etag')).not.toBe(etag);
    expect(rest.body.equals(contentRange({ ...probe.file, seed: 2 }, 100_000, 300_000))).toBe(true);
  },
  async 'range-shorter'(probe) {
    const { etag, rest } = await resumeAfterCut(probe);
    probe.expectPart(rest, 100_000, 170_000);
    probe.expectPart(await probe.resume(170_000, etag), 170_000, 240_000);
    probe.expectPart(await probe.resume(240_000, etag), 240_000);
  },
  async 'range-end-ignored'(probe) {
    await expectFirstCut(probe);
    probe.expectPart(await probe.get({ headers: { Range: 'bytes=100000-100099' } }), 100_000);
  },
  async 'range-surplus'(probe) {
    const { rest } = await resumeAfterCut(probe);
    expectPartialHead(rest, 'bytes 100000-299999/300000', '200000');
    expect(rest.body.length).toBe(201_000);
    expect(rest.body.subarray(0, 200_000).equals(probe.bytes(100_000))).toBe(true);
  },
  async 'range-length-disagrees'(probe) {
    const { rest } = await resumeAfterCut(probe);
    expectPartialHead(rest, 'bytes 100000-299999/300000', '199000');
    probe.expectBody(rest, 100_000, 299_000);
  },
  async 'resume-416'(probe) {
    const { rest } = await resumeAfterCut(probe);
    expect(rest.status).toBe(416);
    expect(header(rest, 'content-range')).toBe('bytes */300000');
    probe.expectWhole(await probe.get());
  },
  async 'resume-416-other-total'(probe) {
    const { rest } = await resumeAfterCut(probe);
    expect(rest.status).toBe(416);
    expect(header(rest, 'content-range')).toBe('bytes */50000');
  },
};

/** The first answer, cut after 100,000 bytes: gives its ETag. */
export async function expectFirstCut(probe: Probe): Promise<string> {
  const first = await probe.get();
  expect(first).toMatchObject({ status: 200, ending: 'fin' });
  expect(header(first, 'content-length')).toBe('300000');
  probe.expectBody(first, 0, 100_000);
  return first.headers.etag?.[0] ?? '';
}

async function resumeAfterCut(probe: Probe): Promise<{ etag: string; rest: Received }> {
  const etag = await expectFirstCut(probe);
  return { etag, rest: await probe.resume(100_000, etag) };
}

function expectPartialHead(received: Received, contentRangeValue: string, length: string): void {
  expect(received).toMatchObject({ status: 206, ending: 'fin' });
  expect(header(received, 'content-range')).toBe(contentRangeValue);
  expect(header(received, 'content-length')).toBe(length);
}
