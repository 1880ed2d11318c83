import { expect } from '@jest/globals';
import { PRIVATE_LOCATIONS, type REDIRECTS } from '../../src/behaviours/redirects.js';
import { header, Probe } from '../support/probe.js';
import type { Received } from '../support/raw-client.js';
import type { Checks } from './checks.js';
import { expectFirstCut } from './ranges.js';

export const REDIRECT_CHECKS: Checks<typeof REDIRECTS> = {
  'redirect-301': (probe) => expectHops(probe, 301),
  'redirect-302': (probe) => expectHops(probe, 302),
  'redirect-303': (probe) => expectHops(probe, 303),
  'redirect-307': (probe) => expectHops(probe, 307),
  'redirect-308': (probe) => expectHops(probe, 308),
  async 'redirect-relative'(probe) {
    const location = locationOf(await probe.get());
    expect(location).toMatch(/^\?/);
    probe.expectWhole(await probe.at(new URL(location, probe.url).href));
  },
  async 'redirect-without-scheme'(probe) {
    const location = locationOf(await probe.get());
    expect(location).toMatch(/^\/\/127\.0\.0\.1:/);
    probe.expectWhole(await probe.at(`http:${location}`));
  },
  async 'redirect-loop'(probe) {
    for (const received of [await probe.get(), await probe.get()]) expect(locationOf(received)).toBe(probe.url);
  },
  async 'redirect-for-ever'(probe) {
    const seen = new Set([probe.url]);
    for (let url = probe.url; seen.size < 30; seen.add(url)) url = locationOf(await probe.at(url));
    expect([...seen].at(-1)).toContain('hop=29');
  },
  async 'redirect-without-location'(probe) {
    const received = await probe.get();
    expect(received.status).toBe(302);
    expect(received.headers).not.toHaveProperty('location');
  },
  async 'redirect-empty-location'(probe) {
    expect((await probe.get()).headers.location).toEqual(['']);
  },
  async 'redirect-malformed-location'(probe) {
    expect(() => new URL('http://[::1')).toThrow();
    expect(locationOf(await probe.get())).toBe('http://[::1');
  },
  async 'redirect-two-locations'(probe) {
    const { status, headers } = await probe.get();
    expect(status).toBe(302);
    expect(new Set(headers.location).size).toBe(2);
  },
  async 'redirect-to-other-origin'(probe) {
    const location = locationOf(await probe.get());
    expect(new URL(location).origin).toBe(probe.source.origins.otherHttp);
    probe.expectWhole(await probe.at(location, { headers: { 'X-Secret': 'canary' } }));
    const [first, second] = probe.source.requests.slice(-2);
    expect([first?.listener, second?.listener]).toEqual(['http', 'otherHttp']);
    expect(second?.headerNames).toContain('x-secret');
    expect(first?.headerNames).not.toContain('x-secret');
  },
  async 'redirect-to-private-address'(probe) {
    const locations = [];
    for (const target of PRIVATE_LOCATIONS.keys()) {
      locations.push(locationOf(await new Probe(probe.source, probe.name, { target }).get()));
    }
    expect(locations).toEqual(PRIVATE_LOCATIONS);
  },
  async 'redirect-to-http'(probe) {
    expect(new URL(probe.url).protocol).toBe('https:');
    const location = locationOf(await probe.get());
    expect(new URL(location).origin).toBe(probe.source.httpUrl);
    probe.expectWhole(await probe.at(location));
  },
  async 'redirect-to-https'(probe) {
    expect(new URL(probe.url).protocol).toBe('http:');
    const location = locationOf(await probe.get());
    expect(new URL(location).origin).toBe(probe.source.httpsUrl);
    probe.expectWhole(await probe.at(location));
  },
  async 'redirect-to-ftp'(probe) {
    expect(new URL(locationOf(await probe.get())).protocol).toBe('ftp:');
  },
  async 'redirect-to-file'(probe) {
    expect(new URL(locationOf(await probe.get())).protocol).toBe('file:');
  },
  async 'redirect-with-userinfo'(probe) {
    const location = new URL(locationOf(await probe.get()));
    expect(location).toMatchObject({ username: 'name', password: 'password' });
    probe.expectWhole(await probe.at(location.href));
  },
  async 'redirect-with-endless-body'(probe) {
    const received = await probe.get({ enoughBytes: 1_000_000 });
    expect(received.ending).toBe('open');
    probe.expectWhole(await probe.at(locationOf(received)));
  },
  async 'redirect-on-resume'(probe) {
    const etag = await expectFirstCut(probe);
    const location = locationOf(await probe.resume(100_000, etag));
    const range = { Range: 'bytes=100000-', 'If-Range': etag };
    probe.expectPart(await probe.at(location, { headers: range }), 100_000);
  },
};

async function expectHops(probe: Probe, status: number): Promise<void> {
  const received = await probe.get();
  probe.expectWhole(await probe.at(locationOf(received, status)));
  const far = new Probe(probe.source, probe.name, { hops: 3 });
  let url = far.url;
  for (let hop = 0; hop < 3; hop += 1) url = locationOf(await far.at(url), status);
  far.expectWhole(await far.at(url));
}

function locationOf(received: Received, status = 302): string {
  expect(received.status).toBe(status);
  return header(received, 'location');
}
