import { domainToASCII } from 'node:url';
import { StorageError } from '../storage.errors.js';

/** Lists of names as configuration writes them: `files.example`, or `.files.example` for every name below it. */
export interface HostLists {
  /** Hosts that may have a name without a dot, and addresses in private networks. */
  readonly allowedHosts?: readonly string[];
  /** Hosts that are never asked, whatever their addresses are. */
  readonly deniedHosts?: readonly string[];
}

/**
 * What users read of every refusal, whether a name, a literal, one answer of several or none was at fault: anything more
 * would map the network behind us. The detail is the cause, which the log alone shows.
 */
export function addressNotAllowed(detail: string, options?: ErrorOptions): StorageError {
  return new StorageError('SOURCE_ADDRESS_BLOCKED', 'source address not allowed', {
    cause: new Error(detail, options),
  });
}

/**
 * Judges a host name by the lists, before anything is asked of a name server.
 *
 * A name without a dot is refused unless it is listed: the resolver completes it from its search list or the hosts file,
 * so that it means something in this network alone.
 * @throws StorageError SOURCE_ADDRESS_BLOCKED
 */
export function checkHostName(hostname: string, { allowedHosts = [], deniedHosts = [] }: HostLists): void {
  if (isListedHost(hostname, deniedHosts)) throw addressNotAllowed(`host ${hostname} is in SOURCE_DENIED_HOSTS`);
  if (!canonicalName(hostname).includes('.') && !isListedHost(hostname, allowedHosts)) {
    throw addressNotAllowed(`host ${hostname} has no dot and is not in SOURCE_ALLOWED_HOSTS`);
  }
}

/** Whether the list has this very name, or a suffix that the name ends in. */
export function isListedHost(hostname: string, items: readonly string[]): boolean {
  const name = canonicalName(hostname);
  if (name === '') return false;
  return items.some((item) =>
    item.startsWith('.') ? name.endsWith(`.${canonicalName(item.slice(1))}`) : name === canonicalName(item),
  );
}

/** Lower case, Punycode and no final dot, on both sides of a comparison. */
function canonicalName(hostname: string): string {
  return domainToASCII(hostname.replace(/\.$/, ''));
}
