import { describe, expect, it } from '@jest/globals';
import { TEST_ENCRYPTION_KEY } from '../../../test/support/test-token.js';
import { readEnvironment } from '../../config/env.js';
import { StorageError } from '../storage.errors.js';
import { toStorageOptions } from '../storage.options.js';
import { StoreRetry } from './store-retry.js';

const WHAT = { action: 'look at', bucket: 'bucket', key: 'key' };

function createRetry(S3_RETRY_DELAY_MS: string): StoreRetry {
  const environment = readEnvironment({
    DATABASE_URL: 'postgresql://localhost/none',
    AUTH_JWT_SECRET: 'a secret of at least 32 characters',
    DATA_ENCRYPTION_KEY: TEST_ENCRYPTION_KEY,
    S3_ENDPOINT: 'http://127.0.0.1:1',
    S3_REGION: 'us-east-1',
    S3_BUCKET: 'bucket',
    S3_RETRY_DELAY_MS,
  });
  return new StoreRetry(toStorageOptions(environment));
}

/** An error as the SDK makes it; without a status the store gave no answer. */
function sdkError(name: string, status?: number, code?: string): Error {
  const metadata = status === undefined ? {} : { $metadata: { httpStatusCode: status } };
  return Object.assign(new Error(name), { name, code }, metadata);
}

/** How often a call is made that fails so each time, and what comes of it. */
async function tryOf(error: Error) {
  let calls = 0;
  const call = async () => {
    calls += 1;
    throw error;
  };
  const outcome = await createRetry('1')
    .run(call, WHAT)
    .catch((thrown: unknown) => thrown);
  return { calls, outcome };
}

describe('StoreRetry', () => {
  it.each([
    ['SlowDown', 503, undefined],
    ['InternalError', 500, undefined],
    ['TooManyRequests', 429, undefined],
    ['RequestTimeout', 400, undefined],
    ['BadDigest', 400, undefined],
    ['RequestTimeTooSkewed', 403, undefined],
    ['ConditionalRequestConflict', 409, undefined],
    ['SyntaxError', 200, undefined],
    ['TimeoutError', undefined, 'ECONNRESET'],
    ['Error', undefined, 'ECONNREFUSED'],
    ['Error', undefined, 'ENOTFOUND'],
    ['Error', undefined, 'ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC'],
  ])('makes a call again that ends with %s %s %s, eight times in all', async (name, status, code) => {
    const { calls, outcome } = await tryOf(sdkError(name, status, code));
    expect(calls).toBe(8);
    expect(outcome).toBeInstanceOf(StorageError);
  });

  it.each([
    ['AccessDenied', 403, undefined],
    ['NoSuchUpload', 404, undefined],
    ['PreconditionFailed', 412, undefined],
    ['NotImplemented', 501, undefined],
    ['PermanentRedirect', 301, undefined],
    ['Error', undefined, 'CERT_HAS_EXPIRED'],
    ['Error', undefined, 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['CredentialsProviderError', undefined, undefined],
    ['TypeError', undefined, 'ERR_INVALID_CHAR'],
  ])('makes no second call after %s %s %s', async (name, status, code) => {
    expect(await tryOf(sdkError(name, status, code))).toMatchObject({ calls: 1, outcome: expect.any(StorageError) });
  });

  it('gives the answer of the try that went well', async () => {
    let calls = 0;
    const call = async () => {
      calls += 1;
      if (calls < 3) throw sdkError('SlowDown', 503);
      return calls;
    };
    expect(await createRetry('1').run(call, WHAT)).toBe(3);
  });

  it('ends a wait with the signal', async () => {
    const cancel = new AbortController();
    const reason = new StorageError('TRANSFER_CANCELLED', 'enough');
    const call = async () => {
      setImmediate(() => cancel.abort(reason));
      throw sdkError('SlowDown', 503);
    };
    await expect(createRetry('60000').run(call, { ...WHAT, signal: cancel.signal })).rejects.toBe(reason);
  });
});
