import type { Environment } from '../config/env.js';
import { ENVIRONMENT } from '../config/env.js';

/** Default life of a presigned URL in seconds. */
export const DEFAULT_URL_EXPIRY_SECONDS = 3_600;
/** Longest life of a presigned URL that Signature Version 4 allows: seven days, in seconds. */
export const MAX_URL_EXPIRY_SECONDS = 604_800;
/** S3 user guide, "multipart upload limits": bytes of one part. */
export const MAX_PART_SIZE_BYTES = 5 * 1024 ** 3;

/** What the store is and how it is spoken to. */
export interface StoreOptions {
  readonly endpoint: string;
  /** Where browsers reach the store, when that differs from `endpoint`; only signing uses it. */
  readonly publicEndpoint: string;
  readonly region: string;
  readonly bucket: string;
  /** Buckets that calls may name, `bucket` included. */
  readonly allowedBuckets: ReadonlySet<string>;
  /** Absent: the SDK's own credential chain. */
  readonly credentials?: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken?: string;
  };
  readonly forcePathStyle: boolean;
  readonly checksumMode: 'WHEN_REQUIRED' | 'WHEN_SUPPORTED';
  /** Absent: the store is recognised by its answers. */
  readonly storeName?: Exclude<Environment['S3_STORE'], 'auto'>;
  /** Instead of what the store is known or says to allow. */
  readonly maxParts?: number;
  /** What of a part the store compares with what arrived; absent: the cheapest that it is known to verify. */
  readonly partIntegrity?: Exclude<Environment['S3_PART_INTEGRITY'], 'auto'>;
  readonly partSizeBytes: number;
  /** Parts in flight of one upload. */
  readonly queueSize: number;
  /** Before the second try of a call; twice as long before each further one, with jitter. */
  readonly retryDelayMs: number;
  /** Of one try of a call; five times as long for Complete, and for a part beyond the way of its bytes. */
  readonly answerTimeoutMs: number;
}

/** What a source may be and how long it may take. */
export interface SourceOptions {
  readonly allowHttp: boolean;
  /** Ranges as AddressGuard reads them. */
  readonly allowedAddresses: readonly string[];
  readonly deniedAddresses: readonly string[];
  /** Host names and `.suffixes`; absent: none. What each list does stands at HostLists in source/host-name.ts. */
  readonly allowedHosts?: readonly string[];
  readonly deniedHosts?: readonly string[];
  /** Networks below which an address carries an IPv4 address (RFC 6052); absent: none. */
  readonly nat64Prefixes?: readonly string[];
  /** DNS look-ups at once; absent: as many as leave the database and the store their turn. */
  readonly lookupConcurrency?: number;
  readonly maxBytes: number;
  readonly maxRedirects: number;
  readonly headersTimeoutMs: number;
  readonly stallTimeoutMs: number;
  /** Of one whole download, all tries together. */
  readonly deadlineMs: number;
  /** Bytes a second, measured over `minRateWindowMs`, below which a source counts as stuck; 0: no lower limit. */
  readonly minBytesPerSecond: number;
  readonly minRateWindowMs: number;
  /** Of all sources of this process together. */
  readonly maxBytesPerSecond?: number;
  /** That may read one file side by side. */
  readonly maxConnections: number;
  /** Tries in a row that bring nothing before the source is given up. */
  readonly maxRetries: number;
  /** Before the second such try; twice as long before each further one, with jitter. */
  readonly retryDelayMs: number;
}

/** How events are told of. */
export interface EventOptions {
  /** Between looks for events that nobody poked for. */
  readonly pollMs: number;
  /** For which events and deliveries are kept that are over. */
  readonly retentionDays: number;
  /** Of one try of a webhook, from the look-up of its host to the end of the answer. */
  readonly webhookTimeoutMs: number;
}

