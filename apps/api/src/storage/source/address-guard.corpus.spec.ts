// Every way in that is known, as data: each row says why. Nothing leaves this machine: sockets to anywhere else are
// recorded and never opened, names are looked up in a table, and a canary on loopback counts who got through.
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { createServer, type Server as HttpServer } from 'node:http';
import {
  type AddressInfo,
  BlockList,
  createServer as createSocketServer,
  isIPv6,
  type Server,
  type Socket,
} from 'node:net';
import { networkInterfaces } from 'node:os';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { testSourceOptions } from '../../../test/support/test-source-options.js';
import { StorageError } from '../storage.errors.js';
import type { SourceOptions, StorageOptions } from '../storage.options.js';
import { type Dial, dialJudged } from './address-guard.js';
import { SourceReader } from './source-reader.js';

/** Answers of the name servers, one for each time they are asked; the last one stays. */
type Answers = Record<string, readonly (readonly string[])[]>;

interface Row {
  readonly why: string;
  /** `{canary}` and `{allowed}` stand for the ports of the two servers. */
  readonly url: string;
  readonly answers?: Answers;
  readonly options?: Partial<SourceOptions>;
}

interface RefusedRow extends Row {
  readonly code: 'SOURCE_ADDRESS_BLOCKED' | 'SOURCE_URL_INVALID';
}

interface PassedRow extends Row {
  readonly dialled: readonly string[];
  readonly port?: number;
}

/** `why` and URL of hosts that the guard refuses. */
const blocked = (rows: readonly (readonly [why: string, url: string])[]): RefusedRow[] =>
  rows.map(([why, url]) => ({ why, url, code: 'SOURCE_ADDRESS_BLOCKED' }));
const invalid = (rows: readonly (readonly [why: string, url: string])[]): RefusedRow[] =>
  rows.map(([why, url]) => ({ why, url, code: 'SOURCE_URL_INVALID' }));
/** A name, and what its name server answers. */
const answered = (rows: readonly (readonly [why: string, ...answers: (readonly string[])[]])[]): RefusedRow[] =>
  rows.map(([why, ...answers]) => ({
    why,
    url: 'http://files.example:{canary}/',
    answers: { 'files.example': answers },
    code: 'SOURCE_ADDRESS_BLOCKED',
  }));

