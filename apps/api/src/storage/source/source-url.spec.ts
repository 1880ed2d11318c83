import { describe, expect, it } from '@jest/globals';
import { parseSourceUrl, redactSourceUrl } from './source-url.js';

const parse = (raw: string, allowHttp = true) => parseSourceUrl(raw, { allowHttp });

describe('parseSourceUrl', () => {
  it.each([
    'https://files.example/a.mp4',
    'http://files.example/a.mp4',
    'https://files.example:8443/a?token=x#y',
    'https://é.example/ü',
    'https://8.8.8.8/',
    'https://[2606:4700:4700::1111]/',
    'https://files.example./a',
  ])('takes %s', (raw) => expect(parse(raw).href).toMatch(/^https?:/));

  it.each([
    ['', 'must begin with'],
    ['files.example/a.mp4', 'must begin with'],
    ['//files.example/a', 'must begin with'],
    ['https:files.example', 'must begin with'],
    ['https:///files.example', 'must begin with'],
    ['ftp://files.example/', 'must begin with'],
    ['file:///etc/passwd', 'must begin with'],
    ['javascript:alert(1)', 'must begin with'],
    ['https://files.example:99999/', 'must begin with'],
    ['https://[::1', 'must begin with'],
    ['https://files.example/a b', 'holds a space'],
    ['https://files.example\\@10.0.0.1/', 'backslash'],
    ['https://files.exa\tmple/', 'control character'],
    [' https://files.example/', 'holds a space'],
    ['https://files.example/\u0000', 'control character'],
    ['https://files.example/\ud800', 'surrogate'],
    ['https://user:secret@files.example/', 'user name or password'],
    ['https://user@files.example/', 'user name or password'],
    ['https://files..example/', 'empty label'],
    ['https://files.example:22/', 'port 22'],
    ['https://files.example:25/', 'port 25'],
    ['http://files.example:6379/', 'port 6379'],
    ['http://files.example:5432/', 'port 5432'],
    [`https://files.example/${'a'.repeat(8_192)}`, '8192 characters'],
  ])('refuses %j', (raw, rule) => {
    expect(() => parse(raw)).toThrow(
      expect.objectContaining({ code: 'SOURCE_URL_INVALID', message: expect.stringContaining(rule) }),
    );
  });

  // "Bad ports" of the Fetch standard above 1023, and databases.
  it.each([
    ...[
      1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
    ],
    ...[0, 1, 79, 81, 442, 444, 1023, 3306, 5432, 6379, 9200, 11211, 27017],
  ])('refuses port %i', (port) => {
    expect(() => parse(`https://files.example:${port}/`)).toThrow(`must not use port ${port}`);
  });

  it.each([80, 443, 1024, 8080, 8443, 9000, 65535])('takes port %i', (port) => {
    expect(parse(`https://files.example:${port}/`).hostname).toBe('files.example');
  });

  it('refuses hosts by their names, as the guard does', () => {
    const lists = { allowHttp: true, allowedHosts: ['minio'], deniedHosts: ['.bad.example'] };
    for (const url of ['http://localhost/', 'http://LocalHost./', 'http://redis:8080/', 'https://A.Bad.example./']) {
      expect(() => parseSourceUrl(url, lists)).toThrow(
        expect.objectContaining({ code: 'SOURCE_ADDRESS_BLOCKED', message: 'source address not allowed' }),
      );
    }
    for (const url of ['http://minio:9000/', 'https://bad.example/', 'http://127.1/', 'http://[::1]/']) {
      expect(parseSourceUrl(url, lists).pathname).toBe('/');
    }
  });

  it('refuses plain http where configuration does', () => {
    expect(() => parse('http://files.example/', false)).toThrow('must use https');
    expect(parse('https://files.example/', false).protocol).toBe('https:');
  });

  it('never repeats the URL, which may hold a token', () => {
    for (const raw of [
      'ftp://files.example/?token=canary',
      'https://canary:canary@files.example/',
      'https://files.example:22/canary',
    ]) {
      expect(() => parse(raw)).toThrow(expect.objectContaining({ message: expect.not.stringContaining('canary') }));
    }
  });
});

describe('redactSourceUrl', () => {
  it('keeps what names the file, and drops where tokens live', () => {
    expect(redactSourceUrl(new URL('https://u:p@files.example:8443/a/b.mp4?token=x&sig=y#z'))).toBe(
      'https://files.example:8443/a/b.mp4',
    );
  });
});
