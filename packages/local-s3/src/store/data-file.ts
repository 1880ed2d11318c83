import { type FileHandle, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ByteRange } from '../http/byte-range.js';

/** Chunks of the socket are gathered to writes of this size. */
const WRITE_BATCH_BYTES = 1024 ** 2;
/** A chunk of a few bytes can pin the 64 KiB buffer it was cut from, so the number of chunks in hand is bounded too. */
const WRITE_BATCH_CHUNKS = 64;
/** The disk starts on what has been received at this distance, else a large file makes it wait for all bytes at the end. */
const FLUSH_EVERY_BYTES = 32 * 1024 ** 2;
const READ_CHUNK_BYTES = 512 * 1024;

/** A stretch of an object's bytes: one file of the data folder, used from its first byte to its last. */
export interface Segment {
  readonly file: string;
  readonly size: number;
}

/**
 * Streams `source` into a new file and returns its size once the bytes are on the disk. While one batch is written the next is
 * received. Nothing is left behind when `source` or the disk fails.
 */
export async function writeDataFile(path: string, source: AsyncIterable<Buffer>): Promise<number> {
  const file = await open(path, 'wx', 0o600);
  let written: Promise<void> = Promise.resolve();
  let flushed: Promise<void> = Promise.resolve();
  try {
    let size = 0;
    let flushedSize = 0;
    let batch: Buffer[] = [];
    let batchBytes = 0;
    for await (const chunk of source) {
      batch.push(chunk);
      batchBytes += chunk.length;
      if (batchBytes < WRITE_BATCH_BYTES && batch.length < WRITE_BATCH_CHUNKS) continue;
      await written;
      size += batchBytes;
      written = writeAll(file, batch);
      written.catch(() => {}); // It is awaited before the next batch; until then this is no unhandled rejection.
      batch = [];
      batchBytes = 0;
      if (size - flushedSize < FLUSH_EVERY_BYTES) continue;
      await flushed;
      flushedSize = size;
      flushed = file.datasync();
      flushed.catch(() => {}); // As above.
    }
    await Promise.all([written, flushed]);
    await writeAll(file, batch);
    await file.datasync();
    await file.close();
    return size + batchBytes;
  } catch (error) {
    await Promise.allSettled([written, flushed]); // The first error is the one to report.
    await file.close().catch(() => {}); // Closed already when datasync or close itself failed.
    await rm(path, { force: true });
    throw error;
  }
}

async function writeAll(file: FileHandle, batch: readonly Buffer[]): Promise<void> {
  let left = batch.filter((chunk) => chunk.length > 0);
  while (left.length > 0) {
    let { bytesWritten } = await file.writev(left);
    while (left[0] && bytesWritten >= left[0].length) {
      bytesWritten -= left[0].length;
      left = left.slice(1);
    }
    if (left[0] && bytesWritten > 0) left = [left[0].subarray(bytesWritten), ...left.slice(1)];
  }
}

/** Streams a range over consecutive segments; one file is open at a time. */
export async function* readSegments(
  folder: string,
  segments: readonly Segment[],
  range: ByteRange,
): AsyncGenerator<Buffer> {
  let offset = 0;
  for (const segment of segments) {
    const start = Math.max(0, range.start - offset);
    const end = Math.min(segment.size - 1, range.end - offset);
    offset += segment.size;
    if (start > end) continue;
    const file = await open(join(folder, segment.file), 'r');
    try {
      yield* readFileRange(file, start, end);
    } finally {
      await file.close();
    }
  }
}

async function* readFileRange(file: FileHandle, start: number, end: number): AsyncGenerator<Buffer> {
  for (let position = start; position <= end; ) {
    const length = Math.min(READ_CHUNK_BYTES, end - position + 1);
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafeSlow(length), 0, length, position);
    if (bytesRead === 0) throw new Error('A data file is shorter than its metadata says.');
    position += bytesRead;
    yield bytesRead === length ? buffer : buffer.subarray(0, bytesRead);
  }
}