const SPELLINGS_OF_LOOPBACK = blocked([
  ['dotted decimal', 'http://127.0.0.1:{canary}/'],
  ['over TLS', 'https://127.0.0.1:{canary}/'],
  ['upper-case scheme', 'HTTP://127.0.0.1:{canary}/'],
  ['two parts', 'http://127.1:{canary}/'],
  ['three parts', 'http://127.0.1:{canary}/'],
  ['one decimal number', 'http://2130706433:{canary}/'],
  ['one hexadecimal number', 'http://0x7f000001:{canary}/'],
  ['one octal number', 'http://017700000001:{canary}/'],
  ['hexadecimal parts', 'http://0x7F.0x0.0x0.0x1:{canary}/'],
  ['hexadecimal and short', 'http://0x7f.1:{canary}/'],
  ['octal part', 'http://0177.0.0.1:{canary}/'],
  ['octal part with more zeros', 'http://00000177.0.0.1:{canary}/'],
  ['octal and short', 'http://0177.1:{canary}/'],
  ['octal, hexadecimal and decimal', 'http://0177.0x0.0.1:{canary}/'],
  ['zeros in front', 'http://127.000.000.001:{canary}/'],
  ['trailing dot', 'http://127.0.0.1.:{canary}/'],
  ['trailing dot and short', 'http://127.1.:{canary}/'],
  ['end of the range', 'http://127.255.255.254:{canary}/'],
  ['this host', 'http://0.0.0.0:{canary}/'],
  ['this host, short', 'http://0:{canary}/'],
  ['this host, hexadecimal', 'http://0x0:{canary}/'],
  ['full-width digits', 'http://１２７.０.０.１:{canary}/'],
  ['circled digits', 'http://①②⑦.⓪.⓪.①:{canary}/'],
  ['mathematical digits', 'http://𝟏𝟐𝟕.𝟎.𝟎.𝟏:{canary}/'],
  ['ideographic full stops', 'http://127。0。0。1:{canary}/'],
  ['full-width full stops', 'http://127．0．0．1:{canary}/'],
  ['percent-encoded digits', 'http://%31%32%37.0.0.1:{canary}/'],
  ['percent-encoded dots', 'http://127%2e0%2e0%2e1:{canary}/'],
  ['percent-encoded full-width digit', 'http://%EF%BC%91%EF%BC%92%EF%BC%97.0.0.1:{canary}/'],
  ['soft hyphen, which IDNA drops', 'http://127.0.0.\u00ad1:{canary}/'],
  ['name', 'http://localhost:{canary}/'],
  ['name in capitals', 'http://LOCALHOST:{canary}/'],
  ['name with a trailing dot', 'http://localhost.:{canary}/'],
  ['name with a circled letter', 'http://ⓛocalhost:{canary}/'],
  ['name with a percent-encoded letter', 'http://%6cocalhost:{canary}/'],
  ['name with a soft hyphen', 'http://local\u00adhost:{canary}/'],
  ['IPv6', 'http://[::1]:{canary}/'],
  ['IPv6 over TLS', 'https://[::1]:{canary}/'],
  ['IPv6 in full', 'http://[0000:0000:0000:0000:0000:0000:0000:0001]:{canary}/'],
  ['IPv6, half short', 'http://[0:0::0:1]:{canary}/'],
  ['IPv6 with dotted end', 'http://[::0.0.0.1]:{canary}/'],
  ['IPv6 unspecified', 'http://[::]:{canary}/'],
  ['IPv4-mapped, dotted', 'http://[::ffff:127.0.0.1]:{canary}/'],
  ['IPv4-mapped, hexadecimal', 'http://[::ffff:7f00:1]:{canary}/'],
  ['IPv4-mapped, capitals and zeros', 'http://[0:0:0:0:0:FFFF:7F00:0001]:{canary}/'],
  ['IPv4-mapped unspecified', 'http://[::ffff:0.0.0.0]:{canary}/'],
  ['IPv4-compatible', 'http://[::127.0.0.1]:{canary}/'],
  ['IPv4-translated', 'http://[::ffff:0:127.0.0.1]:{canary}/'],
  ['NAT64', 'http://[64:ff9b::127.0.0.1]:{canary}/'],
  ['local NAT64', 'http://[64:ff9b:1::7f00:1]:{canary}/'],
  ['6to4', 'http://[2002:7f00:1::1]:{canary}/'],
  ['Teredo', 'http://[2001:0:7f00:1::80ff:fffe]:{canary}/'],
  ['ISATAP', 'http://[2a00:1450::5efe:7f00:1]:{canary}/'],
]);

const OTHER_LITERALS = blocked([
  ['private, class A', 'http://10.0.0.1/'],
  ['private, class B', 'http://172.31.255.255/'],
  ['private, class C', 'http://192.168.0.1:8080/'],
  ['private, as one number', 'http://167772161/'],
  ['carrier-grade NAT', 'http://100.64.0.1/'],
  ['metadata of AWS, Azure, Google', 'http://169.254.169.254/latest/meta-data/'],
  ['metadata, hexadecimal', 'http://0xa9fea9fe/'],
  ['metadata, mapped', 'http://[::ffff:a9fe:a9fe]/'],
  ['metadata of AWS on IPv6', 'http://[fd00:ec2::254]/'],
  ['metadata of Alibaba', 'http://100.100.100.200/'],
  ['metadata of Oracle', 'http://192.0.0.192/'],
  ['host agent of Azure', 'http://168.63.129.16/'],
  ['benchmarks', 'http://198.18.0.1/'],
  ['multicast', 'http://224.0.0.1/'],
  ['reserved', 'http://240.0.0.1/'],
  ['broadcast', 'http://255.255.255.255/'],
  ['broadcast as one number', 'http://4294967295/'],
  ['unique local', 'http://[fc00::1]/'],
  ['link local', 'http://[fe80::1]/'],
  ['site local', 'http://[fec0::1]/'],
  ['multicast, IPv6', 'http://[ff02::1]/'],
  ['documentation', 'http://[2001:db8::1]/'],
  ['newer documentation', 'http://[3fff::1]/'],
  ['segment routing', 'http://[5f00::1]/'],
  ['discard', 'http://[100::1]/'],
  ['dummy prefix', 'http://[100:0:0:1::1]/'],
  ['outside global unicast', 'http://[4000::1]/'],
  ['a public address, mapped: nobody publishes those', 'http://[::ffff:8.8.8.8]/'],
  ['a public address through a NAT64 that is not configured', 'http://[64:ff9b::8.8.8.8]/'],
]);

