import { createCipheriv, createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';

/** A file that is nowhere stored: its bytes follow from these two numbers. */
export interface FileContent {
  readonly seed: number;
  readonly sizeBytes: number;
}

/** Opens every file that is long enough, so that a check of the type by its first bytes finds a video: an MP4's `ftyp` box. */
const FIRST_BYTES = Buffer.from('00000020667479706d703432000000006d70343269736f6d6176633169736f32', 'hex');
const CIPHER_BLOCK_BYTES = 16;
/** Large enough that the cipher runs and the socket run at their full rate, small enough that a slow reader pins little. */
const CHUNK_BYTES = 256 * 1024;
const HASHED_CHUNKS_PER_TURN = 64;
const ZEROS = Buffer.alloc(CHUNK_BYTES + CIPHER_BLOCK_BYTES);

/**
 * The bytes from `start` up to but without `end`. They are the key stream of AES-128-CTR: cheap at any offset, and no two
 * pieces of it are equal, so that a byte which is left out, doubled or misplaced is always noticed.
 */
export function contentRange(file: FileContent, start: number, end: number): Buffer {
  return Buffer.concat([...contentChunks(file, start, end)]);
}

/** The same in chunks of at most 256 KiB, each in memory of its own. */
export function* contentChunks(file: FileContent, start: number, end: number): Generator<Buffer> {
  if (!(start >= 0 && start <= end && end <= file.sizeBytes)) {
    throw new RangeError(`bytes ${start} to ${end} of a file of ${file.sizeBytes} bytes`);
  }
  const skippedBytes = start % CIPHER_BLOCK_BYTES;
  const cipher = keyStreamAt(file.seed, (start - skippedBytes) / CIPHER_BLOCK_BYTES);
  cipher.update(ZEROS.subarray(0, skippedBytes));
  for (let position = start; position < end; position += CHUNK_BYTES) {
    const chunk = cipher.update(ZEROS.subarray(0, Math.min(CHUNK_BYTES, end - position)));
    if (position < FIRST_BYTES.length && file.sizeBytes >= FIRST_BYTES.length) FIRST_BYTES.copy(chunk, 0, position);
    yield chunk;
  }
}

/** SHA-256 of the whole file in hex, 1 to 2 s per GiB; other work gets its turn in between. */
export async function contentSha256(file: FileContent): Promise<string> {
  const hash = createHash('sha256');
  let chunks = 0;
  for (const chunk of contentChunks(file, 0, file.sizeBytes)) {
    hash.update(chunk);
    chunks += 1;
    if (chunks % HASHED_CHUNKS_PER_TURN === 0) await nextTurn();
  }
  return hash.digest('hex');
}

function keyStreamAt(seed: number, block: number) {
  const key = createHash('sha256').update(`hostile-source ${seed}`).digest().subarray(0, 16);
  const counter = Buffer.alloc(CIPHER_BLOCK_BYTES);
  counter.writeBigUInt64BE(BigInt(block), 8);
  return createCipheriv('aes-128-ctr', key, counter);
}
