import { describe, expect, it } from '@jest/globals';
import { SourcePace } from './source-pace.js';

function openPace() {
  const clock = { now: 0 };
  return { clock, pace: new SourcePace(() => clock.now) };
}

describe('SourcePace', () => {
  it('gives the rate of the time in which bytes were waited for', async () => {
    const { clock, pace } = openPace();
    clock.now = 5_000; // Nobody asked for anything.
    const read = Promise.withResolvers<number>();
    const watched = pace.during(read.promise);
    clock.now = 7_000;
    pace.count(300);
    read.resolve(300);
    await watched;
    clock.now = 60_000;
    expect(pace.look()).toBe(150);
  });

  it('counts reads side by side once', () => {
    const { clock, pace } = openPace();
    void pace.during(new Promise(() => {}));
    void pace.during(new Promise(() => {}));
    pace.count(100);
    clock.now = 1_000;
    expect(pace.look()).toBe(100);
  });

  it('says nothing before a second was waited for, and begins anew after each look', () => {
    const { clock, pace } = openPace();
    void pace.during(new Promise(() => {}));
    clock.now = 999;
    expect(pace.look()).toBeNull();
    clock.now = 1_000;
    expect(pace.look()).toBe(0);
    expect(pace.look()).toBeNull();
  });

  it('goes on after a wait that failed', async () => {
    const { clock, pace } = openPace();
    await expect(pace.during(Promise.reject(new Error('no')))).rejects.toThrow('no');
    clock.now = 2_000;
    expect(pace.look()).toBeNull();
  });
});
