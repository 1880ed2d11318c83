// The bytes of a source of any length: cheap to make, the same at every reading, and different in each MiB, so that a
// part that is left out, read twice or put in another's place changes the SHA-256.
import { createHash } from 'node:crypto';

export const MiB = 1024 * 1024;
const STAMP_BYTES = 8;
const block = Buffer.alloc(MiB, 'not all the same ');

/** What stands at `offset`: at least one byte, at most a MiB, nothing at or after `end`. */
export function pieceAt(offset, end) {
  const within = offset % MiB;
  const piece = within < STAMP_BYTES ? stampOf(offset - within).subarray(within) : block.subarray(within);
  return piece.subarray(0, end - offset);
}

export function digestOf(bytes) {
  const hash = createHash('sha256');
  for (let offset = 0; offset < bytes; ) {
    const piece = pieceAt(offset, bytes);
    hash.update(piece);
    offset += piece.length;
  }
  return hash.digest('hex');
}

/** The first bytes of each MiB name its place. */
function stampOf(offset) {
  const stamp = Buffer.allocUnsafe(STAMP_BYTES);
  stamp.writeBigUInt64BE(BigInt(offset));
  return stamp;
}
