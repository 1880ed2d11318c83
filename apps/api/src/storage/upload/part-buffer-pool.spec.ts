import { describe, expect, it } from '@jest/globals';
import { PartBufferPool, type PartBufferShare } from './part-buffer-pool.js';

const KiB = 1024;
const MiB = 1024 * KiB;
const signal = new AbortController().signal;

/** Notes for each wait whether it has ended, and in which order. */
function watch() {
  const served: string[] = [];
  const ask = (name: string, share: PartBufferShare) => {
    const given = share.acquire(signal);
    void given.then(() => served.push(name));
    return given;
  };
  return { served, ask };
}

/** Everything that can go on without a release has gone on. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

describe('PartBufferPool', () => {
  it('never holds more than its budget, whoever asks for what, and serves everybody', async () => {
    const memoryBytes = 8 * MiB;
    const pool = new PartBufferPool({ memoryBytes });
    let most = 0;
    const transfer = async (index: number) => {
      const share = pool.open(((index * 7919) % 64) * 64 * KiB + 1);
      const carryParts = async () => {
        for (let part = 0; part < 10; part += 1) {
          const buffer = await share.acquire(signal);
          most = Math.max(most, pool.bytes.held + pool.bytes.free);
          await settle();
          share.release(buffer);
        }
      };
      await Promise.all(Array.from({ length: 1 + (index % 4) }, carryParts));
      expect(share.heldBytes).toBe(0);
    };
    await Promise.all(Array.from({ length: 40 }, (_, index) => transfer(index)));
    expect(most).toBeGreaterThan(memoryBytes / 2);
    expect(most).toBeLessThanOrEqual(memoryBytes);
    expect(pool.bytes.held).toBe(0);
  });

  it('serves first who holds least, then who came first', async () => {
    const pool = new PartBufferPool({ memoryBytes: 3 * MiB });
    const { served, ask } = watch();
    const [rich, poor, late] = [pool.open(MiB), pool.open(MiB), pool.open(MiB)];
    const held = await Promise.all([rich.acquire(signal), rich.acquire(signal), poor.acquire(signal)]);
    void ask('rich', rich);
    void ask('poor', poor);
    void ask('late', late);
    void ask('poor again', poor);
    rich.release(held[0] as Buffer);
    await settle();
    expect(served).toEqual(['late']);
    rich.release(held[1] as Buffer);
    await settle();
    expect(served).toEqual(['late', 'rich']);
    poor.release(held[2] as Buffer);
    await settle();
    expect(served).toEqual(['late', 'rich', 'poor']);
  });

  it('lets nobody overtake who waits for a large buffer', async () => {
    const pool = new PartBufferPool({ memoryBytes: 4 * MiB });
    const { served, ask } = watch();
    const [small, large, other] = [pool.open(MiB), pool.open(4 * MiB), pool.open(MiB)];
    const buffer = await small.acquire(signal);
    void ask('large', large);
    void ask('other', other);
    await settle();
    expect(served).toEqual([]);
    small.release(buffer);
    await settle();
    expect(served).toEqual(['large']);
  });

  it('goes on with the next when a waiter is cancelled', async () => {
    const pool = new PartBufferPool({ memoryBytes: 4 * MiB });
    const { served, ask } = watch();
    const buffer = await pool.open(MiB).acquire(signal);
    const cancel = new AbortController();
    const cancelled = pool.open(4 * MiB).acquire(cancel.signal);
    void ask('next', pool.open(MiB));
    const reason = new Error('not wanted any more');
    cancel.abort(reason);
    await expect(cancelled).rejects.toBe(reason);
    await settle();
    expect(served).toEqual(['next']);
    await expect(pool.open(MiB).acquire(cancel.signal)).rejects.toBe(reason);
    expect(pool.bytes.held).toBe(2 * buffer.length);
  });

  it('uses a buffer again, and drops it where another size needs the room', async () => {
    const pool = new PartBufferPool({ memoryBytes: 4 * MiB });
    const share = pool.open(2 * MiB);
    const buffer = await share.acquire(signal);
    share.close();
    expect(pool.bytes).toEqual({ held: 0, free: 2 * MiB });
    expect(await pool.open(2 * MiB - 5).acquire(signal)).toBe(buffer);
    await share.acquire(signal);
    share.close();
    await pool.open(MiB).acquire(signal);
    await pool.open(MiB).acquire(signal);
    expect(pool.bytes).toEqual({ held: 4 * MiB, free: 0 });
  });

  it('gives a small file little more than it asks for, in few sizes', () => {
    const pool = new PartBufferPool({ memoryBytes: 256 * MiB });
    const sizes = new Set<number>();
    for (let bytes = 1; bytes < 64 * MiB; bytes += 12_345) {
      const { bufferBytes } = pool.open(bytes);
      expect(bufferBytes).toBeGreaterThanOrEqual(bytes);
      expect(bufferBytes).toBeLessThanOrEqual(Math.max(bytes * 1.125 + 1, bytes + 64 * KiB));
      sizes.add(bufferBytes);
    }
    expect(sizes.size).toBeLessThan(70);
    expect(pool.open(101 * MiB).bufferBytes).toBe(104 * MiB);
    expect(pool.open(256 * MiB).bufferBytes).toBe(256 * MiB);
  });

  it('refuses with both figures and the names of the options what never fits', () => {
    const pool = new PartBufferPool({ memoryBytes: 10 * MiB });
    expect(() => pool.open(11 * MiB)).toThrow(
      expect.objectContaining({
        code: 'UPLOAD_TOO_LARGE',
        message: expect.stringMatching(/11534336.*10485760.*TRANSFER_MEMORY_BYTES.*S3_PART_SIZE_BYTES/),
      }),
    );
  });
});
