import { gunzipSync } from 'node:zlib';
import { expect } from '@jest/globals';
import type { CODINGS } from '../../src/behaviours/codings.js';
import { gzippedContent } from '../../src/index.js';
import { header, type Probe } from '../support/probe.js';
import { decodeChunks } from '../support/raw-client.js';
import type { Checks } from './checks.js';

const IDENTITY = { headers: { 'Accept-Encoding': 'identity' } };

export const CODING_CHECKS: Checks<typeof CODINGS> = {
  async 'coded-gzip'(probe) {
    const received = await probe.get(IDENTITY);
    expect(header(received, 'content-encoding')).toBe('gzip');
    expect(header(received, 'content-length')).toBe(String(received.body.length));
    expect(received.body.equals(gzippedContent(probe.file))).toBe(true);
    expect(gunzipSync(received.body).equals(probe.bytes())).toBe(true);
  },
  async 'coded-unknown'(probe) {
    const received = await probe.get(IDENTITY);
    expect(header(received, 'content-encoding')).toBe('x-unheard-of');
    probe.expectWhole(received);
  },
  async 'transfer-gzip'(probe) {
    const received = await probe.get(IDENTITY);
    expect(header(received, 'transfer-encoding')).toBe('gzip, chunked');
    const { data, isWhole } = decodeChunks(received.body);
    expect(isWhole && gunzipSync(data).equals(probe.bytes())).toBe(true);
  },
  async 'transfer-unknown'(probe) {
    const received = await probe.get();
    expect(received.ending).toBe('fin');
    expect(header(received, 'transfer-encoding')).toBe('x-unheard-of');
    probe.expectBody(received, 0);
  },
  async 'chunk-extensions'(probe) {
    const received = await probe.get();
    expect(received.body.toString('latin1', 0, 30)).toMatch(/^[0-9a-f]+;name="value"\r\n/);
    probe.expectChunks(received, 0, 300_000, true);
  },
  async 'chunk-giant-line'(probe) {
    const received = await probe.get();
    expect(received.body.indexOf('\r\n')).toBeGreaterThan(100_000);
    probe.expectChunks(received, 0, 300_000, true);
  },
  async 'chunk-endless-line'(probe) {
    const received = await probe.get({ enoughBytes: 1_000_000 });
    expect(received.ending).toBe('open');
    expect(received.body.indexOf('\n')).toBe(-1);
  },
  async 'chunks-of-one-byte'(probe) {
    const received = await probe.get();
    expect(received.body.length).toBe(5000 * '1\r\nx\r\n'.length + '0\r\n\r\n'.length);
    probe.expectChunks(received, 0, 5000, true);
  },
  'chunk-bad-length': (probe) => expectBrokenChunk(probe, 'zz\r\nsome bytes\r\n'),
  'chunk-absurd-length': (probe) => expectBrokenChunk(probe, 'fffffffffffffffffffff\r\nsome bytes\r\n'),
  'chunk-too-long': (probe) => expectBrokenChunk(probe, '4\r\nsome bytes\r\n'),
  async 'chunk-trailers'(probe) {
    const received = await probe.get();
    probe.expectChunks(received, 0, 300_000, true);
    expect(decodeChunks(received.body).afterLastChunk).toBe('X-Checksum: unchecked\r\nContent-Length: 5\r\n\r\n');
  },
  async 'chunk-endless-trailers'(probe) {
    const received = await probe.get({ enoughBytes: 1_000_000 });
    expect(received.ending).toBe('open');
    expect(decodeChunks(received.body).data.equals(probe.bytes())).toBe(true);
    expect(decodeChunks(received.body).afterLastChunk).toMatch(/^(X-Trailer: x+\r\n){2,}/);
  },
};

async function expectBrokenChunk(probe: Probe, badChunk: string): Promise<void> {
  const received = await probe.get();
  expect(received).toMatchObject({ status: 200, ending: 'fin' });
  expect(received.body.toString('latin1').endsWith(`\r\n${badChunk}`)).toBe(true);
  const good = received.body.subarray(0, -badChunk.length);
  expect(decodeChunks(good).data.equals(probe.bytes(0, 100_000))).toBe(true);
}
