import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { type FaultRule, type S3FaultProxy, startS3FaultProxy } from '../src/index.js';

// No store is needed: where no rule applies, the connection fails instead of a fault's 500.
const NOWHERE = 'http://127.0.0.1:1';

let proxy: S3FaultProxy;
beforeAll(async () => {
  proxy = await startS3FaultProxy({ target: NOWHERE });
});
afterEach(() => proxy.clear());
afterAll(() => proxy.close());

describe('a rule', () => {
  it('applies once, and so often as `times` says', async () => {
    const rule = proxy.inject({ fault: 'internal-error' });
    expect(await hits(['GET /b/k', 'GET /b/k'])).toBe('x.');
    proxy.inject({ fault: 'internal-error', times: 2 });
    expect(await hits(['GET /b/k', 'GET /b/k', 'GET /b/k'])).toBe('xx.');
    proxy.inject({ fault: 'internal-error', times: Number.POSITIVE_INFINITY });
    expect(await hits(Array(20).fill('GET /b/k'))).toBe('x'.repeat(20));
    expect(rule.applied).toBe(1);
  });

  it('lets the first `after` requests that fit through', async () => {
    proxy.inject({ fault: 'internal-error', operation: 'HeadObject', after: 2 });
    expect(await hits(['HEAD /b/k', 'GET /b/k', 'HEAD /b/k', 'HEAD /b/k', 'HEAD /b/k'])).toBe('...x.');
  });

  it('chooses by operation, prefix of the key and part', async () => {
    const always = { fault: 'internal-error', times: Number.POSITIVE_INFINITY } as const;
    proxy.inject({ ...always, operation: ['UploadPart', 'HeadObject'], key: 'a/', partNumber: 2 });
    const part = (key: string, number: number) => `PUT /b/${key}?partNumber=${number}&uploadId=u`;
    expect(await hits([part('a/k', 1), part('a/k', 2), part('b/k', 2), 'HEAD /b/a/k', 'GET /b/a/k'])).toBe('.x...');
  });

  it('happens only to the operations of its fault', async () => {
    proxy.inject({ fault: 'upload-id-unknown' });
    expect(await hits(['GET /b/k', 'PUT /b/k', 'PUT /b/k?partNumber=1&uploadId=u'])).toBe('..x');
  });

  it('gives way to those before it, and goes when removed', async () => {
    const first = proxy.inject({ fault: 'slow-down', times: 5 });
    const second = proxy.inject({ fault: 'internal-error', times: 5 });
    await hits(['GET /b/k', 'GET /b/k']);
    expect([first.applied, second.applied]).toEqual([2, 0]);
    first.remove();
    await hits(['GET /b/k']);
    expect([first.applied, second.applied]).toEqual([2, 1]);
    proxy.clear();
    expect(await hits(['GET /b/k'])).toBe('.');
  });

  it('with a probability depends on seed and request, not on the order of arrival', async () => {
    const keys = Array.from({ length: 40 }, (_, index) => `GET /b/${index}`);
    const draw = async (seed: number, requests: string[]) => {
      const drawing = await startS3FaultProxy({ target: NOWHERE, seed });
      drawing.inject({ fault: 'internal-error', probability: 0.5, times: Number.POSITIVE_INFINITY });
      const results = await hits(requests, drawing);
      await drawing.close();
      return results;
    };
    const results = await draw(7, keys);
    expect(results).toMatch(/x.*\.|\..*x/);
    expect(await draw(7, keys)).toBe(results);
    expect(await draw(7, keys.toReversed())).toBe([...results].toReversed().join(''));
    expect(await draw(8, keys)).not.toBe(results);
  });

  const wrong: [string, FaultRule][] = [
    ['there is no such fault', { fault: 'no-such-fault' } as unknown as FaultRule],
    ['the fault does not happen to GetObject', { fault: 'abort-ignored', operation: 'GetObject' }],
    ['the fault has no parameter bytes', { fault: 'internal-error', parameters: { bytes: 1 } } as FaultRule],
    ['times is less than 1', { fault: 'internal-error', times: 0 }],
    ['after is less than 0', { fault: 'internal-error', after: -1 }],
    ['probability is not above 0 and at most 1', { fault: 'internal-error', probability: 1.5 }],
    ['started with abortUpload', { fault: 'upload-aborted-at-store' }],
  ];
  it.each(wrong)('is refused when %s', (reason, rule) => {
    expect(() => proxy.inject(rule)).toThrow(reason);
  });
});

/** One character a request, one after the other: x for an answer of the proxy, . where it went to the store. */
async function hits(requests: readonly string[], through = proxy): Promise<string> {
  let results = '';
  for (const line of requests) {
    const [method, path] = line.split(' ');
    try {
      await fetch(`${through.endpoint}${path}`, { method });
      results += 'x';
    } catch {
      results += '.'; // Reset, since there is no store.
    }
  }
  return results;
}
