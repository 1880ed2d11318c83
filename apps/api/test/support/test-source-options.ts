import type { SourceOptions } from '../../src/storage/storage.options.js';

/** Short limits and few tries; sources at 127.0.0.1 alone are allowed unless `changes` say otherwise. */
export function testSourceOptions(changes: Partial<SourceOptions> = {}): SourceOptions {
  return {
    allowHttp: true,
    allowedAddresses: ['127.0.0.1/32'],
    deniedAddresses: [],
    maxBytes: 1024 * 1024,
    maxRedirects: 3,
    headersTimeoutMs: 1_000,
    stallTimeoutMs: 1_000,
    deadlineMs: 20_000,
    minBytesPerSecond: 0,
    minRateWindowMs: 60_000,
    maxConnections: 8,
    maxRetries: 2,
    retryDelayMs: 10,
    ...changes,
  };
}
