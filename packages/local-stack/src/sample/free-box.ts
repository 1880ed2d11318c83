import { createCipheriv } from 'node:crypto';

/** Size of the whole box. The upload of the sample then has three parts (10 MiB each at most). */
export const FREE_BOX_BYTES = 24 * 1024 * 1024;

const HEADER_BYTES = 8;
const CHUNK_BYTES = 64 * 1024;
const CIPHER_BLOCK_BYTES = 16;
/** Nothing is secret here: the cipher is a generator that can start anywhere. */
const GENERATOR_KEY = Buffer.alloc(16, 's3-transfer');

/**
 * The bytes from `start` up to (not with) `end` of an ISO BMFF box of type `free` (ISO/IEC 14496-12, 8.1.2), which players
 * skip. The payload never repeats, so that two swapped or doubled parts of an upload change the checksum; it is made
 * chunk by chunk as it is read (64 KiB each).
 */
export function* readFreeBox(start: number, end: number): Generator<Buffer> {
  if (start < HEADER_BYTES) yield header().subarray(start, Math.min(end, HEADER_BYTES));
  for (let position = Math.max(start, HEADER_BYTES); position < end; position += CHUNK_BYTES) {
    yield payload(position - HEADER_BYTES, Math.min(end, position + CHUNK_BYTES) - HEADER_BYTES);
  }
}

function header(): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.writeUInt32BE(FREE_BOX_BYTES, 0);
  bytes.write('free', 4, 'latin1');
  return bytes;
}

/** AES in counter mode over zeros: the counter says where in the stream a block stands. */
function payload(start: number, end: number): Buffer {
  const firstBlock = Math.floor(start / CIPHER_BLOCK_BYTES);
  const counter = Buffer.alloc(CIPHER_BLOCK_BYTES);
  counter.writeBigUInt64BE(BigInt(firstBlock), 8);
  const skipped = start - firstBlock * CIPHER_BLOCK_BYTES;
  const cipher = createCipheriv('aes-128-ctr', GENERATOR_KEY, counter);
  return cipher.update(Buffer.alloc(skipped + end - start)).subarray(skipped);
}
