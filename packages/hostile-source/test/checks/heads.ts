import { expect } from '@jest/globals';
import type { HEADS } from '../../src/behaviours/heads.js';
import { header, type Probe } from '../support/probe.js';
import type { Checks } from './checks.js';

export const HEAD_CHECKS: Checks<typeof HEADS> = {
  async 'interim-flood'(probe) {
    const { text } = await probe.get();
    expect(text.match(/HTTP\/1\.1 103 Early Hints\r\n/g)?.length).toBe(200);
    expectWholeBehind(probe, text);
  },
  async 'interim-endless'(probe) {
    const startedMs = performance.now();
    const { text, ending } = await probe.get({ enoughBytes: 1000 });
    expect(performance.now() - startedMs).toBeGreaterThan(50);
    expect(ending).toBe('open');
    expect(text).toMatch(/^(HTTP\/1\.1 103 Early Hints\r\nLink: [^\r]*\r\n\r\n){10,}/);
  },
  async 'continue-unasked'(probe) {
    const { text } = await probe.get();
    expect(text).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n/);
    expectWholeBehind(probe, text);
  },
  async 'switching-protocols-unasked'(probe) {
    const received = await probe.get({ quietMs: 100 });
    expect(received).toMatchObject({ status: 101, ending: 'open' });
    expect(received.body.length).toBe(0);
  },
  async 'header-giant'(probe) {
    const received = await probe.get();
    probe.expectWhole(received);
    expect(header(received, 'x-giant').length).toBe(20_000);
  },
  async 'headers-many'(probe) {
    const received = await probe.get();
    probe.expectWhole(received);
    expect(Object.keys(received.headers).length).toBeGreaterThan(3000);
  },
  async 'headers-endless'(probe) {
    const { text, ending } = await probe.get({ enoughBytes: 1_000_000 });
    expect(ending).toBe('open');
    expect(text).not.toContain('\r\n\r\n');
  },
  async 'header-folded'(probe) {
    const received = await probe.get();
    expect(received.text).toContain('\r\nX-Folded: one\r\n two\r\n');
    probe.expectBody(received, 0);
  },
  async 'header-with-nul'(probe) {
    const received = await probe.get();
    expect(received.text).toContain('\r\nX-Nul: a\0b\r\n');
    probe.expectBody(received, 0);
  },
  async 'header-space-before-colon'(probe) {
    const received = await probe.get();
    expect(received.text).toContain('\r\nContent-Length : 300000\r\n');
    probe.expectBody(received, 0);
  },
  async 'content-type-hostile'(probe) {
    const received = await probe.get();
    expect(header(received, 'content-type')).toContain('<script>');
    probe.expectWhole(received);
  },
  async 'bare-line-feeds'(probe) {
    const { text } = await probe.get();
    expect(text).toMatch(/^HTTP\/1\.1 200 OK\n[^\r]*\nContent-Length: 300000\n\n/);
    expectWholeBehind(probe, text, '\n\n');
  },
  'status-line-malformed': (probe) => expectStatusLine(probe, 'HTTP/1.1 OK'),
  'status-line-other-version': (probe) => expectStatusLine(probe, 'HTTP/3.7 200 OK'),
  'status-out-of-range': (probe) => expectStatusLine(probe, 'HTTP/1.1 999 Unheard Of'),
  async garbage(probe) {
    const { text, ending } = await probe.get();
    expect(text).toMatch(/^\0/);
    expect(text).not.toContain('HTTP');
    expect(ending).toBe('fin');
  },
  async 'body-without-head'(probe) {
    const { text, ending } = await probe.get();
    expect(ending).toBe('fin');
    expect(Buffer.from(text, 'latin1').equals(probe.bytes())).toBe(true);
  },
  async 'http2-answer'(probe) {
    const { text, ending } = await probe.get();
    expect(Buffer.from(text, 'latin1').toString('hex')).toBe('000000040000000000');
    expect(ending).toBe('fin');
  },
};

async function expectStatusLine(probe: Probe, statusLine: string): Promise<void> {
  const received = await probe.get();
  expect(received.text.split('\r\n')[0]).toBe(statusLine);
  probe.expectBody(received, 0);
}

/** The file is the last thing that came, behind an empty line. */
function expectWholeBehind(probe: Probe, text: string, emptyLine = '\r\n\r\n'): void {
  const body = Buffer.from(text.slice(-probe.file.sizeBytes), 'latin1');
  expect(body.equals(probe.bytes())).toBe(true);
  expect(text.slice(0, -probe.file.sizeBytes).endsWith(emptyLine)).toBe(true);
}
