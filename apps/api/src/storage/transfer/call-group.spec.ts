import { describe, expect, it } from '@jest/globals';
import { DatabaseUnavailableError } from '../../prisma/database-error.js';
import { CallGroup } from './call-group.js';

/** Answers numbers with their tenfold, and keeps what it was called with. */
function groupOf(together: (calls: readonly number[]) => (number | undefined)[]) {
  const shared: (readonly number[])[] = [];
  const alone: number[] = [];
  const group = new CallGroup<number, number>({
    together: async (calls) => {
      shared.push(calls);
      return together(calls);
    },
    alone: async (call) => {
      alone.push(call);
      if (call === 13) throw new Error('13 cannot be written');
      return call * 10;
    },
  });
  return { group, shared, alone };
}

const tenfold = (calls: readonly number[]) => calls.map((call) => call * 10);

describe('calls', () => {
  it('share a statement with those of the same turn, and the next with those that come meanwhile', async () => {
    const later: Promise<number>[] = [];
    const { group, shared } = groupOf((calls) => {
      if (calls.includes(1)) later.push(group.run(3), group.run(4));
      return tenfold(calls);
    });
    expect(await Promise.all([group.run(1), group.run(2)])).toEqual([10, 20]);
    expect(await Promise.all(later)).toEqual([30, 40]);
    expect(await group.run(5)).toBe(50);
    expect(shared).toEqual([[1, 2], [3, 4], [5]]);
  });

  it('are as many as one statement takes', async () => {
    const { group, shared } = groupOf(tenfold);
    const numbers = Array.from({ length: 150 }, (_, index) => index);
    expect(await Promise.all(numbers.map((number) => group.run(number)))).toEqual(tenfold(numbers));
    expect(shared.map((calls) => calls.length)).toEqual([64, 64, 22]);
  });

  it('that the shared statement left out are carried out alone', async () => {
    const { group, alone } = groupOf((calls) => calls.map((call) => (call === 2 ? undefined : call)));
    expect(await Promise.all([group.run(1), group.run(2)])).toEqual([1, 20]);
    expect(alone).toEqual([2]);
  });

  it('are all carried out alone where one of them made the statement fail', async () => {
    const { group, alone } = groupOf(() => {
      throw new Error('one of them cannot be written');
    });
    const ended = await Promise.allSettled([group.run(1), group.run(13), group.run(2)]);
    expect(ended.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(alone).toEqual([1, 13, 2]);
  });

  it('are not carried out again when nobody knows whether they were', async () => {
    const { group, alone } = groupOf(() => {
      throw new DatabaseUnavailableError();
    });
    const ended = await Promise.allSettled([group.run(1), group.run(2)]);
    expect(ended.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(alone).toEqual([]);
  });
});
