import { expect } from '@jest/globals';
import type { VALIDATORS } from '../../src/behaviours/validators.js';
import { contentRange } from '../../src/index.js';
import { header, type Probe } from '../support/probe.js';
import type { Received } from '../support/raw-client.js';
import type { Checks } from './checks.js';
import { expectFirstCut } from './ranges.js';

export const VALIDATOR_CHECKS: Checks<typeof VALIDATORS> = {
  async 'etag-changes'(probe) {
    const etag = await expectFirstCut(probe);
    const rest = await probe.resume(100_000, etag);
    expect(rest.status).toBe(200);
    expect(header(rest, 'etag')).not.toBe(etag);
    expectVersion(probe, rest, 2);
    const unconditional = await probe.resume(100_000);
    expect(unconditional.status).toBe(206);
    expect(header(unconditional, 'etag')).toBe(header(rest, 'etag'));
  },
  async 'etag-changes-every-time'(probe) {
    const etags = new Set<string>();
    for (const seed of [1, 2, 3]) {
      const received = await probe.get();
      expect(received.ending).toBe('fin');
      expectVersion(probe, received, seed, 0, 100_000);
      etags.add(header(received, 'etag'));
    }
    expect(etags.size).toBe(3);
  },
  async 'etag-alternates'(probe) {
    const etag = await expectFirstCut(probe);
    const second = await probe.resume(100_000);
    expect(header(second, 'etag')).not.toBe(etag);
    probe.expectBody(second, 100_000, 200_000);
    const third = await probe.resume(200_000, etag);
    expect(header(third, 'etag')).toBe(etag);
    probe.expectPart(third, 200_000);
  },
  async 'etag-weak'(probe) {
    expect(await expectFirstCut(probe)).toMatch(/^W\/"/);
    const rest = await probe.resume(100_000);
    probe.expectPart(rest, 100_000);
    probe.expectWhole(await probe.resume(100_000, header(rest, 'etag')));
  },
  async 'etag-unquoted'(probe) {
    expect(await expectFirstCut(probe)).toBe('unquoted');
    probe.expectPart(await probe.resume(100_000), 100_000);
  },
  async 'etag-missing-on-resume'(probe) {
    const etag = await expectFirstCut(probe);
    expect(etag).not.toBe('');
    const rest = await probe.resume(100_000, etag);
    probe.expectPart(rest, 100_000);
    expect(rest.headers.etag).toBeUndefined();
  },
  async 'no-validator-cut'(probe) {
    expect(await expectFirstCut(probe)).toBe('');
    const rest = await probe.resume(100_000);
    probe.expectPart(rest, 100_000);
    expect(rest.headers).not.toHaveProperty('last-modified');
  },
  async 'last-modified-cut'(probe) {
    expect(await expectFirstCut(probe)).toBe('');
    const rest = await probe.resume(100_000);
    probe.expectPart(rest, 100_000);
    probe.expectPart(await probe.resume(200_000, header(rest, 'last-modified')), 200_000);
  },
  async 'last-modified-changes'(probe) {
    const first = await probe.get();
    probe.expectBody(first, 0, 100_000);
    const rest = await probe.resume(100_000, header(first, 'last-modified'));
    expect(rest.status).toBe(200);
    expect(header(rest, 'last-modified')).not.toBe(header(first, 'last-modified'));
    expectVersion(probe, rest, 2);
  },
  async 'total-changes'(probe) {
    const etag = await expectFirstCut(probe);
    const rest = await probe.resume(100_000, etag);
    expect(rest.status).toBe(206);
    expect(header(rest, 'etag')).toBe(etag);
    expect(header(rest, 'content-range')).toBe('bytes 100000-300999/301000');
    expect(rest.body.length).toBe(201_000);
  },
  async 'content-changes-silently'(probe) {
    const etag = await expectFirstCut(probe);
    const rest = await probe.resume(100_000, etag);
    expect(rest.status).toBe(206);
    expect(header(rest, 'etag')).toBe(etag);
    expect(header(rest, 'content-range')).toBe('bytes 100000-299999/300000');
    expectVersion(probe, rest, 2, 100_000);
  },
};

function expectVersion(probe: Probe, received: Received, seed: number, start = 0, end = 300_000): void {
  expect(received.body.equals(contentRange({ ...probe.file, seed }, start, end))).toBe(true);
}
