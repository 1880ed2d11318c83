import { describe, expect, it } from '@jest/globals';
import { checkHostName, isListedHost } from './host-name.js';

describe('isListedHost', () => {
  it.each([
    ['files.example', 'files.example'],
    ['files.example.', 'files.example'],
    ['files.example', 'Files.Example.'],
    ['FILES.example', 'files.example'],
    ['xn--bcher-kva.example', 'bücher.example'],
    ['a.files.example', '.files.example'],
    ['a.b.files.example.', '.Files.Example'],
    ['redis', 'redis'],
  ])('finds %s by %s', (hostname, item) => expect(isListedHost(hostname, ['other.example', item])).toBe(true));

  it.each([
    ['a.files.example', 'files.example'],
    ['files.example', '.files.example'],
    ['evilfiles.example', '.files.example'],
    ['evilfiles.example', 'files.example'],
    ['files.example.evil.example', 'files.example'],
    ['files.example.evil.example', '.files.example'],
    ['filesXexample', 'files.example'],
    ['files.example', '.'],
    ['', ''],
  ])('does not find %j by %j', (hostname, item) => expect(isListedHost(hostname, [item])).toBe(false));
});

describe('checkHostName', () => {
  const check = (hostname: string, allowedHosts: string[] = [], deniedHosts: string[] = []) => {
    checkHostName(hostname, { allowedHosts, deniedHosts });
    return 'passed';
  };
  const refused = { code: 'SOURCE_ADDRESS_BLOCKED', message: 'source address not allowed' };

  it('passes names with a dot, and without one where they are listed', () => {
    expect(check('files.example')).toBe('passed');
    expect(check('redis', ['redis'])).toBe('passed');
    for (const hostname of ['redis', 'localhost', 'localhost.', '.']) {
      expect(() => check(hostname, ['.redis'])).toThrow(expect.objectContaining(refused));
    }
  });

  it('refuses a denied host, listed as allowed or not', () => {
    expect(() => check('files.example', [], ['files.example'])).toThrow(expect.objectContaining(refused));
    expect(() => check('a.files.example', ['a.files.example'], ['.files.example'])).toThrow(
      expect.objectContaining(refused),
    );
  });

  it('keeps the reason for the log', () => {
    expect(() => check('redis')).toThrow(
      expect.objectContaining({ cause: expect.objectContaining({ message: expect.stringContaining('host redis') }) }),
    );
  });
});
