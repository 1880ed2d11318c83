import { lookup } from 'node:dns/promises';
import type { LookupFunction, Socket } from 'node:net';
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import ipaddr from 'ipaddr.js';
import { buildConnector } from 'undici';
import { StorageError } from '../storage.errors.js';

/** A range of addresses, at one port or at all. */
interface AddressRange {
  readonly network: ipaddr.IPv4 | ipaddr.IPv6;
  readonly prefixLength: number;
  readonly port?: number;
}

function parseAddressRanges(items: readonly string[]): AddressRange[] {
  return items.map((item) => {
    const match = /^\[(.+)\]:(\d+)$/.exec(item) ?? /^([0-9.]+\/\d+):(\d+)$/.exec(item);
    try {
      const [network, prefixLength] = ipaddr.parseCIDR(match?.[1] ?? item);
      return { network, prefixLength, ...(match?.[2] !== undefined ? { port: Number(match[2]) } : {}) };
    } catch (error) {
      throw new Error(`${item} is no range of addresses, such as 10.1.0.0/16 or 127.0.0.1/32:9000`, { cause: error });
    }
  });
}

/** Azure's and other clouds' host agent: a public address that answers the machine alone. */
const CLOUD_HOST_AGENT = parseAddressRanges(['168.63.129.16/32']);
/** The only global unicast space that IANA gives out; ipaddr.js calls much outside it "unicast". */
const GLOBAL_UNICAST_V6 = parseAddressRanges(['2000::/3']);
/** Inside 2000::/3, but made of an IPv4 address that the packet ends at. */
const EMBEDDED_V4 = parseAddressRanges(['2001::/32', '2002::/16']);

/** DNS answers must come within this time: `dns.lookup` holds one of libuv's four threads meanwhile. */
const LOOKUP_TIMEOUT_MS = 5_000;
const CONNECT_TIMEOUT_MS = 10_000;

/** Every address of a host name. Tests give a table; the default asks the system's resolver. */
export type Resolve = (hostname: string) => Promise<readonly string[]>;

const resolveBySystem: Resolve = async (hostname) =>
  (await lookup(hostname, { all: true })).map(({ address }) => address);

/** Opens a socket to one of the addresses, all judged already. Tests give one that records and never dials. */
export type Dial = (
  options: buildConnector.Options,
  addresses: readonly string[],
  callback: buildConnector.Callback,
) => void;

export interface AddressGuardOptions {
  /** `10.0.0.0/8`, `127.0.0.1/32:9000`, `::1/128` or `[::1/128]:9000`. */
  readonly allowedAddresses: readonly string[];
  /** Written the same way. */
  readonly deniedAddresses: readonly string[];
  readonly resolve?: Resolve;
  readonly dial?: Dial;
}

/**
 * Lets connections out to public addresses alone, and to the ranges that configuration allows.
 *
 * Addresses are judged where the socket is opened, and those very addresses are dialled: between check and connect
 * there is no second look-up that a hostile name server could answer differently. A name with one address that is
 * not public is refused whole.
 */
export class AddressGuard {
  private readonly resolve: Resolve;
  private readonly dial: Dial;
  private readonly allowed: readonly AddressRange[];
  private readonly denied: readonly AddressRange[];

  /** @throws Error naming the item of a list that is no range */
  constructor(options: AddressGuardOptions) {
    this.allowed = parseAddressRanges(options.allowedAddresses);
    this.denied = parseAddressRanges(options.deniedAddresses);
    this.resolve = options.resolve ?? resolveBySystem;
    this.dial = options.dial ?? createDial();
  }

