import { describe, expect, it } from '@jest/globals';
import { addTallies, readTally, summarise } from './tally.js';

describe('summarise', () => {
  it("speaks as Jest's summary does", () => {
    expect(
      summarise(
        addTallies([
          { passed: 3, failed: 1 },
          { passed: 2, failed: 0 },
        ]),
      ),
    ).toBe('Tests: 1 failed, 5 passed, 6 total');
    expect(summarise(addTallies([{ passed: 7, failed: 0 }]))).toBe('Tests: 7 passed, 7 total');
  });
});

describe('readTally', () => {
  it.each([
    { passed: 12, failed: 0 },
    { passed: 2, failed: 10 },
  ])('reads what summarise says: %j', (tally) => expect(readTally(summarise(tally))).toEqual(tally));

  it('takes another line for no test', () => expect(readTally('3 passed')).toEqual({ passed: 0, failed: 0 }));
});
