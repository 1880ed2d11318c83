import { S3ServiceException } from '@aws-sdk/client-s3';
import { describe, expect, it } from '@jest/globals';
import { toStoreError } from './s3-error.js';

function answer(httpStatusCode: number, name: string): S3ServiceException {
  return new S3ServiceException({ name, $fault: 'client', $metadata: { httpStatusCode }, message: 'secret' });
}

describe('toStoreError', () => {
  it.each([
    [503, 'SlowDown', 'STORE_UNREACHABLE', true],
    [500, 'InternalError', 'STORE_UNREACHABLE', true],
    [501, 'NotImplemented', 'STORE_UNREACHABLE', false],
    [403, 'AccessDenied', 'STORE_ACCESS_DENIED', false],
    [403, 'RequestTimeTooSkewed', 'STORE_ACCESS_DENIED', true],
    [400, 'EntityTooLarge', 'UPLOAD_FAILED', false],
    [400, 'BadDigest', 'UPLOAD_FAILED', true],
    [429, 'TooManyRequests', 'UPLOAD_FAILED', true],
    [404, 'NoSuchKey', 'OBJECT_NOT_FOUND', false],
    [404, 'NoSuchBucket', 'BUCKET_NOT_FOUND', false],
    [412, 'PreconditionFailed', 'OBJECT_EXISTS', false],
  ])('makes of %s %s: %s, retryable %s', (status, name, code, isRetryable) => {
    const error = toStoreError(answer(status, name), 'upload of', { bucket: 'films', key: 'a.mp4' });
    expect(error).toMatchObject({ code, isRetryable });
    expect(error.message).not.toContain('secret');
  });

  it('takes a store without an answer for one that may be back later', () => {
    const error = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' });
    expect(toStoreError(error, 'look into', { bucket: 'films' })).toMatchObject({
      code: 'STORE_UNREACHABLE',
      message: 'look into bucket films failed: no answer from the store (ECONNREFUSED)',
      isRetryable: true,
    });
  });
});
