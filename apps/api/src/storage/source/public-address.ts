import ipaddr from 'ipaddr.js';

export type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** A range of addresses, at one port or at all. */
export interface AddressRange {
  readonly network: Address;
  readonly prefixLength: number;
  readonly port?: number;
}

/**
 * Reads `10.0.0.0/8`, `127.0.0.1/32:9000`, `::1/128` and `[::1/128]:9000`.
 *
 * @throws Error naming the item that is none of these
 */
export function parseAddressRanges(items: readonly string[]): AddressRange[] {
  return items.map((item) => {
    const match = /^\[(.+)\]:(\d+)$/.exec(item) ?? /^([0-9.]+\/\d+):(\d+)$/.exec(item);
    try {
      const [network, prefixLength] = ipaddr.parseCIDR(match?.[1] ?? item);
      if (Number(match?.[2] ?? 0) > 65_535) throw new Error('ports end at 65535');
      if (isMapped(network)) throw new Error('addresses are compared as IPv4, and this would match none');
      return { network, prefixLength, ...(match?.[2] !== undefined ? { port: Number(match[2]) } : {}) };
    } catch (error) {
      throw new Error(`${item} is no range of addresses, such as 10.1.0.0/16 or 127.0.0.1/32:9000`, { cause: error });
    }
  });
}

/** IANA's IPv4 special-purpose registry, multicast, reserved space, and what clouds answer a machine alone. */
const SPECIAL_V4 = parseAddressRanges([
  '0.0.0.0/8', // this network; 0.0.0.0 connects to this machine
  '10.0.0.0/8',
  '100.64.0.0/10', // carrier-grade NAT
  '127.0.0.0/8',
  '168.63.129.16/32', // the host agent of Azure, at an address that looks public
  '169.254.0.0/16', // link local, and metadata services
  '172.16.0.0/12',
  '192.0.0.0/24', // protocol assignments
  '192.0.2.0/24',
  '192.31.196.0/24', // AS112
  '192.52.193.0/24', // AMT
  '192.88.99.0/24', // 6to4 relays
  '192.168.0.0/16',
  '192.175.48.0/24', // AS112
  '198.18.0.0/15', // benchmarks
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
]);

/** The only space of global unicast. All else, with ::1, fc00::/7, fe80::/10 and NAT64, lies outside. */
const GLOBAL_UNICAST_V6 = parseAddressRanges(['2000::/3']);
/**
 * What IANA's IPv6 special-purpose registry takes out of it. The globally reachable parts of 2001::/23 (PCP and TURN
 * anycast, AMT, AS112, ORCHIDv2, DRIP) hold no files, so the whole block stays refused.
 */
const SPECIAL_V6 = parseAddressRanges([
  '2001::/23', // Teredo, which carries an IPv4 address, among them
  '2001:db8::/32',
  '2002::/16', // 6to4, which carries an IPv4 address
  '2620:4f:8000::/48', // AS112
  '3fff::/20',
]);

/** Networks that an organisation gives to its own servers. */
const PRIVATE_NETWORKS = parseAddressRanges([
  '10.0.0.0/8',
  '100.64.0.0/10',
  '172.16.0.0/12',
  '192.168.0.0/16',
  'fc00::/7',
]);
/** Metadata services inside these networks: Alibaba, AWS, Google, Oracle. */
const PRIVATE_METADATA = parseAddressRanges([
  '100.100.100.200/32',
  'fd00:ec2::/32',
  'fd20:ce::254/128',
  'fd00:c1::a9fe:a9fe/128',
]);

/** Whether the whole Internet means the same machine by this address. */
export function isPublicAddress(ip: Address): boolean {
  if (ip.kind() === 'ipv4') return !isInRange(ip, SPECIAL_V4);
  return isInRange(ip, GLOBAL_UNICAST_V6) && !isInRange(ip, SPECIAL_V6) && !isIsatap(ip as ipaddr.IPv6);
}

/** Whether a server of an own network may have this address: neither this machine nor its links nor its cloud. */
export function isPrivateNetworkAddress(ip: Address): boolean {
  return isInRange(ip, PRIVATE_NETWORKS) && !isInRange(ip, PRIVATE_METADATA);
}

/** A range with a port matches only where that port is asked for. */
export function isInRange(ip: Address, ranges: readonly AddressRange[], port?: number): boolean {
  return ranges.some(
    (range) =>
      range.network.kind() === ip.kind() &&
      (range.port === undefined || range.port === port) &&
      ip.match(range.network as ipaddr.IPv6, range.prefixLength),
  );
}

/** ::ffff:a.b.c.d, by which a socket reaches a.b.c.d. */
export function isMapped(ip: Address): ip is ipaddr.IPv6 {
  return ip.kind() === 'ipv6' && (ip as ipaddr.IPv6).isIPv4MappedAddress();
}

/** RFC 5214: interface identifier 0000:5efe or 0200:5efe, followed by an IPv4 address. */
function isIsatap({ parts }: ipaddr.IPv6): boolean {
  return ((parts[4] ?? 0) & ~0x0200) === 0 && parts[5] === 0x5efe;
}