const NAMES: RefusedRow[] = [
  ...answered([
    ['loopback', ['127.0.0.1']],
    ['loopback, IPv6', ['::1']],
    ['this host', ['0.0.0.0']],
    ['this host, IPv6', ['::']],
    ['private', ['10.0.0.1']],
    ['private, last of its range', ['172.31.255.255']],
    ['link local', ['169.254.169.254']],
    ['link local with a zone', ['fe80::1%lo']],
    ['loopback with a zone', ['::1%lo']],
    ['a public address with a zone', ['2606:4700:4700::1111%lo']],
    ['unique local', ['fd12:3456::1']],
    ['mapped loopback', ['::ffff:127.0.0.1']],
    ['compatible loopback', ['::127.0.0.1']],
    ['NAT64 of loopback', ['64:ff9b::7f00:1']],
    ['6to4 of loopback', ['2002:7f00:1::']],
    ['public first, loopback second', ['8.8.8.8', '127.0.0.1']],
    ['loopback first, public second', ['127.0.0.1', '8.8.8.8']],
    ['public IPv4, private IPv6', ['8.8.8.8', 'fd00::1']],
    ['public IPv6, private IPv4', ['2606:4700:4700::1111', '192.168.1.1']],
    ['one private among many', ['8.8.8.8', '8.8.4.4', '1.1.1.1', '10.9.8.7', '1.0.0.1']],
    ['the broadcast address', ['255.255.255.255']],
    ['nothing at all', []],
    ['what is no address', ['localhost']],
    ['an empty text', ['']],
  ]),
  ...blocked([
    ['one label, from the search list or the hosts file', 'http://redis:{canary}/'],
    ['one label with a trailing dot', 'http://metadata./'],
    ['a name that does not exist reads like a refused one', 'http://nowhere.example/'],
  ]),
  {
    why: 'a denied name, public or not',
    url: 'http://Files.Example./',
    answers: { 'files.example.': [['8.8.8.8']] },
    options: { deniedHosts: ['files.example'] },
    code: 'SOURCE_ADDRESS_BLOCKED',
  },
  {
    why: 'a denied suffix, also of an allowed host',
    url: 'http://a.b.files.example/',
    answers: { 'a.b.files.example': [['8.8.8.8']] },
    options: { deniedHosts: ['.files.example'], allowedHosts: ['a.b.files.example'] },
    code: 'SOURCE_ADDRESS_BLOCKED',
  },
  {
    why: 'a denied public range',
    url: 'http://8.8.8.8/',
    options: { deniedAddresses: ['8.8.8.0/24'] },
    code: 'SOURCE_ADDRESS_BLOCKED',
  },
  {
    why: 'an allowed host on loopback',
    url: 'http://files.example:{canary}/',
    answers: { 'files.example': [['127.0.0.1']] },
    options: { allowedHosts: ['files.example'] },
    code: 'SOURCE_ADDRESS_BLOCKED',
  },
  {
    why: 'an allowed host at the metadata service',
    url: 'http://files.example/',
    answers: { 'files.example': [['169.254.169.254']] },
    options: { allowedHosts: ['.example'] },
    code: 'SOURCE_ADDRESS_BLOCKED',
  },
  {
    why: 'a private host beside the allowed one',
    url: 'http://evilfiles.example/',
    answers: { 'evilfiles.example': [['10.0.0.1']] },
    options: { allowedHosts: ['files.example', '.files.example'] },
    code: 'SOURCE_ADDRESS_BLOCKED',
  },
  {
    why: 'another port of an allowed address',
    url: 'http://127.0.0.1:{canary}/',
    options: { allowedAddresses: ['127.0.0.1/32:9000'] },
    code: 'SOURCE_ADDRESS_BLOCKED',
  },
  {
    why: 'a mapped address at another port of an allowed one',
    url: 'http://[::ffff:127.0.0.1]:{canary}/',
    options: { allowedAddresses: ['127.0.0.1/32:9000'] },
    code: 'SOURCE_ADDRESS_BLOCKED',
  },
  {
    why: 'NAT64 of loopback, with the prefix configured',
    url: 'http://files.example:{canary}/',
    answers: { 'files.example': [['64:ff9b::7f00:1']] },
    options: { nat64Prefixes: ['64:ff9b::/96'] },
    code: 'SOURCE_ADDRESS_BLOCKED',
  },
  {
    why: 'NAT64 of metadata below a prefix of an own network',
    url: 'http://[2001:db8:122:344:a9:fea9:fe00:0]/',
    options: { nat64Prefixes: ['2001:db8:122:344::/64'] },
    code: 'SOURCE_ADDRESS_BLOCKED',
  },
];

