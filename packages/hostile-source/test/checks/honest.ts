import { expect } from '@jest/globals';
import type { HONEST } from '../../src/behaviours/honest.js';
import { LAST_MODIFIED } from '../../src/representation.js';
import { header } from '../support/probe.js';
import type { Checks } from './checks.js';

export const HONEST_CHECKS: Checks<typeof HONEST> = {
  async 'honest-etag'(probe) {
    const first = await probe.get();
    probe.expectWhole(first);
    expect(first.headers['accept-ranges']).toEqual(['bytes']);
    const etag = header(first, 'etag');
    expect(etag).toMatch(/^"/);
    probe.expectPart(await probe.resume(123_457, etag), 123_457);
    probe.expectPart(await probe.get({ headers: { Range: 'bytes=10-99' } }), 10, 100);
    probe.expectPart(await probe.get({ headers: { Range: 'bytes=-7' } }), 299_993);
    probe.expectWhole(await probe.resume(123_457, '"another"'));
    const refused = await probe.resume(300_000);
    expect(refused).toMatchObject({ status: 416, body: Buffer.alloc(0) });
    expect(header(refused, 'content-range')).toBe('bytes */300000');
  },
  async 'honest-last-modified'(probe) {
    const first = await probe.get();
    probe.expectWhole(first);
    expect(first.headers.etag).toBeUndefined();
    expect(header(first, 'last-modified')).toBe(LAST_MODIFIED);
    probe.expectPart(await probe.resume(5, LAST_MODIFIED), 5);
    probe.expectWhole(await probe.resume(5, 'Wed, 01 Oct 2025 10:00:01 GMT'));
  },
  async 'honest-no-validator'(probe) {
    const first = await probe.get();
    probe.expectWhole(first);
    expect(first.headers).not.toHaveProperty('etag');
    expect(first.headers).not.toHaveProperty('last-modified');
    probe.expectPart(await probe.resume(5), 5);
  },
  async 'honest-unannounced-ranges'(probe) {
    const first = await probe.get();
    probe.expectWhole(first);
    expect(first.headers['accept-ranges']).toBeUndefined();
    probe.expectPart(await probe.resume(5, header(first, 'etag')), 5);
  },
  async 'honest-no-ranges'(probe) {
    expect(header(await probe.get(), 'accept-ranges')).toBe('none');
    probe.expectWhole(await probe.resume(5));
  },
  async 'honest-chunked'(probe) {
    const first = await probe.get();
    probe.expectChunks(first, 0, 300_000, true);
    const rest = await probe.resume(5, header(first, 'etag'));
    expect(rest.status).toBe(206);
    probe.expectChunks(rest, 5, 300_000, true);
  },
  async 'empty-file'(probe) {
    expect(probe.file.sizeBytes).toBe(0);
    probe.expectWhole(await probe.get());
  },
};
