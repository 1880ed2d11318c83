import ipaddr from 'ipaddr.js';
import { type Address, isInRange, parseAddressRanges } from './public-address.js';

/** RFC 6052, section 2.2. In bits. */
const PREFIX_LENGTHS = new Set([32, 40, 48, 56, 64, 96]);
/** Bits 64 to 71 of such an address are zero, and the IPv4 address goes on after them. */
const RESERVED_BYTE = 8;

/** A network whose gateway turns IPv6 addresses into the IPv4 addresses that they carry. */
export type Nat64Prefix = ReturnType<typeof parseAddressRanges>[number];

/** @throws Error naming the item that is no such prefix */
export function parseNat64Prefixes(items: readonly string[]): Nat64Prefix[] {
  const prefixes = parseAddressRanges(items);
  for (const [index, { network, prefixLength, port }] of prefixes.entries()) {
    if (network.kind() !== 'ipv6' || port !== undefined || !PREFIX_LENGTHS.has(prefixLength)) {
      throw new Error(`${items[index]} is no NAT64 prefix: IPv6, with 32, 40, 48, 56, 64 or 96 bits`);
    }
  }
  return prefixes;
}

/**
 * The IPv4 address that a gateway would send to: null where the address has the prefix but not the form, undefined
 * where it has no such prefix.
 */
export function decodeNat64(ip: Address, prefixes: readonly Nat64Prefix[]): ipaddr.IPv4 | null | undefined {
  const prefix = prefixes.find((candidate) => isInRange(ip, [candidate]));
  if (prefix === undefined) return undefined;
  const bytes = ip.toByteArray();
  if (bytes[RESERVED_BYTE] !== 0) return null;
  const start = prefix.prefixLength / 8;
  const carried = bytes.filter((_, index) => index >= start && (index !== RESERVED_BYTE || start > RESERVED_BYTE));
  return new ipaddr.IPv4(carried.slice(0, 4));
}