export interface StorageOptions {
  readonly store: StoreOptions;
  readonly source: SourceOptions;
  /** Transfers that stream at once in this process; others wait as PENDING. */
  readonly transferConcurrency: number;
  /** Of those, how many read from one host at once. */
  readonly transferConcurrencyPerHost: number;
  /** How many transfers of all processes together read from one host at once; 0: any number. */
  readonly transferConcurrencyPerHostOverall: number;
  /** A source that gives less leaves its slot to others, and goes on beside them; 0: none does. */
  readonly slowBytesPerSecond: number;
  /** Bytes of part buffers that all transfers of this process hold at once. */
  readonly memoryBytes: number;
  readonly leaseMs: number;
  /** Which transfers this process runs: those of the queue too, those that it was itself asked to wait for, or none. */
  readonly workerMode: Environment['TRANSFER_WORKER'];
  /** Between looks at the queue. */
  readonly pollMs: number;
  /** Between looks for transfers whose owner died. */
  readonly recoveryMs: number;
  /** Transfers of one workspace at once: in this process and, of those from the queue, over all workers. */
  readonly transferConcurrencyPerWorkspace: number;
  /** Of one workspace in one day of UTC, where its row in core_storage_quota says no other number; both 0: nobody counts. */
  readonly filesPerDay: number;
  readonly bytesPerDay: number;
  /** Tries of one request before its file is FAILED. */
  readonly maxAttempts: number;
  /** Owners of a file that died in a row, none of which stored more than those before, after which it is FAILED. */
  readonly maxCrashes: number;
  /** Before the second try; twice as long before each further one, with jitter. */
  readonly retryDelayMs: number;
  /** Between looks for what failed clean-ups left in the bucket. */
  readonly purgeIntervalMs: number;
  /** After which a soft-deleted file is removed for good; 0: never. */
  readonly deletedRetentionDays: number;
  /** For which it is known of a file that it was removed for good. */
  readonly tombstoneRetentionDays: number;
  readonly events: EventOptions;
}

/** Injection token of StorageOptions. */
export const STORAGE_OPTIONS = Symbol('STORAGE_OPTIONS');

export const storageOptionsProvider = {
  provide: STORAGE_OPTIONS,
  useFactory: toStorageOptions,
  inject: [ENVIRONMENT],
};

