import { expect } from '@jest/globals';
import type { STATUSES } from '../../src/behaviours/statuses.js';
import { header, type Probe } from '../support/probe.js';
import type { Received } from '../support/raw-client.js';
import type { Checks } from './checks.js';
import { expectFirstCut } from './ranges.js';

export const STATUS_CHECKS: Checks<typeof STATUSES> = {
  'status-202': (probe) => expectForEver(probe, 202),
  'status-204': (probe) => expectForEver(probe, 204),
  'status-205': (probe) => expectForEver(probe, 205),
  'status-300': (probe) => expectForEver(probe, 300),
  'status-304': (probe) => expectForEver(probe, 304),
  'status-400': (probe) => expectForEver(probe, 400),
  'status-401': (probe) => expectForEver(probe, 401),
  'status-403': (probe) => expectForEver(probe, 403),
  'status-404': (probe) => expectForEver(probe, 404),
  'status-407': (probe) => expectForEver(probe, 407),
  'status-410': (probe) => expectForEver(probe, 410),
  'status-429': (probe) => expectForEver(probe, 429),
  'status-451': (probe) => expectForEver(probe, 451),
  'status-500': (probe) => expectForEver(probe, 500),
  'status-502': (probe) => expectForEver(probe, 502),
  'status-503': (probe) => expectForEver(probe, 503),
  'status-504': (probe) => expectForEver(probe, 504),
  'status-408-once': (probe) => expectThenFile(probe, [408]),
  'status-425-once': (probe) => expectThenFile(probe, [425]),
  'status-500-once': (probe) => expectThenFile(probe, [500]),
  'status-503-twice': (probe) => expectThenFile(probe, [503, 503]),
  async 'retry-after-seconds'(probe) {
    for (const received of await expectThenFile(probe, [429, 429])) expect(header(received, 'retry-after')).toBe('1');
  },
  async 'retry-after-date'(probe) {
    const before = Date.now();
    for (const received of await expectThenFile(probe, [429, 429])) {
      const date = header(received, 'retry-after');
      expect(new Date(date).toUTCString()).toBe(date);
      // The date has whole seconds.
      expect(Date.parse(date)).toBeGreaterThanOrEqual(before);
      expect(Date.parse(date)).toBeLessThanOrEqual(Date.now() + 1000);
    }
  },
  async 'retry-after-absurd'(probe) {
    const [received] = await expectThenFile(probe, [503]);
    expect(received?.headers['retry-after']).toEqual(['999999999']);
  },
  async 'retry-after-malformed'(probe) {
    const [received] = await expectThenFile(probe, [503]);
    expect(received?.headers['retry-after']).toEqual(['soon']);
  },
  async 'resume-500-once'(probe) {
    const etag = await expectFirstCut(probe);
    expect((await probe.resume(100_000, etag)).status).toBe(500);
    probe.expectPart(await probe.resume(100_000, etag), 100_000);
  },
  async 'resume-404'(probe) {
    const etag = await expectFirstCut(probe);
    for (const received of [await probe.resume(100_000, etag), await probe.get()]) expect(received.status).toBe(404);
  },
  async 'resume-login-page'(probe) {
    const etag = await expectFirstCut(probe);
    expectLoginPage(await probe.resume(100_000, etag), 'text/html; charset=utf-8');
  },
  async 'link-expires'(probe) {
    const etag = await expectFirstCut(probe);
    expect((await probe.resume(100_000, etag)).status).toBe(403);
    const range = { headers: { Range: 'bytes=100000-', 'If-Range': etag } };
    const fresh = `${probe.url}&token=fresh`;
    probe.expectPart(await probe.at(fresh, range), 100_000);
    probe.expectPart(await probe.at(fresh, range), 100_000);
    expect((await probe.resume(100_000, etag)).status).toBe(403);
  },
  async 'link-expires-every-n-bytes'(probe) {
    const etag = await expectFirstCut(probe);
    for (const [index, start] of [100_000, 200_000].entries()) {
      const range = { headers: { Range: `bytes=${start}-`, 'If-Range': etag } };
      const fresh = `${probe.url}&token=${index}`;
      const received = await probe.at(fresh, range);
      expect(received).toMatchObject({ status: 206, ending: 'fin' });
      probe.expectBody(received, start, start + 100_000);
      expect((await probe.at(fresh, range)).status).toBe(403);
    }
  },
  async 'login-page'(probe) {
    expectLoginPage(await probe.get(), 'text/html; charset=utf-8');
  },
  async 'login-page-as-video'(probe) {
    expectLoginPage(await probe.get(), 'video/mp4');
  },
  async 'error-with-endless-body'(probe) {
    expect(await probe.get({ enoughBytes: 1_000_000 })).toMatchObject({ status: 500, ending: 'open' });
  },
};

async function expectForEver(probe: Probe, status: number): Promise<void> {
  for (const received of [await probe.get(), await probe.get(), await probe.resume(100)])
    expectStatus(received, status);
}

async function expectThenFile(probe: Probe, statuses: number[]): Promise<Received[]> {
  const refused: Received[] = [];
  for (const status of statuses) {
    const received = await probe.get();
    expectStatus(received, status);
    refused.push(received);
  }
  probe.expectWhole(await probe.get());
  return refused;
}

function expectStatus(received: Received, status: number): void {
  expect(received).toMatchObject({ status, ending: 'fin' });
  if ([204, 304].includes(status)) expect(received.headers).not.toHaveProperty('content-length');
  else expect(header(received, 'content-length')).toBe(String(received.body.length));
}

function expectLoginPage(received: Received, contentType: string): void {
  expect(received).toMatchObject({ status: 200, ending: 'fin' });
  expect(header(received, 'content-type')).toBe(contentType);
  expect(header(received, 'content-length')).toBe(String(received.body.length));
  expect(received.body.toString()).toMatch(/^<!doctype html>/);
}