const SYNTAX = invalid([
  ['user name that looks like the host', 'http://files.example@127.0.0.1:{canary}/'],
  ['user name and password', 'http://files.example:80@127.0.0.1:{canary}/'],
  ['two at signs', 'http://a@files.example@127.0.0.1:{canary}/'],
  ['percent-encoded user name', 'http://%66iles@127.0.0.1:{canary}/'],
  ['backslash, which WHATWG reads as a slash', 'http://files.example\\@127.0.0.1:{canary}/'],
  ['backslashes for slashes', 'http:\\\\127.0.0.1:{canary}/'],
  ['no slashes', 'http:127.0.0.1:{canary}/'],
  ['one slash', 'http:/127.0.0.1:{canary}/'],
  ['three slashes', 'http:///127.0.0.1:{canary}/'],
  ['no scheme', '//127.0.0.1:{canary}/'],
  ['tab, which WHATWG drops', 'http://127.0.0.\t1:{canary}/'],
  ['line feed in the scheme', 'ht\ntp://127.0.0.1:{canary}/'],
  ['space in front', ' http://127.0.0.1:{canary}/'],
  ['NUL', 'http://127.0.0.1:{canary}/\u0000'],
  ['half a surrogate pair', 'http://127.0.0.1:{canary}/\ud800'],
  ['file', 'file:///etc/passwd'],
  ['gopher', 'gopher://127.0.0.1:{canary}/_GET'],
  ['ftp', 'ftp://127.0.0.1:{canary}/'],
  ['data', 'data:text/plain,x'],
  ['blob', 'blob:http://127.0.0.1:{canary}/x'],
  ['jar', 'jar:http://127.0.0.1:{canary}!/'],
  ['unix socket', 'http+unix://%2Fvar%2Frun%2Fdocker.sock/info'],
  ['zone', 'http://[fe80::1%25lo]:{canary}/'],
  ['five parts', 'http://127.0.0.0.1:{canary}/'],
  ['number beyond its range', 'http://4294967296:{canary}/'],
  ['octal digit that is none', 'http://0189.0.0.1:{canary}/'],
  ['name that ends in a number', 'http://files.example.1:{canary}/'],
  ['percent-encoded slash in the host', 'http://127.0.0.1%2f.files.example:{canary}/'],
  ['percent-encoded NUL in the host', 'http://127.0.0.1%00.files.example:{canary}/'],
  ['empty label', 'http://files..example:{canary}/'],
  ['two trailing dots', 'http://127.0.0.1..:{canary}/'],
  ['port beyond its range', 'http://127.0.0.1:65536/'],
  ['port 0', 'http://8.8.8.8:0/'],
  ['SSH', 'http://8.8.8.8:22/'],
  ['SMTP', 'http://8.8.8.8:25/'],
  ['DNS', 'http://8.8.8.8:53/'],
  ['SMB', 'http://8.8.8.8:445/'],
  ['NFS', 'http://8.8.8.8:2049/'],
  ['SIP', 'http://8.8.8.8:5060/'],
  ['X11', 'http://8.8.8.8:6000/'],
  ['IRC', 'http://8.8.8.8:6667/'],
  ['PostgreSQL', 'http://8.8.8.8:5432/'],
  ['Redis, with zeros in front', 'http://8.8.8.8:0006379/'],
  ['Amanda', 'http://8.8.8.8:10080/'],
]);

