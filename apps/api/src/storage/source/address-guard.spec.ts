import { type AddressInfo, createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { describe, expect, it } from '@jest/globals';
import type { StorageOptions } from '../storage.options.js';
import { AddressGuard, type Dial } from './address-guard.js';
import { SourceReader } from './source-reader.js';

const REFUSED = [
  '127.0.0.1',
  '127.255.255.254',
  '0.0.0.0',
  '10.0.0.1',
  '100.64.0.1',
  '169.254.169.254',
  '172.16.0.1',
  '172.31.255.255',
  '192.0.0.1',
  '192.0.2.1',
  '192.88.99.1',
  '192.168.1.1',
  '198.18.0.1',
  '198.51.100.1',
  '203.0.113.1',
  '224.0.0.1',
  '240.0.0.1',
  '255.255.255.255',
  '168.63.129.16',
  '::',
  '::1',
  '::7f00:1',
  '::ffff:7f00:1',
  '::ffff:10.0.0.1',
  '64:ff9b::7f00:1',
  '64:ff9b:1::1',
  '100::1',
  '100:0:0:1::1',
  '2001::1',
  '2001:db8::1',
  '2002:7f00:1::',
  '3fff::1',
  '4000::1',
  'fc00::1',
  'fd00:ec2::254',
  'fe80::1',
  'fe80::1%1',
  'fec0::1',
  'ff02::1',
  '2a00:1450::5efe:7f00:1',
  '2a00:1450::200:5efe:a00:1',
  'not an address',
];
const PUBLIC = [
  '8.8.8.8',
  '1.1.1.1',
  '93.184.215.14',
  '172.32.0.1',
  '2a00:1450:4001:82b::200e',
  '2606:4700:4700::1111',
];

const guard = (changes: { allowed?: string[]; denied?: string[] } = {}) =>
  new AddressGuard({
    allowedAddresses: changes.allowed ?? [],
    deniedAddresses: changes.denied ?? [],
  });

describe('AddressGuard', () => {
  it.each(REFUSED)('refuses %s', (address) => expect(guard().isAllowed(address, 443)).toBe(false));

  it.each(PUBLIC)('allows %s', (address) => expect(guard().isAllowed(address, 443)).toBe(true));

  it("refuses this machine's own addresses", () => {
    const own = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
    expect(own.length).toBeGreaterThan(0);
    for (const { address } of own) expect(guard().isAllowed(address, 443)).toBe(false);
  });

  it('lets configuration allow a range, at one port or all, and deny one', () => {
    const allowing = guard({ allowed: ['10.1.0.0/16', '127.0.0.1/32:9000', '[::1/128]:9000'], denied: ['8.8.8.0/24'] });
    expect(allowing.isAllowed('10.1.2.3', 80)).toBe(true);
    expect(allowing.isAllowed('10.2.2.3', 80)).toBe(false);
    expect(allowing.isAllowed('127.0.0.1', 9000)).toBe(true);
    expect(allowing.isAllowed('::ffff:127.0.0.1', 9000)).toBe(true);
    expect(allowing.isAllowed('127.0.0.1', 9001)).toBe(false);
    expect(allowing.isAllowed('::1', 9000)).toBe(true);
    expect(allowing.isAllowed('::1', 9001)).toBe(false);
    expect(allowing.isAllowed('8.8.8.8', 443)).toBe(false);
  });

  it('names the item that is no range', () => {
    expect(() => guard({ denied: ['10.0.0.0/8', 'localhost'] })).toThrow('localhost is no range of addresses');
  });
});

/** Options of a source that no range is allowed for. */
const PUBLIC_ONLY = {
  source: {
    allowHttp: true,
    allowedAddresses: [],
    deniedAddresses: [],
    maxBytes: 1,
    maxRedirects: 1,
    headersTimeoutMs: 1_000,
    stallTimeoutMs: 1_000,
    deadlineMs: 5_000,
  },
} as unknown as StorageOptions;

describe('a source behind the guard', () => {
  // The seam records what would be dialled and never dials: nothing here leaves this machine.
  const dialled: string[] = [];
  const recordingDial: Dial = (_options, addresses, callback) => {
    dialled.push(...addresses);
    callback(new Error('recorded, not dialled'), null);
  };
  const table: Record<string, string[]> = {
    'public.example': ['8.8.8.8', '2606:4700:4700::1111'],
    'private.example': ['10.0.0.1'],
    'mixed.example': ['8.8.8.8', '127.0.0.1'],
    'nothing.example': [],
    localhost: ['127.0.0.1', '::1'],
  };
  const open = (url: string) => {
    dialled.length = 0;
    const resolve = async (hostname: string) => table[hostname] ?? [];
    const reader = new SourceReader(PUBLIC_ONLY, { resolve, dial: recordingDial });
    return reader.open({ url: reader.parseUrl(url) }, new AbortController().signal);
  };

  it('dials every address of a public name, and them alone', async () => {
    await expect(open('https://public.example/')).rejects.toMatchObject({ code: 'SOURCE_UNREACHABLE' });
    expect(dialled).toEqual(table['public.example']);
  });

  it.each([
    'https://private.example/',
    'https://mixed.example/',
    'https://nothing.example/',
    'http://localhost:8080/',
    'http://127.0.0.1/',
    'http://127.1/',
    'http://2130706433/',
    'http://0x7f000001/',
    'http://0177.0.0.1/',
    'http://[::1]/',
    'http://[::ffff:127.0.0.1]/',
    'http://[::127.0.0.1]/',
    'http://[fe80::1]/',
    'http://169.254.169.254/latest/meta-data/',
    'http://①②⑦.⓪.⓪.①/',
  ])('refuses %s without dialling, and says no more than that', async (url) => {
    await expect(open(url)).rejects.toMatchObject({
      code: 'SOURCE_ADDRESS_BLOCKED',
      message: 'source address not allowed',
    });
    expect(dialled).toEqual([]);
  });

  it('never touches a server on loopback', async () => {
    let hits = 0;
    const canary = createServer((socket) => {
      hits += 1;
      socket.destroy();
    });
    await new Promise<void>((resolve) => canary.listen(0, '127.0.0.1', resolve));
    const { port } = canary.address() as AddressInfo;
    const reader = new SourceReader(PUBLIC_ONLY);
    for (const host of ['127.0.0.1', 'localhost', '[::ffff:127.0.0.1]', '0.0.0.0']) {
      const opening = reader.open({ url: reader.parseUrl(`http://${host}:${port}/`) }, new AbortController().signal);
      await expect(opening).rejects.toMatchObject({ code: 'SOURCE_ADDRESS_BLOCKED' });
    }
    await new Promise((resolve) => canary.close(resolve));
    expect(hits).toBe(0);
  });
});
