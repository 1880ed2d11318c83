import { describe, expect, it } from '@jest/globals';
import type { ByteSource } from '../source/byte-source.js';
import { SourcePace } from './source-pace.js';

const SLOW_BYTES_PER_SECOND = 150;

function openPace() {
  const clock = { now: 0 };
  return { clock, pace: new SourcePace(SLOW_BYTES_PER_SECOND, () => clock.now) };
}

/** Waits two seconds for so many bytes, after some in which nobody asked for any. */
async function waitFor({ clock, pace }: ReturnType<typeof openPace>, bytes: number): Promise<void> {
  clock.now += 5_000;
  const read = Promise.withResolvers<number>();
  const watched = pace.during(read.promise);
  clock.now += 2_000;
  pace.count(bytes);
  read.resolve(bytes);
  await watched;
  clock.now += 60_000;
}

describe('SourcePace', () => {
  it.each([
    [299, true],
    [300, false],
  ])('judges by the time in which bytes were waited for: %i in two seconds', async (bytes, isSlow) => {
    const opened = openPace();
    await waitFor(opened, bytes);
    expect(opened.pace.look()).toBe(true);
    expect(opened.pace.isSlow).toBe(isSlow);
  });

  it('counts reads side by side once', () => {
    const { clock, pace } = openPace();
    void pace.during(new Promise(() => {}));
    void pace.during(new Promise(() => {}));
    pace.count(150);
    clock.now = 1_000;
    expect(pace.look()).toBe(true);
    expect(pace.isSlow).toBe(false);
  });

  it('says nothing before a second was waited for, and begins anew after each look', () => {
    const { clock, pace } = openPace();
    void pace.during(new Promise(() => {}));
    clock.now = 999;
    expect(pace.look()).toBe(false);
    clock.now = 1_000;
    expect(pace.look()).toBe(true);
    expect(pace.look()).toBe(false);
    expect(pace.isSlow).toBe(true);
  });

  it.each([
    ['names a version', { length: 9, etag: '"1"', lastModified: null, contentEncoding: null }, true],
    ['names none', null, false],
  ])('knows whether a source that %s can be gone on with later', (_what, version, isResumable) => {
    const { pace } = openPace();
    expect(pace.isResumable).toBe(true); // Nothing came that could be lost.
    pace.count(9);
    expect(pace.isResumable).toBe(false);
    pace.watch({ version } as ByteSource);
    expect(pace.isResumable).toBe(isResumable);
  });

  it('goes on after a wait that failed', async () => {
    const { clock, pace } = openPace();
    await expect(pace.during(Promise.reject(new Error('no')))).rejects.toThrow('no');
    clock.now = 2_000;
    expect(pace.look()).toBe(false);
  });

  it('lends one buffer at a time until the source has shown that it is not slow', async () => {
    const opened = openPace();
    const { pace } = opened;
    expect(pace.isToReadAhead).toBe(false);
    await waitFor(opened, 400);
    pace.look();
    expect(pace.isToReadAhead).toBe(true);
    await waitFor(opened, 100);
    pace.look();
    expect(pace.isToReadAhead).toBe(false);
  });
});
