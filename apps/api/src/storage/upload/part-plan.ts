import { StorageError } from '../storage.errors.js';
import { MAX_PART_SIZE_BYTES } from '../storage.options.js';

const MiB = 1024 * 1024;

/**
 * Bytes of a part: as configured, or more in whole MiB where a long file would not fit into the store's part numbers.
 *
 * @throws StorageError UPLOAD_TOO_LARGE with the figure, before anything is sent
 */
export function choosePartSize(plan: {
  partSizeBytes: number;
  maxParts: number;
  expectedBytes?: number | null;
}): number {
  const { partSizeBytes, maxParts } = plan;
  const expectedBytes = plan.expectedBytes ?? 0;
  const partSize = Math.max(partSizeBytes, Math.ceil(expectedBytes / maxParts / MiB) * MiB);
  if (partSize <= MAX_PART_SIZE_BYTES) return partSize;
  throw new StorageError(
    'UPLOAD_TOO_LARGE',
    `file has ${expectedBytes} bytes, and this store takes ${maxParts} parts of at most ${MAX_PART_SIZE_BYTES} bytes`,
  );
}

/** For bytes whose number nobody told: they ended neither with the last part that the store takes nor before. */
export function tooManyParts({ partSizeBytes, maxParts }: { partSizeBytes: number; maxParts: number }): StorageError {
  return new StorageError(
    'UPLOAD_TOO_LARGE',
    `body of unknown length has more than the ${partSizeBytes * maxParts} bytes that this store's parts hold; raise S3_PART_SIZE_BYTES`,
  );
}
