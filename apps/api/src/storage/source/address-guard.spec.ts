import { networkInterfaces } from 'node:os';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import type { buildConnector } from 'undici';
import { AddressGuard, type AddressGuardOptions } from './address-guard.js';

beforeAll(() => Logger.overrideLogger(false));
afterAll(() => Logger.overrideLogger(['log', 'warn', 'error']));

const guard = (changes: Partial<AddressGuardOptions> = {}) =>
  new AddressGuard({ allowedAddresses: [], deniedAddresses: [], ...changes });

/** First and last address of each range, and who gave it away. */
const REFUSED_RANGES: readonly (readonly [first: string, last: string, why: string])[] = [
  ['0.0.0.0', '0.255.255.255', 'this network, RFC 791'],
  ['10.0.0.0', '10.255.255.255', 'private, RFC 1918'],
  ['100.64.0.0', '100.127.255.255', 'carrier-grade NAT, RFC 6598'],
  ['127.0.0.0', '127.255.255.255', 'loopback, RFC 1122'],
  ['168.63.129.16', '168.63.129.16', "Azure's host agent"],
  ['169.254.0.0', '169.254.255.255', 'link local and metadata, RFC 3927'],
  ['172.16.0.0', '172.31.255.255', 'private, RFC 1918'],
  ['192.0.0.0', '192.0.0.255', 'protocol assignments, RFC 6890'],
  ['192.0.2.0', '192.0.2.255', 'documentation, RFC 5737'],
  ['192.31.196.0', '192.31.196.255', 'AS112, RFC 7535'],
  ['192.52.193.0', '192.52.193.255', 'AMT, RFC 7450'],
  ['192.88.99.0', '192.88.99.255', '6to4 relays, RFC 7526'],
  ['192.168.0.0', '192.168.255.255', 'private, RFC 1918'],
  ['192.175.48.0', '192.175.48.255', 'AS112, RFC 7534'],
  ['198.18.0.0', '198.19.255.255', 'benchmarks, RFC 2544'],
  ['198.51.100.0', '198.51.100.255', 'documentation, RFC 5737'],
  ['203.0.113.0', '203.0.113.255', 'documentation, RFC 5737'],
  ['224.0.0.0', '239.255.255.255', 'multicast, RFC 5771'],
  ['240.0.0.0', '255.255.255.255', 'reserved and broadcast, RFC 1112'],
  ['::', '::1', 'unspecified and loopback, RFC 4291'],
  ['::2', '::ffff:ffff', 'IPv4-compatible, RFC 4291'],
  ['::ffff:0:0', '::ffff:ffff:ffff', 'IPv4-mapped, RFC 4291'],
  ['::ffff:0:0:0', '::ffff:0:ffff:ffff', 'IPv4-translated, RFC 2765'],
  ['64:ff9b::', '64:ff9b::ffff:ffff', 'NAT64 without its prefix in configuration, RFC 6052'],
  ['64:ff9b:1::', '64:ff9b:1:ffff:ffff:ffff:ffff:ffff', 'local NAT64, RFC 8215'],
  ['100::', '100::ffff:ffff:ffff:ffff', 'discard only, RFC 6666'],
  ['100:0:0:1::', '100:0:0:1:ffff:ffff:ffff:ffff', 'dummy prefix, RFC 9780'],
  ['1fff:ffff::', '1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'below global unicast'],
  ['2001::', '2001:0:ffff:ffff:ffff:ffff:ffff:ffff', 'Teredo, RFC 4380'],
  ['2001:1::1', '2001:1::3', 'anycast of PCP, TURN and SRP, RFC 7723'],
  ['2001:2::', '2001:2:0:ffff:ffff:ffff:ffff:ffff', 'benchmarks, RFC 5180'],
  ['2001:3::', '2001:3:ffff:ffff:ffff:ffff:ffff:ffff', 'AMT, RFC 7450'],
  ['2001:4:112::', '2001:4:112:ffff:ffff:ffff:ffff:ffff', 'AS112, RFC 7535'],
  ['2001:10::', '2001:1f:ffff:ffff:ffff:ffff:ffff:ffff', 'ORCHID, RFC 4843'],
  ['2001:20::', '2001:2f:ffff:ffff:ffff:ffff:ffff:ffff', 'ORCHIDv2, RFC 7343'],
  ['2001:30::', '2001:3f:ffff:ffff:ffff:ffff:ffff:ffff', 'DRIP, RFC 9374'],
  ['2001:40::', '2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff', 'rest of the protocol assignments, RFC 2928'],
  ['2001:db8::', '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff', 'documentation, RFC 3849'],
  ['2002::', '2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '6to4, RFC 3056'],
  ['2620:4f:8000::', '2620:4f:8000:ffff:ffff:ffff:ffff:ffff', 'AS112, RFC 7534'],
  ['3fff::', '3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff', 'documentation, RFC 9637'],
  ['4000::', '5eff::', 'above global unicast'],
  ['5f00::', '5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'segment routing, RFC 9602'],
  ['fc00::', 'fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'unique local, RFC 4193'],
  ['fe80::', 'febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'link local, RFC 4291'],
  ['fec0::', 'feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'site local, RFC 3879'],
  ['ff00::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'multicast, RFC 4291'],
  ['2a00:1450::5efe:7f00:1', '2a00:1450::200:5efe:a00:1', 'ISATAP, RFC 5214'],
];

/** Neighbours of those ranges, and hosts that everybody knows. */
const PUBLIC = [
  ...['1.0.0.0', '9.255.255.255', '11.0.0.0', '100.63.255.255', '100.128.0.0', '126.255.255.255', '128.0.0.0'],
  ...['168.63.129.15', '168.63.129.17', '169.253.255.255', '169.255.0.0', '172.15.255.255', '172.32.0.0'],
  ...['191.255.255.255', '192.0.1.0', '192.0.3.0', '192.88.98.255', '192.88.100.0', '192.167.255.255', '192.169.0.0'],
  ...['198.17.255.255', '198.20.0.0', '198.51.99.255', '198.51.101.0', '203.0.112.255', '203.0.114.0'],
  ...['223.255.255.255', '8.8.8.8', '1.1.1.1', '93.184.215.14'],
  ...['2001:200::', '2001:db7:ffff::', '2001:db9::', '2003::', '2620:4f:7fff::', '2620:4f:8001::', '3fff:1000::'],
  ...['2a00:1450:4001:82b::200e', '2606:4700:4700::1111', '2a00:1450::5eff:7f00:1'],
];

describe('AddressGuard.isAllowed', () => {
  it.each(REFUSED_RANGES)('refuses %s to %s: %s', (first, last, _why) => {
    expect(guard().isAllowed(first, 443)).toBe(false);
    expect(guard().isAllowed(last, 443)).toBe(false);
  });

  it.each(PUBLIC)('allows %s', (address) => expect(guard().isAllowed(address, 443)).toBe(true));

  it.each(['', 'not an address', '127.1', '0x7f000001', '2606:4700::1111%eth0', 'fe80::1%1', '8.8.8.8.', '[::1]'])(
    'refuses %j, which is no plain address',
    (address) => expect(guard().isAllowed(address, 443)).toBe(false),
  );

  it("refuses this machine's own addresses, also of an allowed host", () => {
    const own = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
    expect(own.length).toBeGreaterThan(0);
    for (const { address } of own) {
      expect(guard().isAllowed(address, 443)).toBe(false);
      expect(guard({ allowedHosts: ['files.example'] }).isAllowed(address, 443, 'files.example')).toBe(false);
    }
  });

  it('lets configuration allow a range, at one port or all', () => {
    const allowing = guard({ allowedAddresses: ['10.1.0.0/16', '127.0.0.1/32:9000', '[::1/128]:9000'] });
    expect(allowing.isAllowed('10.1.2.3', 80)).toBe(true);
    expect(allowing.isAllowed('10.2.2.3', 80)).toBe(false);
    expect(allowing.isAllowed('127.0.0.1', 9000)).toBe(true);
    expect(allowing.isAllowed('::ffff:127.0.0.1', 9000)).toBe(true);
    expect(allowing.isAllowed('127.0.0.1', 9001)).toBe(false);
    expect(allowing.isAllowed('::ffff:127.0.0.1', 9001)).toBe(false);
    expect(allowing.isAllowed('::1', 9000)).toBe(true);
    expect(allowing.isAllowed('::1', 9001)).toBe(false);
  });

  it('lets a denied range win over all that is allowed', () => {
    const denying = guard({
      allowedAddresses: ['10.0.0.0/8'],
      allowedHosts: ['files.example'],
      deniedAddresses: ['8.8.8.0/24', '10.0.0.0/16', '192.168.7.0/24', '1.1.1.1/32:8080'],
    });
    expect(denying.isAllowed('8.8.8.8', 443)).toBe(false);
    expect(denying.isAllowed('8.8.9.8', 443)).toBe(true);
    expect(denying.isAllowed('10.0.0.1', 443)).toBe(false);
    expect(denying.isAllowed('10.1.0.1', 443)).toBe(true);
    expect(denying.isAllowed('192.168.7.1', 443, 'files.example')).toBe(false);
    expect(denying.isAllowed('192.168.8.1', 443, 'files.example')).toBe(true);
    expect(denying.isAllowed('1.1.1.1', 8080)).toBe(false);
    expect(denying.isAllowed('1.1.1.1', 443)).toBe(true);
  });

  it('lets an allowed host live in a private network, and nowhere worse', () => {
    const allowing = guard({ allowedHosts: ['files.corp.example', '.media.example'] });
    const found = (hostname: string, address: string) => allowing.isAllowed(address, 443, hostname);
    for (const address of ['10.0.0.1', '172.16.0.1', '192.168.0.1', '100.64.0.1', 'fd12:3456::1', '8.8.8.8']) {
      expect(found('files.corp.example', address)).toBe(true);
      expect(found('a.media.example', address)).toBe(true);
    }
    expect(found('other.corp.example', '10.0.0.1')).toBe(false);
    expect(found('media.example', '10.0.0.1')).toBe(false);
    for (const address of [
      ...['127.0.0.1', '0.0.0.0', '169.254.169.254', '168.63.129.16', '100.100.100.200', '224.0.0.1', '192.0.0.192'],
      ...['::1', '::', '::ffff:10.0.0.1', 'fe80::1', 'ff02::1', 'fd00:ec2::254', 'fd20:ce::254', 'fd00:c1::a9fe:a9fe'],
    ]) {
      expect(found('files.corp.example', address)).toBe(false);
    }
  });

  it('judges what is behind NAT64 by the IPv4 address that it leads to', () => {
    const behind = guard({
      nat64Prefixes: ['64:ff9b::/96', '2001:db8:122:344::/64'],
      allowedAddresses: ['10.1.0.0/16:9000'],
      deniedAddresses: ['8.8.4.0/24'],
    });
    expect(behind.isAllowed('64:ff9b::8.8.8.8', 443)).toBe(true);
    expect(behind.isAllowed('2001:db8:122:344:8:808:800:0', 443)).toBe(true);
    expect(behind.isAllowed('64:ff9b::10.1.0.1', 9000)).toBe(true);
    expect(behind.isAllowed('64:ff9b::10.1.0.1', 443)).toBe(false);
    for (const address of [
      ...['64:ff9b::127.0.0.1', '64:ff9b::10.0.0.1', '64:ff9b::169.254.169.254', '64:ff9b::8.8.4.4'],
      ...['2001:db8:122:344:7f:0:100:0', '2001:db8:122:344:ff08:808:800:0', '64:ff9b:1::8.8.8.8'],
    ]) {
      expect(behind.isAllowed(address, 443)).toBe(false);
    }
  });

  it.each([
    [{ deniedAddresses: ['10.0.0.0/8', 'localhost'] }, 'localhost is no range of addresses'],
    [{ allowedAddresses: ['127.0.0.1/32:65536'] }, '127.0.0.1/32:65536 is no range of addresses'],
    [{ deniedAddresses: ['::ffff:10.0.0.0/104'] }, '::ffff:10.0.0.0/104 is no range of addresses'],
    [{ nat64Prefixes: ['64:ff9b::/95'] }, '64:ff9b::/95 is no NAT64 prefix'],
  ])('names the item of %j that is wrong', (changes, message) => {
    expect(() => guard(changes)).toThrow(message);
  });
});

describe('AddressGuard.connect', () => {
  const options: buildConnector.Options = { hostname: 'files.example', protocol: 'https:', port: '443' };
  const connect = (changes: object, guardChanges: Partial<AddressGuardOptions> = {}) => {
    const dialled: string[] = [];
    const judging = guard({
      resolve: async () => ['8.8.8.8', '127.0.0.1'],
      dial: (_options, addresses, callback) => {
        dialled.push(...addresses);
        callback(new Error('recorded, not dialled'), null);
      },
      ...guardChanges,
    });
    return new Promise<{ error: Error | null; dialled: string[] }>((resolve) =>
      judging.connect({ ...options, ...changes }, (...[error]: buildConnector.CallbackArgs) =>
        resolve({ error, dialled }),
      ),
    );
  };
  const refused = { error: { code: 'SOURCE_ADDRESS_BLOCKED', message: 'source address not allowed' }, dialled: [] };

  it.each([
    ['a socket of this machine', { socketPath: '/var/run/docker.sock', hostname: '8.8.8.8' }],
    ['a socket that somebody opened', { httpSocket: {}, hostname: '8.8.8.8' }],
    ['a literal in brackets', { hostname: '[::1]' }],
    ['a literal without brackets', { hostname: '::1' }],
    ['a name without a dot', { hostname: 'localhost' }],
  ])('refuses %s', async (_what, changes) => expect(await connect(changes)).toMatchObject(refused));

  it('refuses a denied name before it is looked up', async () => {
    const asked: string[] = [];
    const resolve = async (hostname: string) => {
      asked.push(hostname);
      return ['8.8.8.8'];
    };
    expect(await connect({}, { resolve, deniedHosts: ['files.example'] })).toMatchObject(refused);
    expect(asked).toEqual([]);
  });

  it('keeps for the log what it keeps from users', async () => {
    const { error } = await connect({});
    expect(error?.message).toBe('source address not allowed');
    expect(error?.cause).toMatchObject({
      message: 'host files.example has addresses [8.8.8.8, 127.0.0.1], of which [127.0.0.1] are refused at port 443',
    });
  });
});
