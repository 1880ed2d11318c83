import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { PollLoop } from './poll-loop.js';

describe('PollLoop', () => {
  let rounds = 0;
  let errors: unknown[] = [];
  let run = async () => {};
  let loop: PollLoop;

  beforeEach(() => {
    jest.useFakeTimers();
    rounds = 0;
    errors = [];
    run = async () => {};
    loop = new PollLoop({
      intervalMs: 100,
      run: async () => {
        rounds += 1;
        await run();
      },
      onError: (error) => errors.push(error),
    });
  });
  afterEach(async () => {
    await loop.stop();
    jest.useRealTimers();
  });

  it('runs at the start, and then at every interval', async () => {
    await jest.advanceTimersByTimeAsync(1_000);
    expect(rounds).toBe(0);
    loop.start();
    await jest.advanceTimersByTimeAsync(250);
    expect(rounds).toBe(3);
  });

  it('runs once more after the round under way, however often it is poked meanwhile', async () => {
    const first = Promise.withResolvers<void>();
    run = () => first.promise;
    loop.start();
    for (let count = 0; count < 3; count += 1) loop.poke();
    await jest.advanceTimersByTimeAsync(500);
    expect(rounds).toBe(1);
    run = async () => {};
    first.resolve();
    await jest.advanceTimersByTimeAsync(0);
    expect(rounds).toBe(2);
  });

  it('waits longer after a failure, and as ever after a success', async () => {
    run = () => Promise.reject(new Error('away'));
    loop.start();
    await jest.advanceTimersByTimeAsync(900);
    expect([rounds, errors.length]).toEqual([1, 1]);
    run = async () => {};
    await jest.advanceTimersByTimeAsync(100);
    expect(rounds).toBe(2);
    await jest.advanceTimersByTimeAsync(100);
    expect([rounds, errors.length]).toEqual([3, 1]);
  });

  it('waits for the round under way when it stops, and begins none after', async () => {
    const last = Promise.withResolvers<void>();
    run = () => last.promise;
    loop.start();
    loop.poke();
    let hasStopped = false;
    const stopping = loop.stop().then(() => {
      hasStopped = true;
    });
    await jest.advanceTimersByTimeAsync(500);
    expect(hasStopped).toBe(false);
    last.resolve();
    await stopping;
    loop.poke();
    await jest.advanceTimersByTimeAsync(500);
    expect(rounds).toBe(1);
  });
});
