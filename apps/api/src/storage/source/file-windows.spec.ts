import { describe, expect, it } from '@jest/globals';
import { FileWindows, type Slice } from './file-windows.js';

const MiB = 1024 * 1024;

function open(length: number | null) {
  const shown: Buffer[] = [];
  const refused: Error[] = [];
  const windows = new FileWindows(
    {
      onBytes: (bytes) => shown.push(Buffer.from(bytes)),
      onRestart: () => shown.splice(0),
    },
    (error) => refused.push(error),
  );
  windows.length = length;
  return { windows, refused, text: () => Buffer.concat(shown).toString() };
}

function put(windows: FileWindows, slice: Slice | undefined, text: string): void {
  if (slice === undefined) throw new Error('no slice to fill');
  windows.targetOf(slice, slice.position + text.length).write(text);
  windows.advance(slice, text.length);
}

const isSettled = async (promise: Promise<unknown>) => {
  const waiting = Symbol('waiting');
  return (await Promise.race([promise, Promise.resolve(waiting)])) !== waiting;
};

describe('FileWindows', () => {
  it('shows bytes in order and hands buffers back in order, whichever slice is filled first', async () => {
    const { windows, text } = open(8);
    const buffers = [Buffer.alloc(4), Buffer.alloc(4)] as const;
    const reads = buffers.map((buffer) => windows.add(buffer));
    const [first, second] = [windows.take(2), windows.take(2)];
    put(windows, second, 'efgh');
    expect(text()).toBe('');
    expect(await isSettled(reads[1] as Promise<number>)).toBe(false);
    put(windows, first, 'ab');
    expect(text()).toBe('ab');
    put(windows, first, 'cd');
    expect(text()).toBe('abcdefgh');
    expect(await Promise.all(reads)).toEqual([4, 4]);
    expect(buffers.map(String)).toEqual(['abcd', 'efgh']);
  });

  it('hands a short buffer back only when the end is proven', async () => {
    const { windows } = open(3);
    const read = windows.add(Buffer.alloc(10));
    put(windows, windows.take(1), 'abc');
    expect(await isSettled(read)).toBe(false);
    windows.markEnd();
    expect(await read).toBe(3);
    expect(await windows.add(Buffer.alloc(1))).toBe(0);
    expect(windows.isWhole).toBe(true);
  });

  it('gives slices that others can share, smaller towards the end', () => {
    const { windows } = open(24 * MiB);
    void windows.add(Buffer.alloc(24 * MiB));
    const sizes: number[] = [];
    for (let slice = windows.take(4); slice !== undefined; slice = windows.take(4)) {
      sizes.push((slice.end - slice.position) / MiB);
    }
    expect(sizes[0]).toBe(5);
    expect(sizes.at(-1)).toBeLessThanOrEqual(1);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(24);
  });

  it('gives what a connection left before anything new', () => {
    const { windows, text } = open(8);
    void windows.add(Buffer.alloc(4));
    void windows.add(Buffer.alloc(4));
    const first = windows.take(2) as Slice;
    put(windows, first, 'ab');
    windows.leave(first);
    expect(windows.take(2)).toBe(first);
    put(windows, first, 'cd');
    expect(text()).toBe('abcd');
  });

  it('begins anew while nothing was handed back, and not after', async () => {
    const { windows, text } = open(8);
    const read = windows.add(Buffer.alloc(4));
    const slice = windows.take(1) as Slice;
    put(windows, slice, 'old');
    expect(windows.restart(slice)).toBe(true);
    expect(text()).toBe('');
    windows.length = 8;
    put(windows, slice, 'newf');
    expect(text()).toBe('newf');
    await read;
    void windows.add(Buffer.alloc(4));
    expect(windows.restart(windows.take(1) as Slice)).toBe(false);
    expect(text()).toBe('newf');
  });

  it('ends where a body of unknown length ends', async () => {
    const { windows } = open(null);
    const reads = [windows.add(Buffer.alloc(4)), windows.add(Buffer.alloc(4))];
    put(windows, windows.take(1), 'abcd');
    const slice = windows.take(1) as Slice;
    put(windows, slice, 'e');
    windows.endAt(slice);
    windows.markEnd();
    expect(await Promise.all(reads)).toEqual([4, 1]);
    expect(windows.length).toBe(5);
  });
});
