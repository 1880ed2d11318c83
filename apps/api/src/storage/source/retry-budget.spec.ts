import { describe, expect, it } from '@jest/globals';
import { RateWatch } from './rate-watch.js';
import { RetryBudget } from './retry-budget.js';

const open = (maxRetries: number) => new RetryBudget({ maxRetries, retryDelayMs: 100 }, () => 1);

describe('RetryBudget', () => {
  it('waits twice as long each time, and ends', () => {
    const budget = open(4);
    expect([1, 2, 3, 4, 5].map(() => budget.next(0))).toEqual([100, 200, 400, 800, null]);
  });

  it('waits for nothing after progress, and begins anew', () => {
    const budget = open(2);
    budget.next(0);
    expect(budget.progress(64 * 1024)).toBe(true);
    expect([1, 2, 3].map(() => budget.next(0))).toEqual([0, 100, null]);
  });

  it('does not take a few bytes for progress', () => {
    const budget = open(3);
    const waits = [1, 2, 3, 4].map(() => {
      budget.progress(60 * 1024);
      return budget.next(0);
    });
    expect(waits).toEqual([100, 200, 400, null]);
  });

  it('waits as long as the source asks, but not for hours', () => {
    expect(open(3).next(5_000)).toBe(5_000);
    expect(open(3).next(3_600_000)).toBeNull();
  });

  it('spreads waits by chance', () => {
    const budget = new RetryBudget({ maxRetries: 3, retryDelayMs: 100 }, () => 0);
    expect(budget.next(0)).toBe(50);
  });
});

describe('RateWatch', () => {
  it('judges the rate over a whole window', () => {
    const watch = new RateWatch(1_000, 1_000);
    expect(watch.isTooSlow(100, 500)).toBe(false);
    expect(watch.isTooSlow(100, 500)).toBe(true);
    expect(watch.isTooSlow(900, 500)).toBe(false);
    expect(watch.isTooSlow(200, 500)).toBe(false);
  });

  it('leaves out the time in which nobody wanted bytes', () => {
    const watch = new RateWatch(1_000, 1_000);
    for (let tick = 0; tick < 100; tick += 1) expect(watch.isTooSlow(0, 0)).toBe(false);
  });

  it('judges nothing where no rate is asked for', () => {
    expect(new RateWatch(0, 1_000).isTooSlow(0, 10_000)).toBe(false);
  });
});
