import { lookup } from 'node:dns/promises';
import pLimit, { type LimitFunction } from 'p-limit';
import { StorageError } from '../storage.errors.js';
import { addressNotAllowed } from './host-name.js';

/** From the question to the answer, waiting for a turn included. */
const LOOKUP_TIMEOUT_MS = 5_000;
/**
 * Look-ups on their way at once. libuv lets `dns.lookup` have half of its four threads: with two taken by a name server
 * that never answers, the look-ups of the database and the store waited as long as it did.
 */
const LOOKUPS_AT_ONCE = 1;

/** Every address of a host name. Tests give a table; the default asks the system's resolver. */
export type Resolve = (hostname: string) => Promise<readonly string[]>;

const resolveBySystem: Resolve = async (hostname) =>
  (await lookup(hostname, { all: true })).map(({ address }) => address);

export interface HostLookupOptions {
  readonly resolve?: Resolve;
  readonly lookupConcurrency?: number;
}

/** Asks for the addresses of names that strangers chose, so that their name servers hold up nobody else. */
export class HostLookup {
  private readonly resolve: Resolve;
  private readonly inTurn: LimitFunction;
  /** A name that is asked again while its server is silent waits for the same answer instead of taking another turn. */
  private readonly running = new Map<string, Promise<readonly string[]>>();

  constructor({ resolve = resolveBySystem, lookupConcurrency = LOOKUPS_AT_ONCE }: HostLookupOptions) {
    this.resolve = resolve;
    this.inTurn = pLimit(lookupConcurrency);
  }

  /**
   * @throws StorageError SOURCE_ADDRESS_BLOCKED where the name does not exist, as where it may not be reached: else the
   * names of a private network could be guessed. SOURCE_UNREACHABLE where the name servers do not say.
   */
  async findAddresses(hostname: string): Promise<readonly string[]> {
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('DNS look-up timed out')), LOOKUP_TIMEOUT_MS);
    });
    try {
      return await Promise.race([this.join(hostname), timeout]);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOTFOUND') {
        throw addressNotAllowed(`host ${hostname} does not exist`, { cause: error });
      }
      throw new StorageError('SOURCE_UNREACHABLE', 'source host name cannot be resolved', { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }

  private join(hostname: string): Promise<readonly string[]> {
    const running = this.running.get(hostname);
    if (running !== undefined) return running;
    const askedAt = performance.now();
    const started = this.inTurn(() => {
      // Nobody waits any more, and the turn belongs to the next.
      if (performance.now() - askedAt > LOOKUP_TIMEOUT_MS) throw new Error('DNS look-up got no turn in time');
      return this.resolve(hostname);
    }).finally(() => this.running.delete(hostname));
    this.running.set(hostname, started);
    return started;
  }
}
