/** What tests reckon with: the size of parts, how many are on their way at once, and how long a lease lasts. */
export const PART_SIZE_BYTES = 5 * 1024 ** 2;
export const QUEUE_SIZE = 2;
export const LEASE_MS = 3_000;

/** Of the product's environment, what makes it quick to notice what died, and countable in what it reads again. */
export const PRODUCT_VARIABLES: Readonly<Record<string, string>> = {
  NO_COLOR: '1',
  API_PORT: '0',
  S3_STORE: 'local-s3',
  S3_PART_SIZE_BYTES: String(PART_SIZE_BYTES),
  S3_QUEUE_SIZE: String(QUEUE_SIZE),
  S3_RETRY_DELAY_MS: '50',
  SOURCE_RETRY_DELAY_MS: '50',
  // One, so that what is read is what the parts hold.
  SOURCE_MAX_CONNECTIONS: '1',
  TRANSFER_LEASE_SECONDS: String(LEASE_MS / 1_000),
  TRANSFER_POLL_MS: '200',
  TRANSFER_RECOVERY_SECONDS: '1',
  TRANSFER_RETRY_DELAY_SECONDS: '1',
  // Sources that are held, or held up by kills, are not slow by themselves.
  TRANSFER_SLOW_BYTES_PER_SECOND: '0',
  PURGE_INTERVAL_SECONDS: '1',
};
