import { expect } from '@jest/globals';
import type { TLS } from '../../src/behaviours/tls.js';
import { header, Probe } from '../support/probe.js';
import { endsWithCloseNotify } from '../support/tls-records.js';
import type { Checks } from './checks.js';

export const TLS_CHECKS: Checks<typeof TLS> = {
  async 'tls-honest'(probe) {
    expect(probe.url).toMatch(/^https:/);
    probe.expectWhole(await probe.get());
  },
  'tls-expired': (probe) => expectRefused(probe, 'CERT_HAS_EXPIRED'),
  'tls-wrong-name': (probe) => expectRefused(probe, 'ERR_TLS_CERT_ALTNAME_INVALID'),
  'tls-unknown-issuer': (probe) => expectRefused(probe, /^UNABLE_TO_/),
  async 'tls-reset-in-handshake'(probe) {
    expect(await probe.get()).toMatchObject({ text: '', ending: 'reset' });
  },
  async 'tls-stall-in-handshake'(probe) {
    expect(await probe.get({ quietMs: 200 })).toMatchObject({ text: '', ending: 'open' });
  },
  'tls-plain-answer': (probe) => expectRefused(probe, /^(EPROTO|ERR_SSL_WRONG_VERSION_NUMBER)$/),
  async 'tls-cut-without-close-notify'(probe) {
    expect(await endsWithCloseNotify(probe.url, probe.source.certificate)).toBe(false);
    expect(await endsWithCloseNotify(probe.url, probe.source.certificate)).toBe(true);
    const again = new Probe(probe.source, probe.name);
    const first = await again.get();
    expect(header(first, 'content-length')).toBe('300000');
    probe.expectBody(first, 0, 100_000);
    probe.expectPart(await again.resume(100_000, header(first, 'etag')), 100_000);
  },
  async 'tls-close-delimited-cut-without-close-notify'(probe) {
    expect(await endsWithCloseNotify(probe.url, probe.source.certificate)).toBe(false);
    const received = await probe.get();
    expect(received.headers).not.toHaveProperty('content-length');
    probe.expectBody(received, 0, 100_000);
  },
};

async function expectRefused(probe: Probe, code: string | RegExp): Promise<void> {
  const before = probe.source.requests.length;
  await expect(probe.get()).rejects.toMatchObject({ code: expect.stringMatching(code) });
  expect(probe.source.requests.length).toBe(before);
}
