import { expect } from '@jest/globals';
import type { LIMITS } from '../../src/behaviours/limits.js';
import type { Probe } from '../support/probe.js';
import { askTwice } from '../support/raw-client.js';
import type { Checks } from './checks.js';

export const LIMIT_CHECKS: Checks<typeof LIMITS> = {
  async 'rate-per-connection'(probe) {
    const startedMs = performance.now();
    const [whole, part] = await Promise.all([probe.get(), probe.resume(150_000)]);
    const tookMs = performance.now() - startedMs;
    probe.expectWhole(whole);
    probe.expectPart(part, 150_000);
    // 300,000 bytes at 2,000,000 a second, the first slice of a hundredth of a second being sent at once.
    expect(tookMs).toBeGreaterThan(130);
  },
  'connections-limited-by-503': (probe) => expectRefusal(probe, 503),
  'connections-limited-by-429': (probe) => expectRefusal(probe, 429),
  async 'connections-limited-by-reset'(probe) {
    const [first, second, third] = await askThreeTimes(probe);
    expect([first?.status, second?.status]).toEqual([206, 206]);
    expect(third).toMatchObject({ text: '', ending: 'reset' });
    probe.expectPart(await probe.resume(290_000), 290_000);
  },
  async 'ranges-for-one-connection'(probe) {
    const [first, ...others] = await askThreeTimes(probe);
    if (first) probe.expectPart(first, 150_000);
    for (const received of others) probe.expectWhole(received);
    probe.expectPart(await probe.resume(290_000), 290_000);
  },
  async 'keep-alive-closed'(probe) {
    const rest = await askTwice(probe.url, probe.source.certificate, 300_000);
    expect(rest.bytes.length).toBe(0);
    expect(rest.ending).not.toBe('open');
  },
  async 'keep-alive-reset-on-reuse'(probe) {
    const rest = await askTwice(probe.url, probe.source.certificate, 300_000);
    expect(rest.bytes.length).toBe(0);
    expect(rest.ending).toBe('reset');
    probe.expectWhole(await probe.get());
  },
};

/** Three at once, in this order: each begins when the one before it has begun to be answered. */
async function askThreeTimes(probe: Probe) {
  const running = [];
  for (let count = 1; count <= 3; count += 1) {
    running.push(probe.resume(150_000));
    await probe.source.requestsArrived(probe.url, count);
  }
  return Promise.all(running);
}

async function expectRefusal(probe: Probe, status: number): Promise<void> {
  const [first, second, third] = await askThreeTimes(probe);
  expect([first?.status, second?.status]).toEqual([206, 206]);
  expect(third?.status).toBe(status);
  probe.expectPart(await probe.resume(290_000), 290_000);
}
