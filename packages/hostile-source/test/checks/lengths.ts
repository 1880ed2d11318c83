import { expect } from '@jest/globals';
import type { LENGTHS } from '../../src/behaviours/lengths.js';
import { header, type Probe } from '../support/probe.js';
import { decodeChunks, type Received } from '../support/raw-client.js';
import type { Checks } from './checks.js';

const ENOUGH = { enoughBytes: 1_000_000 };

export const LENGTH_CHECKS: Checks<typeof LENGTHS> = {
  async 'length-too-short'(probe) {
    const first = await probe.get();
    expect(header(first, 'content-length')).toBe('299000');
    probe.expectBody(first, 0);
    const rest = await probe.resume(100_000, header(first, 'etag'));
    expect(header(rest, 'content-range')).toBe('bytes 100000-298999/299000');
    probe.expectBody(rest, 100_000);
  },
  'length-huge': (probe) => expectLengths(probe, ['1125899906842624']),
  'length-absurd': (probe) => expectLengths(probe, ['99999999999999999999999']),
  'length-negative': (probe) => expectLengths(probe, ['-5']),
  'length-not-a-number': (probe) => expectLengths(probe, ['many']),
  'two-lengths': (probe) => expectLengths(probe, ['300000', '5']),
  'two-equal-lengths': (probe) => expectLengths(probe, ['300000', '300000']),
  async 'length-and-chunked'(probe) {
    const received = await probe.get();
    expect(header(received, 'content-length')).toBe('300000');
    expect(header(received, 'transfer-encoding')).toBe('chunked');
    const { data, isWhole } = decodeChunks(received.body);
    expect(isWhole && data.equals(probe.bytes())).toBe(true);
  },
  async 'close-delimited'(probe) {
    const received = await probe.get();
    expectUnknownLength(received);
    probe.expectBody(received, 0);
  },
  async 'close-delimited-cut'(probe) {
    for (const received of [await probe.get(), await probe.resume(100_000)]) {
      expectUnknownLength(received);
      probe.expectBody(received, 0, 100_000);
    }
  },
  async 'close-delimited-reset'(probe) {
    const received = await probe.get();
    expect(received).toMatchObject({ status: 200, ending: 'reset' });
    expect(received.headers['content-length']).toBeUndefined();
    probe.expectPiece(received, 0, 100_000);
  },
  async 'http10-with-length'(probe) {
    const received = await probe.get();
    expect(received.text).toMatch(/^HTTP\/1\.0 200 /);
    probe.expectWhole(received);
  },
  async 'http10-without-length'(probe) {
    const received = await probe.get();
    expect(received.text).toMatch(/^HTTP\/1\.0 200 /);
    expect(received.headers['content-length']).toBeUndefined();
    probe.expectBody(received, 0);
  },
  async 'endless-chunked'(probe) {
    const received = await probe.get(ENOUGH);
    expect(received).toMatchObject({ status: 200, ending: 'open' });
    const { data } = decodeChunks(received.body);
    expect(data.subarray(300_000, 600_000).equals(probe.bytes())).toBe(true);
  },
  async 'endless-beyond-length'(probe) {
    const received = await probe.get(ENOUGH);
    expect(header(received, 'content-length')).toBe('300000');
    expectEndless(probe, received);
  },
  async 'endless-close-delimited'(probe) {
    const received = await probe.get(ENOUGH);
    expect(header(received, 'connection')).toBe('close');
    expect(received.headers['content-length']).toBeUndefined();
    expectEndless(probe, received);
  },
  async 'second-answer-unasked'(probe) {
    const received = await probe.get();
    expect(received.body.subarray(0, 300_000).equals(probe.bytes())).toBe(true);
    expect(received.body.toString('latin1', 300_000)).toMatch(/^HTTP\/1\.1 200 OK\r\n.*\r\n\r\nsmuggled$/s);
  },
};

async function expectLengths(probe: Probe, lengths: string[]): Promise<void> {
  const received = await probe.get();
  expect(received).toMatchObject({ status: 200, ending: 'fin' });
  expect(received.headers['content-length']).toEqual(lengths);
  probe.expectBody(received, 0);
}

function expectUnknownLength(received: Received): void {
  expect(received).toMatchObject({ status: 200, ending: 'fin' });
  expect(received.text).toMatch(/^HTTP\/1\.1 /);
  expect(header(received, 'connection')).toBe('close');
  expect(received.headers).not.toHaveProperty('content-length');
  expect(received.headers).not.toHaveProperty('transfer-encoding');
}

function expectEndless(probe: Probe, received: Received): void {
  expect(received).toMatchObject({ status: 200, ending: 'open' });
  expect(received.body.subarray(300_000, 600_000).equals(probe.bytes())).toBe(true);
}
