import { expect } from '@jest/globals';
import type { STALLS } from '../../src/behaviours/stalls.js';
import { header, type Probe } from '../support/probe.js';
import type { Received } from '../support/raw-client.js';
import type { Checks } from './checks.js';

/** How long a silence has to last to count as one. */
const SILENCE = { quietMs: 100 };

export const STALL_CHECKS: Checks<typeof STALLS> = {
  async 'reset-before-head'(probe) {
    for (const received of [await probe.get(), await probe.get()]) expectNothing(received, 'reset');
  },
  async 'reset-before-head-once'(probe) {
    expectNothing(await probe.get(), 'reset');
    probe.expectWhole(await probe.get());
  },
  async 'fin-before-head'(probe) {
    for (const received of [await probe.get(), await probe.get()]) expectNothing(received, 'fin');
  },
  async 'fin-before-head-once'(probe) {
    expectNothing(await probe.get(), 'fin');
    probe.expectWhole(await probe.get());
  },
  async 'fin-in-head'(probe) {
    const received = await probe.get();
    expect(received).toMatchObject({ status: 200, ending: 'fin' });
    expect(received.text).not.toContain('\r\n\r\n');
  },
  async 'stall-before-head'(probe) {
    expectNothing(await probe.get(SILENCE), 'open');
    expectNothing(await probe.get(SILENCE), 'open');
  },
  async 'stall-before-head-once'(probe) {
    expectNothing(await probe.get(SILENCE), 'open');
    probe.expectWhole(await probe.get());
  },
  async 'stall-in-head'(probe) {
    const received = await probe.get(SILENCE);
    expect(received).toMatchObject({ status: 200, ending: 'open' });
    expect(received.text).not.toContain('\r\n\r\n');
  },
  async 'slow-head'(probe) {
    const startedMs = performance.now();
    probe.expectWhole(await probe.get());
    expect(performance.now() - startedMs).toBeGreaterThan(45);
  },
  async 'head-drip'(probe) {
    const startedMs = performance.now();
    const received = await probe.get({ enoughBytes: 80 });
    expect(performance.now() - startedMs).toBeGreaterThan(300);
    expect(received).toMatchObject({ status: 200, ending: 'open' });
    expect(received.text).toMatch(/^HTTP\/1\.1 200 OK\r\n[^\n]*\r\nX-Unfinished: x+$/);
  },
  async 'stall-in-body'(probe) {
    const first = await probe.get(SILENCE);
    expectStalled(probe, first, 0, 100_000);
    const second = await probe.resume(100_000, header(first, 'etag'), SILENCE);
    expectStalled(probe, second, 100_000, 200_000);
    probe.expectPart(await probe.resume(200_000), 200_000);
  },
  async 'stall-in-body-without-progress'(probe) {
    expectStalled(probe, await probe.get(SILENCE), 0, 100_000);
    expectStalled(probe, await probe.resume(100_000, undefined, SILENCE), 100_000, 100_000);
  },
  async 'stall-in-body-once'(probe) {
    const first = await probe.get(SILENCE);
    expectStalled(probe, first, 0, 100_000);
    probe.expectPart(await probe.resume(100_000, header(first, 'etag')), 100_000);
  },
  async 'stall-before-last-chunk'(probe) {
    const received = await probe.get(SILENCE);
    expect(received).toMatchObject({ status: 200, ending: 'open' });
    probe.expectChunks(received, 0, 300_000, false);
  },
  async 'pause-in-body'(probe) {
    const startedMs = performance.now();
    probe.expectWhole(await probe.get());
    expect(performance.now() - startedMs).toBeGreaterThan(45);
    probe.expectPart(await probe.resume(250_000), 250_000);
  },
  async 'body-drip'(probe) {
    const startedMs = performance.now();
    const first = await probe.get({ enoughBytes: 200 });
    expect(first.ending).toBe('open');
    expect(header(first, 'content-length')).toBe('300000');
    probe.expectBody(first, 0, first.body.length);
    probe.expectPart(await probe.resume(299_980), 299_980);
    expect(performance.now() - startedMs).toBeGreaterThan(100);
  },
};

function expectNothing(received: Received, ending: Received['ending']): void {
  expect(received).toMatchObject({ text: '', ending });
}

function expectStalled(probe: Probe, received: Received, start: number, end: number): void {
  expect(received.ending).toBe('open');
  expect(header(received, 'content-length')).toBe(String(300_000 - start));
  probe.expectBody(received, start, end);
}
