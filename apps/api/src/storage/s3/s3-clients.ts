import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { STORAGE_OPTIONS, type StorageOptions, type StoreOptions } from '../storage.options.js';

const CONNECTION_TIMEOUT_MS = 5_000;
/** A part is sent or the store is given up: silence on the socket, not the whole part. */
const SOCKET_TIMEOUT_MS = 60_000;
/** Calls without a body of their own. Complete stitches up to 10,000 parts and may take minutes (S3 API reference). */
const CONTROL_TIMEOUT_MS = 300_000;
/** The SDK's tries of one call, with its own short backoff. Parts are buffers, so they can be sent again. */
const MAX_ATTEMPTS = 4;

/**
 * The clients of the store. Parts have connections of their own, so that a HEAD, an Abort or a signature never waits
 * behind them; signing has a client of its own because the address that browsers use may differ.
 */
@Injectable()
export class S3Clients implements OnApplicationShutdown {
  readonly parts: S3Client;
  readonly control: S3Client;
  readonly signing: S3Client;

  constructor(@Inject(STORAGE_OPTIONS) { store }: StorageOptions) {
    this.parts = createClient(store, store.endpoint, {
      requestTimeout: 0,
      socketTimeout: SOCKET_TIMEOUT_MS,
      // Uploads bound themselves. The wait for a free socket would count as CONNECTION_TIMEOUT_MS and fail the part.
      maxSockets: Number.POSITIVE_INFINITY,
    });
    this.control = createClient(store, store.endpoint, {
      requestTimeout: CONTROL_TIMEOUT_MS,
      socketTimeout: CONTROL_TIMEOUT_MS,
      maxSockets: 50,
    });
    // A presigned URL made with WHEN_SUPPORTED would carry the checksum of an empty body.
    this.signing = createClient({ ...store, checksumMode: 'WHEN_REQUIRED' }, store.publicEndpoint, {});
  }

  onApplicationShutdown(): void {
    for (const client of [this.parts, this.control, this.signing]) client.destroy();
  }
}

function createClient(
  store: StoreOptions,
  endpoint: string,
  limits: { requestTimeout?: number; socketTimeout?: number; maxSockets?: number },
): S3Client {
  const { maxSockets, ...timeouts } = limits;
  const agent = { keepAlive: true, ...(maxSockets !== undefined ? { maxSockets } : {}) };
  const config: S3ClientConfig = {
    endpoint,
    region: store.region,
    forcePathStyle: store.forcePathStyle,
    requestChecksumCalculation: store.checksumMode,
    responseChecksumValidation: store.checksumMode,
    maxAttempts: MAX_ATTEMPTS,
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
