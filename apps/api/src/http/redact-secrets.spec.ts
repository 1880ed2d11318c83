import { describe, expect, it } from '@jest/globals';
import { redactSecrets } from './redact-secrets.js';

const CANARY = 'c4n4ryValue0123456789';

describe('redactSecrets', () => {
  it.each([
    ['a presigned URL', `GET https://s3.example.com/b/k.mp4?X-Amz-Date=20260101&X-Amz-Signature=${CANARY} failed`],
    ['a source query of any name', `source https://cdn.example.com/v.mp4?anything=${CANARY} answered 403`],
    ['a fragment', `source https://cdn.example.com/v.mp4#${CANARY}`],
    ['userinfo', `postgresql://postgres:${CANARY}@localhost:5432/api`],
    ['userinfo with an @ in it', `postgresql://postgres:a@${CANARY}@localhost:5432/api`],
    ['a lone presigned parameter', `X-Amz-Security-Token=${CANARY}&x=1`],
    ['a signature parameter', `/files?sig=${CANARY}&limit=3`],
    ['a token parameter', `/files?limit=3&access_token=${CANARY}`],
    ['CloudFront', `Signature=${CANARY};`],
    ['a quoted value', `secretAccessKey="${CANARY}"`],
    ['an Authorization header', `Authorization: Bearer ${CANARY}`],
    ['an AWS Authorization header', `authorization: AWS4-HMAC-SHA256 Credential=AK/${CANARY}, Signature=${CANARY}`],
    ['a lone bearer token', `got Bearer ${CANARY}`],
    ['a cookie', `cookie: session=${CANARY}; other=${CANARY}`],
    ['a JSON field', `{"headers":{"authorization":"Bearer ${CANARY}","x":"y"}}`],
    ['a JSON list', `{"set-cookie":["a=${CANARY}","b=${CANARY}"]}`],
    ['a JSON token', `{"leaseToken":"${CANARY}"}`],
    ['a quote in a JSON secret', JSON.stringify({ password: `a"${CANARY}` })],
    ['a JSON web token', `the token eyJhbGciOiJIUzI1NiJ9.${CANARY}.abc is bad`],
  ])('takes out %s', (_name, text) => {
    const redacted = redactSecrets(text);
    expect(redacted).not.toContain(CANARY);
    expect(redacted).toContain('[redacted]');
  });

  it('takes out an AWS access key id', () => {
    expect(redactSecrets('key AKIAIOSFODNN7EXAMPLE is unknown')).toBe('key [redacted] is unknown');
  });

  it('takes out known secrets wherever they stand', () => {
    expect(redactSecrets(`it said ${CANARY}!`, [CANARY])).toBe('it said [redacted]!');
  });

  it('leaves known secrets of a few letters, which are words too', () => {
    expect(redactSecrets('a test failed', ['test'])).toBe('a test failed');
  });

  it('keeps what helps to find a fault', () => {
    const text =
      'source https://cdn.example.com:8080/a/v.mp4 answered 403; file 5f0c of recordings/5f0c/1.mp4, /files?limit=3&cursor=abc';
    expect(redactSecrets(text)).toBe(text);
    expect(redactSecrets('GET https://cdn.example.com/v.mp4?a=b failed')).toBe(
      'GET https://cdn.example.com/v.mp4?[redacted] failed',
    );
  });

  it('keeps a line of JSON valid', () => {
    const line = JSON.stringify({
      url: `https://u:${CANARY}@h/p?token=${CANARY}`,
      'set-cookie': [`a=${CANARY}`],
      cookie: `a=${CANARY}`,
      stack: `Error: "https://h/?sig=${CANARY}"\n    at token="${CANARY}" (file.ts:1:2)\n  authorization: ${CANARY}\n`,
      nested: JSON.stringify({ authorization: `Bearer ${CANARY}`, secret: CANARY }),
    });
    const redacted = redactSecrets(line);
    expect(redacted).not.toContain(CANARY);
    expect(Object.keys(JSON.parse(redacted))).toEqual(['url', 'set-cookie', 'cookie', 'stack', 'nested']);
  });

  it('takes linear time on hostile text', () => {
    const started = performance.now();
    for (const part of [
      'a',
      '://',
      'token=',
      'x-amz-',
      'http://a?',
      '"cookie":[',
      'eyJ',
      'Bearer ',
      'secret-',
      '"\\',
    ]) {
      redactSecrets(part.repeat(100_000 / part.length));
    }
    expect(performance.now() - started).toBeLessThan(4_000);
  });
});
