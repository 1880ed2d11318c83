import { describe, expect, it } from '@jest/globals';
import { describeTransferError, parseTransferError, StorageError, type StorageErrorCode } from './storage.errors.js';

describe('StorageError', () => {
  it('knows from its code whether another try may go well, and what to do', () => {
    expect(new StorageError('SOURCE_TIMEOUT', 'late')).toMatchObject({ isRetryable: true });
    const error = new StorageError('INVALID_CURSOR', 'no such cursor', { cause: 'a reason' });
    expect(error).toMatchObject({ isRetryable: false, cause: 'a reason', message: 'no such cursor' });
    expect(error.advice).toContain('without a cursor');
  });

  it('may know better than its code', () => {
    expect(new StorageError('SOURCE_STATUS', 'source answered 503', { isRetryable: true }).isRetryable).toBe(true);
  });
});

describe('the error of a row', () => {
  it.each<[StorageErrorCode, boolean, string]>([
    ['SOURCE_STATUS', false, 'SOURCE_STATUS: what happened'],
    ['SOURCE_STATUS', true, 'SOURCE_STATUS: what happened; the same request may go well later'],
    ['SOURCE_UNREACHABLE', true, 'SOURCE_UNREACHABLE: what happened'],
    ['SOURCE_UNREACHABLE', false, 'SOURCE_UNREACHABLE: what happened; the same request would fail again'],
  ])('is told and read back: %s, retryable %s', (code, isRetryable, text) => {
    const message = 'what happened';
    expect(describeTransferError(new StorageError(code, message, { isRetryable }))).toBe(text);
    const parsed = parseTransferError(text);
    expect(parsed).toBeInstanceOf(StorageError);
    expect(parsed).toMatchObject({ code, message, isRetryable });
  });

  it('can be stored whatever a source put into it, and keeps its end', () => {
    const message = `\u0000${'\u{1f600}'.repeat(600)}`;
    for (const isRetryable of [true, false]) {
      const text = describeTransferError(new StorageError('SOURCE_TRUNCATED', message, { isRetryable }));
      expect(text.length).toBeLessThanOrEqual(1_000);
      expect(text.isWellFormed()).toBe(true);
      expect(text).not.toContain('\u0000');
      expect(parseTransferError(text).isRetryable).toBe(isRetryable);
    }
  });

  it('tells nothing of an error that nobody foresaw', () => {
    expect(describeTransferError(new Error('password=hunter2'))).toBe('UPLOAD_FAILED: unexpected error, see the log');
  });

  it.each([null, '', 'no code at all', 'CODE_OF_ANOTHER_VERSION: a message', 'toString: x'])(
    'is UPLOAD_FAILED where a row has %j',
    (text) => expect(parseTransferError(text).code).toBe('UPLOAD_FAILED'),
  );
});
