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