/** A Location that the allowed server answers with. */
const hop = (location: string, status = 302) =>
  `http://127.0.0.1:{allowed}/?status=${status}&to=${encodeURIComponent(location)}`;
const REDIRECTS: RefusedRow[] = [
  ...blocked([
    ['301 to another port', hop('http://127.0.0.1:{canary}/', 301)],
    ['302 to another port', hop('http://127.0.0.1:{canary}/', 302)],
    ['303 to another port', hop('http://127.0.0.1:{canary}/', 303)],
    ['307 to another port', hop('http://127.0.0.1:{canary}/', 307)],
    ['308 to another port', hop('http://127.0.0.1:{canary}/', 308)],
    ['without a scheme', hop('//127.0.0.1:{canary}/')],
    ['by backslashes', hop('\\\\127.0.0.1:{canary}/')],
    ['a short literal', hop('http://127.1:{canary}/')],
    ['an octal literal', hop('http://0177.0.0.1:{canary}/')],
    ['with a tab', hop('http://127.0.0.\t1:{canary}/')],
    ['to IPv6', hop('http://[::1]:{canary}/')],
    ['to a mapped address', hop('http://[::ffff:127.0.0.1]:{canary}/')],
    ['to the metadata service', hop('http://169.254.169.254/latest/meta-data/')],
    ['to a private address over TLS', hop('https://10.0.0.1/')],
    ['to localhost', hop('http://localhost:{canary}/')],
    ['a second hop', hop(hop('http://127.0.0.1:{canary}/'))],
    ['a third hop', hop(hop(hop('http://[::1]:{canary}/', 307), 301))],
    ['a relative hop, then a refused one', hop(hop('http://127.0.0.1:{canary}/').replace(/^http:..[^/]+/, ''))],
    ['to a name that does not exist', hop('http://nowhere.example/')],
  ]),
  ...answered([
    ['to a private name', ['10.0.0.1']],
    ['to a name on loopback', ['127.0.0.1']],
    ['to a mixed name', ['8.8.8.8', '::1']],
  ]).map((row) => ({ ...row, url: hop(row.url) })),
  {
    why: 'a name that is the allowed address at first, and another on the second hop',
    url: hop('http://files.example:{canary}/').replace('127.0.0.1', 'files.example'),
    answers: { 'files.example': [['127.0.0.1'], ['::1']] },
    code: 'SOURCE_ADDRESS_BLOCKED',
  },
  ...invalid([
    ['to a user name that looks like the host', hop('http://files.example@127.0.0.1:{canary}/')],
    ['to a file', hop('file:///etc/passwd')],
    ['to gopher', hop('gopher://127.0.0.1:{canary}/_x')],
    ['to the port of Redis', hop('http://127.0.0.1:6379/')],
    ['to SSH of this machine', hop('//127.0.0.1:22/')],
  ]),
];

