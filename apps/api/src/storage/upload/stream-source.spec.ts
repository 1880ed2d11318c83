import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { describe, expect, it } from '@jest/globals';
import { StreamSource, type StreamSourceOptions } from './stream-source.js';

const CONTENT = randomBytes(100_000);

function open(options: StreamSourceOptions = {}, chunkBytes = 7_777) {
  const chunks = Array.from({ length: Math.ceil(CONTENT.length / chunkBytes) }, (_, index) =>
    CONTENT.subarray(index * chunkBytes, (index + 1) * chunkBytes),
  );
  const stream = Readable.from(chunks);
  return { stream, source: new StreamSource(stream, options) };
}

describe('StreamSource', () => {
  it.each([1_000, 7_777, 30_000, 100_000, 100_001])('fills buffers of %d bytes in order', async (bytes) => {
    const hash = createHash('sha256');
    const { source } = open({ onBytes: (chunk) => hash.update(chunk) });
    const read: Buffer[] = [];
    for (;;) {
      const buffer = Buffer.alloc(bytes);
      const filled = await source.read(buffer);
      read.push(buffer.subarray(0, filled));
      if (filled < bytes) break;
    }
    expect(Buffer.concat(read).equals(CONTENT)).toBe(true);
    expect(hash.digest('hex')).toBe(createHash('sha256').update(CONTENT).digest('hex'));
    expect(await source.read(Buffer.alloc(10))).toBe(0);
  });

  it('keeps the order of reads that were asked for side by side', async () => {
    const { source } = open();
    const buffers = [Buffer.alloc(60_000), Buffer.alloc(30_000), Buffer.alloc(30_000), Buffer.alloc(5)];
    expect(await Promise.all(buffers.map((buffer) => source.read(buffer)))).toEqual([60_000, 30_000, 10_000, 0]);
    expect(Buffer.concat(buffers).subarray(0, CONTENT.length).equals(CONTENT)).toBe(true);
  });

  it.each([
    ['fewer bytes than announced', { length: CONTENT.length + 1 }, 'SOURCE_TRUNCATED'],
    ['more bytes than announced', { length: CONTENT.length - 1 }, 'SOURCE_PROTOCOL'],
    ['more bytes than allowed', { maxBytes: CONTENT.length - 1 }, 'SOURCE_TOO_LARGE'],
  ])('refuses %s, and every read after', async (_what, options, code) => {
    const { source } = open(options);
    const read = async () => {
      while ((await source.read(Buffer.alloc(30_000))) > 0);
    };
    await expect(read()).rejects.toMatchObject({ code });
    await expect(source.read(Buffer.alloc(1))).rejects.toMatchObject({ code });
  });

  it('gives the error of the stream as it is, also when it came before the first read', async () => {
    const { stream, source } = open();
    const error = new Error('the disk is gone');
    stream.destroy(error);
    await expect(source.read(Buffer.alloc(1))).rejects.toBe(error);
    await expect(source.read(Buffer.alloc(1))).rejects.toBe(error);
  });

  it('calls a stream that was closed early what it is', async () => {
    const { stream, source } = open();
    await source.read(Buffer.alloc(10));
    stream.destroy();
    await expect(source.read(Buffer.alloc(CONTENT.length))).rejects.toMatchObject({ code: 'SOURCE_TRUNCATED' });
  });

  it('fails a read under way when it is destroyed, and writes to no buffer afterwards', async () => {
    const stream = new Readable({ read() {}, destroy: (_error, done) => setImmediate(done, null) });
    const source = new StreamSource(stream);
    const buffer = Buffer.alloc(10);
    const reading = source.read(buffer);
    stream.push(Buffer.from('hello'));
    const reason = new Error('cancelled');
    source.destroy(reason);
    source.destroy(new Error('again'));
    await expect(reading).rejects.toBe(reason);
    const before = Buffer.from(buffer);
    await new Promise((resolve) => stream.once('close', resolve));
    expect(buffer).toEqual(before);
    expect(stream.destroyed).toBe(true);
  });

  it('takes text, and refuses objects', async () => {
    const buffer = Buffer.alloc(10);
    expect(await new StreamSource(Readable.from(['hel', 'lo'])).read(buffer)).toBe(5);
    expect(buffer.toString('utf8', 0, 5)).toBe('hello');
    await expect(new StreamSource(Readable.from([{ a: 1 }])).read(buffer)).rejects.toThrow('bytes or text');
  });
});
