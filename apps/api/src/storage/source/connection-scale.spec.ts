import { describe, expect, it } from '@jest/globals';
import { ConnectionScale } from './connection-scale.js';

const MiB = 1024 * 1024;
const TICK_MS = 250;

/** Ticks with the rate that `rateOf` gives for the connections of that moment, in MiB a second. */
function run(scale: ConnectionScale, ticks: number, rateOf: (connections: number) => number, idleShare = 0) {
  const seen: number[] = [];
  for (let tick = 0; tick < ticks; tick += 1) {
    const bytes = (rateOf(scale.wanted) * MiB * TICK_MS) / 1_000;
    scale.tick({ bytes, elapsedMs: TICK_MS, idleMs: idleShare * TICK_MS });
    seen.push(scale.wanted);
  }
  return seen;
}

describe('ConnectionScale', () => {
  it('doubles while each step brings more', () => {
    expect(run(new ConnectionScale(8), 5, (connections) => connections * 20)).toEqual([2, 4, 8, 8, 8]);
  });

  it('stops where the source shares one rate among all, and tries again only after a rest', () => {
    const seen = run(new ConnectionScale(8), 60, () => 20);
    expect(seen.slice(0, 6)).toEqual([2, 2, 2, 2, 1, 1]);
    expect(Math.max(...seen)).toBe(2);
    expect(seen.filter((connections) => connections === 2)).toHaveLength(4);
  });

  it('goes back to the last step that was worth it', () => {
    const seen = run(new ConnectionScale(8), 12, (connections) => Math.min(connections, 2) * 20);
    expect(seen.at(-1)).toBe(2);
    expect(Math.max(...seen)).toBe(4);
  });

  it('opens none beside a connection that is fast, nor while nobody takes the bytes', () => {
    expect(run(new ConnectionScale(8), 4, () => 100)).toEqual([1, 1, 1, 1]);
    expect(run(new ConnectionScale(8), 4, () => 20, 0.5)).toEqual([1, 1, 1, 1]);
  });

  it('takes no slow moment of a fast connection for a limit of the source', () => {
    const rates = [100, 20, 20, 100, 30, 30, 30];
    expect(run(new ConnectionScale(8), rates.length, () => rates.shift() ?? 0)).toEqual([1, 1, 1, 1, 1, 1, 1]);
  });

  it('keeps to its limit, and to one when ranges are refused', () => {
    expect(run(new ConnectionScale(3), 4, (connections) => connections * 20).at(-1)).toBe(3);
    const scale = new ConnectionScale(8);
    run(scale, 3, (connections) => connections * 20);
    scale.forbid();
    expect(run(scale, 300, () => 20).every((connections) => connections === 1)).toBe(true);
  });

  it('goes on with the connections that are left after one failed', () => {
    const scale = new ConnectionScale(8);
    run(scale, 3, (connections) => connections * 20);
    scale.shrink(7);
    expect(scale.wanted).toBe(7);
    expect(run(scale, 4, (connections) => connections * 20).at(-1)).toBe(7);
  });
});
