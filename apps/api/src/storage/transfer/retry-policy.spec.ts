import { describe, expect, it } from '@jest/globals';
import { SourceFault } from '../source/source-fault.js';
import { StorageError } from '../storage.errors.js';
import { RetryPolicy } from './retry-policy.js';

const policy = new RetryPolicy({ maxAttempts: 3, retryDelayMs: 1_000 });
const passing = new StorageError('SOURCE_TIMEOUT', 'no answer');

describe('RetryPolicy', () => {
  it('waits twice as long before each further try, and ends', () => {
    for (const [retries, delayMs] of [1_000, 2_000].entries()) {
      const next = policy.next(passing, retries);
      expect(next).toBeGreaterThanOrEqual(delayMs);
      expect(next).toBeLessThanOrEqual(delayMs * 1.5);
    }
    expect(policy.next(passing, 2)).toBeNull();
  });

  it('tries nothing again that cannot go better', () => {
    expect(policy.next(new StorageError('SOURCE_TOO_LARGE', 'too many bytes'), 0)).toBeNull();
    expect(policy.next(new StorageError('SOURCE_TIMEOUT', 'no answer', { isRetryable: false }), 0)).toBeNull();
    expect(policy.next(new TypeError('a fault of this program'), 0)).toBeNull();
  });

  it('comes back no earlier than the source asks, and within a day', () => {
    const askedFor = (retryAfterMs: number) =>
      policy.next(new SourceFault('SOURCE_STATUS', 'source answered 503', 'retry', { retryAfterMs }), 0);
    expect(askedFor(120_000)).toBe(120_000);
    expect(askedFor(7 * 86_400_000)).toBe(86_400_000);
    expect(askedFor(1)).toBeGreaterThanOrEqual(1_000);
  });
});
