import { TokenBucket } from 'limiter';

/** Share of a second's bytes that may come in one go. */
const BURST_SHARE = 0.1;
const MAX_CHUNK_BYTES = 64 * 1024;

/** Bytes a second of all sources of one process together. */
export class BandwidthLimit {
  /** At most this much is to be read between two calls of `spend`. */
  readonly chunkBytes: number;
  private readonly bucket: TokenBucket | undefined;

  constructor(bytesPerSecond: number | undefined) {
    this.chunkBytes = bytesPerSecond === undefined ? Number.POSITIVE_INFINITY : MAX_CHUNK_BYTES;
    if (bytesPerSecond === undefined) return;
    const bucketSize = Math.max(MAX_CHUNK_BYTES, Math.ceil(bytesPerSecond * BURST_SHARE));
    this.bucket = new TokenBucket({ bucketSize, tokensPerInterval: bytesPerSecond, interval: 'second' });
  }

  /** Resolves when `bytes`, read already, have had their time. */
  async spend(bytes: number): Promise<void> {
    await this.bucket?.removeTokens(bytes);
  }
}
