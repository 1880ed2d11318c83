import { describe, expect, it } from '@jest/globals';
import { recogniseS3Request, type S3Operation } from '../src/index.js';

const PRESIGNED = 'X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a%2Fb&X-Amz-Signature=00&X-Amz-Expires=60';

const LINES: [S3Operation, string, string][] = [
  ['ListBuckets', 'GET', '/?x-id=ListBuckets'],
  ['CreateBucket', 'PUT', '/bucket'],
  ['HeadBucket', 'HEAD', '/bucket/'],
  ['GetBucketLocation', 'GET', '/bucket?location'],
  ['PutBucketCors', 'PUT', '/bucket?cors='],
  ['ListObjects', 'GET', '/bucket?prefix=a&delimiter=%2F'],
  ['ListObjectsV2', 'GET', '/bucket?list-type=2&prefix=a&max-keys=2'],
  ['ListMultipartUploads', 'GET', '/bucket?uploads=&key-marker=a&upload-id-marker=b'],
  ['DeleteObjects', 'POST', '/bucket?delete='],
  ['GetObject', 'GET', '/bucket/a/key?x-id=GetObject'],
  ['GetObject', 'GET', `/bucket/a/key?${PRESIGNED}&response-content-type=text%2Fplain`],
  ['HeadObject', 'HEAD', '/bucket/a/key'],
  ['PutObject', 'PUT', '/bucket/a/key?x-id=PutObject'],
  ['DeleteObject', 'DELETE', '/bucket/a/key?versionId=1'],
  ['CreateMultipartUpload', 'POST', '/bucket/a/key?uploads='],
  ['UploadPart', 'PUT', '/bucket/a/key?partNumber=7&uploadId=U%2B1&x-id=UploadPart'],
  ['UploadPart', 'PUT', `/bucket/a/key?partNumber=7&uploadId=U%2B1&${PRESIGNED}`],
  ['CompleteMultipartUpload', 'POST', '/bucket/a/key?uploadId=U%2B1'],
  ['AbortMultipartUpload', 'DELETE', '/bucket/a/key?uploadId=U%2B1&x-id=AbortMultipartUpload'],
  ['ListParts', 'GET', '/bucket/a/key?uploadId=U%2B1&part-number-marker=3&max-parts=2'],
  ['Unknown', 'DELETE', '/bucket?encryption'],
  ['Unknown', 'PUT', '/bucket/a/key?retention'],
  ['Unknown', 'POST', '/bucket'],
  ['Unknown', 'OPTIONS', '/bucket/a/key'],
];

describe('recogniseS3Request', () => {
  it.each(LINES)('%s: %s %s', (operation, method, url) => {
    const request = recogniseS3Request({ method, url, host: '127.0.0.1:9000', isCopy: false });
    expect(request).toMatchObject({ operation, method });
    if (url.includes('uploadId')) expect(request.uploadId).toBe('U+1');
    if (operation === 'UploadPart') expect(request.partNumber).toBe(7);
    if (url.includes('/a/key')) expect(request).toMatchObject({ bucket: 'bucket', key: 'a/key' });
  });

  it('tells copies by their header', () => {
    const line = { method: 'PUT', host: 'h', isCopy: true };
    expect(recogniseS3Request({ ...line, url: '/b/k' }).operation).toBe('CopyObject');
    const part = recogniseS3Request({ ...line, url: '/b/k?partNumber=1&uploadId=u' });
    expect(part.operation).toBe('UploadPartCopy');
  });

  it('decodes keys, and leaves what cannot be decoded as it is', () => {
    const line = { method: 'GET', host: 'h', isCopy: false };
    expect(recogniseS3Request({ ...line, url: '/b/%C3%BC%20%2Bx//..' }).key).toBe('ü +x//..');
    expect(recogniseS3Request({ ...line, url: '/b/%zz' }).key).toBe('%zz');
  });

  it('takes the bucket from a virtual host', () => {
    const line = { method: 'GET', url: '/a/key', isCopy: false };
    expect(recogniseS3Request({ ...line, host: 'bucket.localhost:9000' })).toMatchObject({
      operation: 'GetObject',
      bucket: 'bucket',
      key: 'a/key',
    });
  });
});
