import { Inject, Injectable, Optional } from '@nestjs/common';
import { type SourceOptions, STORAGE_OPTIONS, type StorageOptions } from '../storage.options.js';
import { AddressGuard, type Dial, type Resolve } from './address-guard.js';
import { BandwidthLimit } from './bandwidth-limit.js';
import type { ByteSource } from './byte-source.js';
import { HostLookup } from './host-lookup.js';
import { RemoteSource } from './remote-source.js';
import { SourceClient } from './source-client.js';
import type { SourceRequest } from './source-request.js';
import { parseSourceUrl } from './source-url.js';

/** Seams that tests fill; the product uses the system's resolver and real sockets. */
export interface SourceSeams {
  readonly resolve?: Resolve;
  readonly dial?: Dial;
}

/** Injection token of SourceSeams; nothing provides it outside tests. */
export const SOURCE_SEAMS = Symbol('SOURCE_SEAMS');

/** Reads files behind URLs, from the first byte to the last, or says why it could not. */
@Injectable()
export class SourceReader {
  private readonly options: SourceOptions;
  private readonly guard: AddressGuard;
  private readonly bandwidth: BandwidthLimit;

  constructor(
    @Inject(STORAGE_OPTIONS) { source }: StorageOptions,
    @Optional() @Inject(SOURCE_SEAMS) seams?: SourceSeams,
    @Optional() lookup?: HostLookup,
  ) {
    this.options = source;
    this.guard = new AddressGuard({ ...source, ...seams, lookup });
    this.bandwidth = new BandwidthLimit(source.maxBytesPerSecond);
  }

  /** @throws StorageError SOURCE_URL_INVALID */
  parseUrl(raw: string): URL {
    return parseSourceUrl(raw, this.options);
  }

  /**
   * Asks for the file, or with `resume` for its rest, and resolves with the first good answer. From there on whatever
   * happens below is the source's to mend: it yields the bytes of one version of the file in order, or fails.
   *
   * Memory: the buffers it is lent, and what the sockets hold. Limits: time to headers, stall, rate, whole time,
   * redirects, tries and bytes, all from SourceOptions; bytes are counted, not believed.
   * @throws StorageError SOURCE_*, SOURCE_NOT_RESUMABLE among them; the signal's reason when it aborts
   */
  async open(request: SourceRequest, signal: AbortSignal): Promise<ByteSource> {
    const { options, bandwidth } = this;
    const createClient = () => new SourceClient(this.guard, options);
    const source = new RemoteSource({ request, options, createClient, bandwidth, signal });
    await source.open();
    return source;
  }
}