  /** Says whether a source may live at this address and port. */
  isAllowed(address: string, port: number): boolean {
    // A zone id (fe80::1%eth0) names an interface of this machine.
    if (isIP(address) === 0 || address.includes('%')) return false;
    const ip = ipaddr.process(address);
    if (isIn(ip, this.allowed, port)) return true;
    if (isIn(ip, this.denied, port) || isIn(ip, CLOUD_HOST_AGENT, port)) return false;
    if (isOwnAddress(ip)) return false;
    if (ip.range() !== 'unicast') return false;
    if (ip.kind() === 'ipv4') return true;
    return isIn(ip, GLOBAL_UNICAST_V6, port) && !isIn(ip, EMBEDDED_V4, port) && !isIsatap(ip as ipaddr.IPv6);
  }

  /** undici's `connect`: judges, then dials. Bound, so that it can be handed over as it is. */
  readonly connect: buildConnector.connector = (options, callback) => {
    this.judge(options).then(
      (addresses) => this.dial(options, addresses, callback),
      (error: Error) => callback(error, null),
    );
  };

  private async judge(options: buildConnector.Options): Promise<readonly string[]> {
    const host = options.hostname.replace(/^\[(.*)\]$/, '$1');
    const port = Number(options.port) || (options.protocol === 'https:' ? 443 : 80);
    const addresses = isIP(host) === 0 ? await this.lookUp(host) : [host];
    if (addresses.length === 0 || addresses.some((address) => !this.isAllowed(address, port))) {
      // What the name resolved to, and whether something listens there, would map the network behind us.
      throw new StorageError('SOURCE_ADDRESS_BLOCKED', 'source address not allowed');
    }
    return addresses;
  }

  private async lookUp(hostname: string): Promise<readonly string[]> {
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('DNS look-up timed out')), LOOKUP_TIMEOUT_MS);
    });
    try {
      return await Promise.race([this.resolve(hostname), timeout]);
    } catch (error) {
      throw new StorageError('SOURCE_UNREACHABLE', 'source host name cannot be resolved', { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }
}

/**
 * Dials by undici's own connector, so that TLS keeps checking the name. Its `lookup` is given the judged address and
 * never asks again; what the socket ended up at is compared once more.
 */
function createDial(): Dial {
  return (options, addresses, callback) => {
    const judged = addresses.map((address) => ({ address, family: isIP(address) }));
    const lookupJudged: LookupFunction = (_hostname, lookupOptions, done) => {
      if (lookupOptions.all) done(null, judged);
      else done(null, judged[0]?.address ?? '', judged[0]?.family);
    };
    const connector = buildConnector({ lookup: lookupJudged, timeout: CONNECT_TIMEOUT_MS, allowH2: false });
    connector(options, (...[error, socket]: buildConnector.CallbackArgs) => {
      if (error !== null) return callback(error, null);
      if (!addresses.some((address) => isSameAddress(socket, address))) {
        socket.destroy();
        return callback(new StorageError('SOURCE_ADDRESS_BLOCKED', 'source address not allowed'), null);
      }
      callback(null, socket);
    });
  };
}

function isSameAddress(socket: Socket, address: string): boolean {
  const remote = socket.remoteAddress;
  return remote !== undefined && ipaddr.process(remote).toString() === ipaddr.process(address).toString();
}

function isIn(ip: ipaddr.IPv4 | ipaddr.IPv6, ranges: readonly AddressRange[], port: number): boolean {
  return ranges.some(
    (range) =>
      range.network.kind() === ip.kind() &&
      (range.port === undefined || range.port === port) &&
      ip.match(range.network as ipaddr.IPv6, range.prefixLength),
  );
}

/** A machine with a public address of its own still offers services there that nobody outside may reach. */
function isOwnAddress(ip: ipaddr.IPv4 | ipaddr.IPv6): boolean {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .some(({ address }) => ipaddr.process(address.replace(/%.*$/, '')).toString() === ip.toString());
}

/** RFC 5214: interface identifier 0000:5efe or 0200:5efe, followed by an IPv4 address. */
function isIsatap({ parts }: ipaddr.IPv6): boolean {
  return ((parts[4] ?? 0) & ~0x0200) === 0 && parts[5] === 0x5efe;
}