/** The part of the environment that storage needs, frozen. Call it only where S3_ENDPOINT is set. */
export function toStorageOptions(env: Environment): StorageOptions {
  const { S3_ENDPOINT: endpoint = '', S3_REGION: region = '', S3_BUCKET: bucket = '' } = env;
  const isAws = /(^|\.)amazonaws\.com(\.cn)?$/.test(new URL(endpoint).hostname);
  return Object.freeze({
    store: Object.freeze({
      endpoint,
      publicEndpoint: env.S3_PUBLIC_ENDPOINT ?? endpoint,
      region,
      bucket,
      allowedBuckets: new Set([bucket, ...env.S3_ALLOWED_BUCKETS]),
      ...(env.S3_ACCESS_KEY_ID !== undefined && env.S3_SECRET_ACCESS_KEY !== undefined
        ? {
            credentials: {
              accessKeyId: env.S3_ACCESS_KEY_ID,
              secretAccessKey: env.S3_SECRET_ACCESS_KEY,
              ...(env.S3_SESSION_TOKEN !== undefined ? { sessionToken: env.S3_SESSION_TOKEN } : {}),
            },
          }
        : {}),
      // Bucket names as host names need wildcard DNS and TLS names, which few stores but AWS have.
      forcePathStyle: env.S3_FORCE_PATH_STYLE ?? !isAws,
      // The SDK's default checksums are refused or ignored by OpenStack Swift, Ceph 16 and others.
      checksumMode:
        (env.S3_CHECKSUM_MODE ?? (isAws ? 'when_supported' : 'when_required')) === 'when_supported'
          ? 'WHEN_SUPPORTED'
          : 'WHEN_REQUIRED',
      ...(env.S3_STORE === 'auto' ? {} : { storeName: env.S3_STORE }),
      ...(env.S3_MAX_PARTS !== undefined ? { maxParts: env.S3_MAX_PARTS } : {}),
      ...(env.S3_PART_INTEGRITY === 'auto' ? {} : { partIntegrity: env.S3_PART_INTEGRITY }),
      partSizeBytes: env.S3_PART_SIZE_BYTES,
      queueSize: env.S3_QUEUE_SIZE,
      retryDelayMs: env.S3_RETRY_DELAY_MS,
      answerTimeoutMs: env.S3_ANSWER_TIMEOUT_MS,
    }),
    source: Object.freeze({
      allowHttp: env.SOURCE_ALLOW_HTTP,
      allowedAddresses: env.SOURCE_ALLOWED_ADDRESSES,
      deniedAddresses: env.SOURCE_DENIED_ADDRESSES,
      allowedHosts: env.SOURCE_ALLOWED_HOSTS,
      deniedHosts: env.SOURCE_DENIED_HOSTS,
      nat64Prefixes: env.SOURCE_NAT64_PREFIXES,
      lookupConcurrency: env.SOURCE_LOOKUP_CONCURRENCY,
      maxBytes: env.SOURCE_MAX_BYTES,
      maxRedirects: env.SOURCE_MAX_REDIRECTS,
      headersTimeoutMs: env.SOURCE_HEADERS_TIMEOUT_MS,
      stallTimeoutMs: env.SOURCE_STALL_TIMEOUT_MS,
      deadlineMs: env.SOURCE_DEADLINE_SECONDS * 1_000,
      minBytesPerSecond: env.SOURCE_MIN_BYTES_PER_SECOND,
      minRateWindowMs: env.SOURCE_MIN_RATE_WINDOW_SECONDS * 1_000,
      ...(env.SOURCE_MAX_BYTES_PER_SECOND !== undefined ? { maxBytesPerSecond: env.SOURCE_MAX_BYTES_PER_SECOND } : {}),
      maxConnections: env.SOURCE_MAX_CONNECTIONS,
      maxRetries: env.SOURCE_MAX_RETRIES,
      retryDelayMs: env.SOURCE_RETRY_DELAY_MS,
    }),
    transferConcurrency: env.TRANSFER_CONCURRENCY,
    transferConcurrencyPerWorkspace: env.TRANSFER_CONCURRENCY_PER_WORKSPACE,
    filesPerDay: env.WORKSPACE_FILES_PER_DAY,
    bytesPerDay: env.WORKSPACE_BYTES_PER_DAY,
    workerMode: env.TRANSFER_WORKER,
    pollMs: env.TRANSFER_POLL_MS,
    recoveryMs: env.TRANSFER_RECOVERY_SECONDS * 1_000,
    maxAttempts: env.TRANSFER_MAX_ATTEMPTS,
    maxCrashes: env.TRANSFER_MAX_CRASHES,
    retryDelayMs: env.TRANSFER_RETRY_DELAY_SECONDS * 1_000,
    transferConcurrencyPerHost: env.TRANSFER_CONCURRENCY_PER_HOST,
    transferConcurrencyPerHostOverall: env.TRANSFER_CONCURRENCY_PER_HOST_OVERALL,
    slowBytesPerSecond: env.TRANSFER_SLOW_BYTES_PER_SECOND,
    memoryBytes: env.TRANSFER_MEMORY_BYTES,
    leaseMs: env.TRANSFER_LEASE_SECONDS * 1_000,
    purgeIntervalMs: env.PURGE_INTERVAL_SECONDS * 1_000,
    deletedRetentionDays: env.DELETED_RETENTION_DAYS,
    tombstoneRetentionDays: env.TOMBSTONE_RETENTION_DAYS,
    events: Object.freeze({
      pollMs: env.EVENT_POLL_MS,
      retentionDays: env.EVENT_RETENTION_DAYS,
      webhookTimeoutMs: env.WEBHOOK_TIMEOUT_MS,
    }),
  } satisfies StorageOptions);
}
