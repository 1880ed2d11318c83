import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { STORAGE_OPTIONS, type StorageOptions, type StoreOptions } from '../storage.options.js';

const CONNECTION_TIMEOUT_MS = 5_000;
/** Complete stitches up to 10,000 parts and may take minutes (S3 API reference). In time limits of other calls. */
const COMPLETION_TIMEOUTS = 5;
/** The SDK's tries of a call: one more at once, for a kept connection that the store closed, or a clock that is off. */
const SDK_ATTEMPTS = 2;

/**
 * The clients of the store. Parts have connections of their own, so that a HEAD, an Abort or a signature never waits
 * behind them; signing has a client of its own because the address that browsers use may differ.
 *
 * The SDK tries a call again within a tenth of a second, or not at all; outlasting a store is `StoreRetry`'s work.
 */
@Injectable()
export class S3Clients implements OnApplicationShutdown {
  readonly parts: S3Client;
  readonly control: S3Client;
  /** Complete alone, once: between two of them must be a look at what the first one did. */
  readonly completion: S3Client;
  readonly signing: S3Client;

  constructor(@Inject(STORAGE_OPTIONS) { store }: StorageOptions) {
    // A part carries one hash, made where it is sent: the SDK adds none of its own.
    this.parts = createClient({ ...store, checksumMode: 'WHEN_REQUIRED' }, store.endpoint, {
      // The whole part is limited where it is sent, by its size; here silence on its socket is.
      requestTimeout: 0,
      socketTimeout: store.answerTimeoutMs,
      // Uploads bound themselves. The wait for a free socket would count as CONNECTION_TIMEOUT_MS and fail the part.
      maxSockets: Number.POSITIVE_INFINITY,
      maxAttempts: SDK_ATTEMPTS,
    });
    // The slowest known of these calls, a Delete of 1,000 segments on Swift, takes seconds.
    this.control = createClient(store, store.endpoint, {
      requestTimeout: store.answerTimeoutMs,
      socketTimeout: store.answerTimeoutMs,
      maxSockets: 50,
      maxAttempts: SDK_ATTEMPTS,
    });
    this.completion = createClient(store, store.endpoint, {
      requestTimeout: store.answerTimeoutMs * COMPLETION_TIMEOUTS,
      socketTimeout: store.answerTimeoutMs * COMPLETION_TIMEOUTS,
      maxSockets: Number.POSITIVE_INFINITY,
      maxAttempts: 1,
    });
    // A presigned URL made with WHEN_SUPPORTED would carry the checksum of an empty body.
    this.signing = createClient({ ...store, checksumMode: 'WHEN_REQUIRED' }, store.publicEndpoint, {});
  }

  onApplicationShutdown(): void {
    for (const client of [this.parts, this.control, this.completion, this.signing]) client.destroy();
  }
}

function createClient(
  store: StoreOptions,
  endpoint: string,
  limits: { requestTimeout?: number; socketTimeout?: number; maxSockets?: number; maxAttempts?: number },
): S3Client {
  const { maxSockets, maxAttempts, ...timeouts } = limits;
  const agent = { keepAlive: true, ...(maxSockets !== undefined ? { maxSockets } : {}) };
  const config: S3ClientConfig = {
    endpoint,
    region: store.region,
    forcePathStyle: store.forcePathStyle,
    requestChecksumCalculation: store.checksumMode,
    responseChecksumValidation: store.checksumMode,
    ...(maxAttempts !== undefined ? { maxAttempts } : {}),
    // From 2 MiB on the SDK asks for leave with `Expect: 100-continue`, and opens a new connection for each such part.
    expectContinueHeader: false,
    requestHandler: {
      connectionTimeout: CONNECTION_TIMEOUT_MS,
      throwOnRequestTimeout: true,
      ...timeouts,
      httpAgent: agent,
      httpsAgent: agent,
    },
    ...(store.credentials !== undefined ? { credentials: store.credentials } : {}),
  };
  return new S3Client(config);
}