const PASSED: PassedRow[] = [
  { why: 'public IPv4', url: 'http://8.8.8.8/a.mp4', dialled: ['8.8.8.8'] },
  { why: 'public IPv4 as one number', url: 'http://134744072/', dialled: ['8.8.8.8'] },
  { why: 'public IPv6', url: 'http://[2606:4700:4700::1111]/', dialled: ['2606:4700:4700::1111'] },
  { why: 'just outside a private range', url: 'http://172.32.0.1/', dialled: ['172.32.0.1'] },
  { why: 'the default port of https', url: 'https://1.1.1.1/', dialled: ['1.1.1.1'], port: 443 },
  { why: 'a port of its own', url: 'https://1.1.1.1:8443/', dialled: ['1.1.1.1'], port: 8_443 },
  {
    why: 'a name with one address',
    url: 'http://files.example/',
    answers: { 'files.example': [['93.184.215.14']] },
    dialled: ['93.184.215.14'],
  },
  {
    why: 'a name with addresses of both families, all of them and in order',
    url: 'https://files.example/',
    answers: { 'files.example': [['2606:4700:4700::1111', '8.8.8.8', '8.8.4.4']] },
    dialled: ['2606:4700:4700::1111', '8.8.8.8', '8.8.4.4'],
    port: 443,
  },
  {
    why: 'a name in capitals with a trailing dot',
    url: 'http://FILES.example./',
    answers: { 'files.example.': [['8.8.8.8']] },
    dialled: ['8.8.8.8'],
  },
  {
    why: 'a name outside ASCII',
    url: 'http://bücher.example/',
    answers: { 'xn--bcher-kva.example': [['8.8.8.8']] },
    dialled: ['8.8.8.8'],
  },
  {
    why: 'a name that is answered otherwise the second time: the first answer was judged, and is dialled',
    url: 'http://files.example:{canary}/',
    answers: { 'files.example': [['8.8.8.8'], ['127.0.0.1']] },
    dialled: ['8.8.8.8'],
  },
  {
    why: 'an allowed range',
    url: 'http://10.1.2.3:9000/',
    options: { allowedAddresses: ['10.1.0.0/16'] },
    dialled: ['10.1.2.3'],
    port: 9_000,
  },
  {
    why: 'an allowed range at its port',
    url: 'http://10.1.2.3:9000/',
    options: { allowedAddresses: ['10.1.0.0/16:9000'] },
    dialled: ['10.1.2.3'],
    port: 9_000,
  },
  {
    why: 'an allowed IPv6 range at its port',
    url: 'http://files.example:9000/',
    answers: { 'files.example': [['fd12:3456::1']] },
    options: { allowedAddresses: ['[fd12::/16]:9000'] },
    dialled: ['fd12:3456::1'],
    port: 9_000,
  },
  {
    why: 'an allowed host in a private network',
    url: 'http://Files.corp.example./',
    answers: { 'files.corp.example.': [['10.0.0.1', 'fd12:3456::1']] },
    options: { allowedHosts: ['files.corp.example'] },
    dialled: ['10.0.0.1', 'fd12:3456::1'],
  },
  {
    why: 'an allowed suffix in a private network',
    url: 'http://a.b.corp.example/',
    answers: { 'a.b.corp.example': [['192.168.0.1', '8.8.8.8']] },
    options: { allowedHosts: ['.corp.example'] },
    dialled: ['192.168.0.1', '8.8.8.8'],
  },
  {
    why: 'an allowed name of one label',
    url: 'http://minio:9000/',
    answers: { minio: [['172.18.0.2']] },
    options: { allowedHosts: ['minio'] },
    dialled: ['172.18.0.2'],
    port: 9_000,
  },
  {
    why: 'an allowed name of one label at a public address',
    url: 'http://files:{canary}/',
    answers: { files: [['8.8.8.8']] },
    options: { allowedHosts: ['files'] },
    dialled: ['8.8.8.8'],
  },
  {
    why: 'NAT64 of a public address, with the prefix configured',
    url: 'http://files.example/',
    answers: { 'files.example': [['64:ff9b::808:808']] },
    options: { nat64Prefixes: ['64:ff9b::/96'] },
    dialled: ['64:ff9b::808:808'],
  },
  {
    why: 'NAT64 of a public address below a prefix of an own network',
    url: 'http://[2001:db8:122:344:8:808:800:0]/',
    options: { nat64Prefixes: ['2001:db8:122:344::/64'] },
    dialled: ['2001:db8:122:344:8:808:800:0'],
  },
  {
    why: 'a neighbour of a denied name and a denied range',
    url: 'http://files.example.org/',
    answers: { 'files.example.org': [['8.8.4.4']] },
    options: { deniedHosts: ['files.example', '.files.example.org'], deniedAddresses: ['8.8.8.0/24'] },
    dialled: ['8.8.4.4'],
  },
  {
    why: 'a redirect from the allowed server to a public name',
    url: hop('http://files.example:8080/'),
    answers: { 'files.example': [['8.8.8.8', '2606:4700:4700::1111']] },
    dialled: ['8.8.8.8', '2606:4700:4700::1111'],
    port: 8_080,
  },
  { why: 'two redirects to a public address', url: hop(hop('https://1.1.1.1/', 307)), dialled: ['1.1.1.1'], port: 443 },
];

