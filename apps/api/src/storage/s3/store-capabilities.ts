import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { STORAGE_OPTIONS, type StorageOptions } from '../storage.options.js';
import { S3Clients } from './s3-clients.js';
import { recogniseStore, STORE_PROFILES, type StoreProfile } from './store-profile.js';

/** Swift says what it allows at this path of its own API, to anybody. */
const SWIFT_INFO_PATH = '/info';
const SWIFT_INFO_TIMEOUT_MS = 5_000;
/** Uploads wait for the first answer: after this time they go on with care instead. In ms. */
const RECOGNITION_TIMEOUT_MS = 10_000;
/** A store that did not answer is asked again, but not by every upload at once. In ms. */
const RETRY_AFTER_MS = 10_000;

/**
 * Which store this is, and what follows. Found out once, with the first use, by one small list of the bucket and, on
 * Swift, its public limits: nothing is written, and no call is made that a store may not know. Some stores take a
 * sub-resource they do not know for the bucket itself, and delete it.
 */
@Injectable()
export class StoreCapabilities {
  private readonly logger = new Logger(StoreCapabilities.name);
  private known: Promise<StoreProfile> | undefined;

  constructor(
    private readonly clients: S3Clients,
    @Inject(STORAGE_OPTIONS) private readonly options: StorageOptions,
  ) {}

  /** Never rejects: a store that does not answer is treated with care, and asked again later. */
  profile(): Promise<StoreProfile> {
    this.known ??= this.find();
    return this.known;
  }

  private async find(): Promise<StoreProfile> {
    const { store } = this.options;
    const name = store.storeName ?? recogniseStore(await this.readTraces());
    const profile = { ...STORE_PROFILES[name] };
    if (name === 'swift') Object.assign(profile, await this.readSwiftLimits());
    if (store.maxParts !== undefined) profile.maxParts = { value: store.maxParts, source: 'unknown' };
    return Object.freeze(profile);
  }

  private async readTraces() {
    const { endpoint, bucket } = this.options.store;
    let headers: Record<string, string> = {};
    const list = new ListObjectsV2Command({ Bucket: bucket, MaxKeys: 1 });
    list.middlewareStack.add(
      (next) => async (args) => {
        const result = await next(args);
        headers = (result.response as { headers: Record<string, string> }).headers;
        return result;
      },
      { step: 'deserialize', name: 'readHeaders' },
    );
    try {
      await this.clients.control.send(list, { abortSignal: AbortSignal.timeout(RECOGNITION_TIMEOUT_MS) });
    } catch (error) {
      // A refusal tells as much of the store as an answer does.
      const refusal = (error as { $response?: { headers: Record<string, string> } }).$response;
      if (refusal === undefined) setTimeout(() => (this.known = undefined), RETRY_AFTER_MS).unref();
      headers = refusal?.headers ?? {};
    }
    return { host: new URL(endpoint).hostname, headers };
  }

  private async readSwiftLimits(): Promise<Partial<StoreProfile>> {
    const url = new URL(SWIFT_INFO_PATH, this.options.store.endpoint);
    try {
      const answer = await fetch(url, { signal: AbortSignal.timeout(SWIFT_INFO_TIMEOUT_MS) });
      const info = (await answer.json()) as { s3api?: { max_upload_part_num?: unknown } };
      const maxParts = info.s3api?.max_upload_part_num;
      return Number.isInteger(maxParts) ? { maxParts: { value: Number(maxParts), source: 'measured' } } : {};
    } catch (error) {
      this.logger.warn({ err: error }, 'Swift did not tell its limits; its defaults are used');
      return {};
    }
  }
}
