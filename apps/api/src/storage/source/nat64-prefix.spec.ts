import { describe, expect, it } from '@jest/globals';
import ipaddr from 'ipaddr.js';
import { decodeNat64, parseNat64Prefixes } from './nat64-prefix.js';

const decode = (address: string, ...prefixes: string[]) =>
  decodeNat64(ipaddr.parse(address), parseNat64Prefixes(prefixes));

describe('decodeNat64', () => {
  it.each([
    // RFC 6052, section 2.4, table 1 and 2: the examples of each length.
    ['2001:db8::/32', '2001:db8:c000:221::'],
    ['2001:db8:100::/40', '2001:db8:1c0:2:21::'],
    ['2001:db8:122::/48', '2001:db8:122:c000:2:2100::'],
    ['2001:db8:122:300::/56', '2001:db8:122:3c0:0:221::'],
    ['2001:db8:122:344::/64', '2001:db8:122:344:c0:2:2100::'],
    ['2001:db8:122:344::/96', '2001:db8:122:344::192.0.2.33'],
    ['64:ff9b::/96', '64:ff9b::192.0.2.33'],
  ])('takes 192.0.2.33 out of %s', (prefix, address) => {
    expect(decode(address, '2001:67c:2b0::/96', prefix)?.toString()).toBe('192.0.2.33');
  });

  it('leaves addresses with another prefix alone', () => {
    expect(decode('2606:4700:4700::1111', '64:ff9b::/96')).toBeUndefined();
    expect(decode('192.0.2.33', '64:ff9b::/96')).toBeUndefined();
    expect(decode('64:ff9b::808:808')).toBeUndefined();
  });

  it('takes nothing out of an address whose reserved byte is set', () => {
    expect(decode('2001:db8:122:344:ffc0:2:2100::', '2001:db8:122:344::/64')).toBeNull();
  });
});

describe('parseNat64Prefixes', () => {
  it.each(['64:ff9b::/95', '10.0.0.0/32', '[64:ff9b::/96]:443', '64:ff9b::'])('names %s, which is none', (item) => {
    expect(() => parseNat64Prefixes(['64:ff9b::/96', item])).toThrow(`${item} is no`);
  });
});