/** Every address by which a connect stays on this machine. */
const HERE = new BlockList();
HERE.addSubnet('127.0.0.0', 8, 'ipv4');
HERE.addAddress('0.0.0.0', 'ipv4');
HERE.addAddress('::1', 'ipv6');
HERE.addAddress('::', 'ipv6');
const isHere = (address: string) => HERE.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');

/** The ends of this machine that rows talk of. */
let canaries: Server[] = [];
let canaryHits = 0;
let allowedServer: HttpServer;
let allowedRequests = 0;
let ports: { canary: number; allowed: number };

const withPorts = (text: string) =>
  // Twice or more encoded inside a redirect's query.
  text.replaceAll(/(?:\{|%(?:25)*7B)(canary|allowed)(?:\}|%(?:25)*7D)/g, (_, name: 'canary' | 'allowed') =>
    String(ports[name]),
  );

interface DialledRecord {
  readonly addresses: readonly string[];
  readonly port: number;
}

/** Runs one URL through the reader: what became of it, and what was dialled beyond the allowed server. */
async function attempt(row: Row): Promise<{ error: unknown; dialled: DialledRecord[]; asked: string[] }> {
  const dialled: DialledRecord[] = [];
  const asked: string[] = [];
  const recorded = new AbortController();
  const dial: Dial = (options, addresses, callback) => {
    const port = Number(options.port) || (options.protocol === 'https:' ? 443 : 80);
    if (port !== ports.allowed) dialled.push({ addresses, port });
    // Were the guard to fail, the canary would hear of it; nothing else is ever dialled.
    if (addresses.every(isHere)) return dialJudged(options, addresses, callback);
    recorded.abort(new Error('recorded, not dialled'));
    callback(new Error('recorded, not dialled'), null);
  };
  const resolve = async (hostname: string) => {
    asked.push(hostname);
    const answers = row.answers?.[hostname];
    if (answers === undefined) throw Object.assign(new Error(`getaddrinfo ENOTFOUND`), { code: 'ENOTFOUND' });
    return answers[Math.min(asked.filter((name) => name === hostname).length, answers.length) - 1] ?? [];
  };
  const reader = createReader(
    { allowedAddresses: [`127.0.0.1/32:${ports.allowed}`], ...row.options },
    { resolve, dial },
  );
  const error = await openSource(reader, withPorts(row.url), recorded.signal).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return { error, dialled, asked };
}

/** The one place that knows how a reader is made. */
function createReader(
  changes: Partial<SourceOptions>,
  seams: { resolve: (hostname: string) => Promise<readonly string[]>; dial: Dial },
) {
  const source = testSourceOptions({ allowedAddresses: [], maxRetries: 0, ...changes });
  return new SourceReader({ source } as StorageOptions, seams);
}

/** The one place that calls it. */
async function openSource(reader: SourceReader, url: string, signal: AbortSignal): Promise<void> {
  const source = await reader.open({ url: reader.parseUrl(url) }, signal);
  source.destroy(new Error('only its beginning counts'));
}

const hasIpv6Loopback = Object.values(networkInterfaces()).some((list) =>
  list?.some(({ address }) => address === '::1'),
);
const listen = (server: Server, port: number, host: string) =>
  new Promise<number>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port));
  });

/** One port on every loopback address there is. */
async function startCanaries(): Promise<number> {
  const create = () =>
    createSocketServer((socket) => {
      canaryHits += 1;
      socket.destroy();
    });
  canaries = [create()];
  const port = await listen(canaries[0] as Server, 0, '127.0.0.1');
  if (!hasIpv6Loopback) return port;
  canaries.push(create());
  try {
    await listen(canaries[1] as Server, port, '::1');
    return port;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    canaries[0]?.close();
    return startCanaries();
  }
}

/** Every TCP connection that this process tried, through whatever library. */
const attempts: { readonly socket: Socket; readonly addresses: string[] }[] = [];
function watchSocket(message: unknown): void {
  const { socket } = message as { socket: Socket };
  const addresses: string[] = [];
  attempts.push({ socket, addresses });
  socket.on('connectionAttempt', (address: string) => addresses.push(address));
}

beforeAll(async () => {
  Logger.overrideLogger(false);
  subscribe('net.client.socket', watchSocket);
  allowedServer = createServer((request, response) => {
    allowedRequests += 1;
    const { searchParams } = new URL(request.url ?? '/', 'http://127.0.0.1');
    response.writeHead(Number(searchParams.get('status')), { location: searchParams.get('to') ?? '/' }).end();
  });
  ports = { allowed: await listen(allowedServer, 0, '127.0.0.1'), canary: await startCanaries() };
});
beforeEach(() => {
  canaryHits = 0;
  allowedRequests = 0;
});
afterAll(async () => {
  unsubscribe('net.client.socket', watchSocket);
  Logger.overrideLogger(['log', 'warn', 'error']);
  allowedServer.closeAllConnections();
  for (const server of [allowedServer, ...canaries]) await new Promise((resolve) => server.close(resolve));
});

const REFUSED = { SPELLINGS_OF_LOOPBACK, OTHER_LITERALS, NAMES, SYNTAX, REDIRECTS };

describe.each(Object.entries(REFUSED))('refused without a connect: %s', (_kind, rows) => {
  it.each(rows)('$why', async (row) => {
    const { error, dialled } = await attempt(row);
    expect(error).toBeInstanceOf(StorageError);
    expect(error).toMatchObject({ code: row.code });
    if (row.code === 'SOURCE_ADDRESS_BLOCKED') expect(error).toMatchObject({ message: 'source address not allowed' });
    expect(dialled).toEqual([]);
    expect(canaryHits).toBe(0);
    // A redirect was refused, and not the way to it.
    expect(allowedRequests > 0).toBe(rows === REDIRECTS);
  });
});

describe('let through to the judged addresses alone', () => {
  it.each(PASSED)('$why', async ({ dialled: addresses, port, ...row }) => {
    const { dialled } = await attempt(row);
    const defaultPort = row.url.includes('{canary}') ? ports.canary : 80;
    expect(dialled).toEqual([{ addresses, port: port ?? defaultPort }]);
    expect(canaryHits).toBe(0);
  });
});

describe('the rows', () => {
  it('are enough, and each stands for itself', () => {
    const refused = Object.values(REFUSED).flat();
    expect(refused.length).toBeGreaterThanOrEqual(80);
    expect(PASSED.length).toBeGreaterThanOrEqual(15);
    const all = [...refused, ...PASSED].map(({ url, answers, options }) => JSON.stringify([url, answers, options]));
    expect(new Set(all).size).toBe(all.length);
  });

  it('would be heard of by the canaries', async () => {
    const hosts = ['127.0.0.1', ...(hasIpv6Loopback ? ['[::1]'] : [])];
    for (const host of hosts) {
      const options = { allowedAddresses: ['127.0.0.0/8', '::1/128'], maxRedirects: 0, deadlineMs: 1_000 };
      const { dialled } = await attempt({ why: 'allowed', url: `http://${host}:{canary}/`, options });
      expect(dialled.length).toBeGreaterThan(0);
    }
    expect(canaryHits).toBeGreaterThanOrEqual(hosts.length);
  });

  it('ask a name server once for each connect', async () => {
    const answers = { 'files.example': [['8.8.8.8'], ['127.0.0.1']] };
    expect(await attempt({ why: 'once', url: 'http://files.example/', answers })).toMatchObject({
      asked: ['files.example'],
      dialled: [{ addresses: ['8.8.8.8'] }],
    });
  });

  it('made this process connect to loopback alone', () => {
    expect(attempts.length).toBeGreaterThan(REDIRECTS.length);
    for (const { addresses } of attempts) {
      expect(addresses).not.toEqual([]);
      for (const address of addresses) expect(isHere(address)).toBe(true);
    }
  });
});
