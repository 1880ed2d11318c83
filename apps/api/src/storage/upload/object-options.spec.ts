import { describe, expect, it } from '@jest/globals';
import { assertObjectOptions, type ObjectOptions, objectHeaders } from './object-options.js';

const INVALID: [field: string, options: ObjectOptions][] = [
  ['storageClass', { storageClass: 'cold\r\nx: y' }],
  ['storageClass', { storageClass: 'DEEP_ARCHIVE' }],
  ['serverSideEncryption', { serverSideEncryption: 'rot13' as 'AES256' }],
  ['kmsKeyId', { kmsKeyId: 'key' }],
  ['kmsKeyId', { kmsKeyId: 'key', serverSideEncryption: 'AES256' }],
  ['kmsKeyId', { kmsKeyId: 'a\nb', serverSideEncryption: 'aws:kms' }],
  ['tags', { tags: Object.fromEntries(Array.from({ length: 11 }, (_, index) => [`t${index}`, ''])) }],
  ['tags', { tags: { '': 'x' } }],
  ['tags', { tags: { a: 'x'.repeat(257) } }],
  ['tags', { tags: { a: 'x?' } }],
  ['tags', { tags: { a: 1 as unknown as string } }],
  ['cacheControl', { cacheControl: 'max-age=1\r\nx: y' }],
  ['contentDisposition', { contentDisposition: 'é' }],
];

describe('assertObjectOptions', () => {
  it.each(INVALID)('names %s in %j', (field, options) => {
    expect(() => assertObjectOptions(options, 'video/mp4')).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringContaining(`object.${field} `) }),
    );
  });

  it('takes what stores take', () => {
    const options: ObjectOptions = {
      storageClass: 'STANDARD_IA',
      serverSideEncryption: 'aws:kms',
      kmsKeyId: 'arn:aws:kms:eu-west-3:111122223333:key/1',
      tags: { team: 'Équipe vidéo', 'a:b': '' },
      cacheControl: 'private, max-age=60',
      contentDisposition: 'inline',
    };
    expect(() => assertObjectOptions(options, 'video/mp4')).not.toThrow();
    expect(() => assertObjectOptions({}, 'text/html')).not.toThrow();
  });

  it('never lets a type that can run scripts be shown', () => {
    const html = (contentDisposition: string) => () => assertObjectOptions({ contentDisposition }, 'text/html');
    expect(html('inline')).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
    expect(html('attachments')).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
    expect(html('attachment; filename="a.html"')).not.toThrow();
  });
});

describe('objectHeaders', () => {
  it('says nothing that nobody asked for', () => {
    expect(objectHeaders('video/mp4', null)).toEqual({ ContentType: 'video/mp4' });
    expect(objectHeaders('text/html', 'gzip')).toEqual({
      ContentType: 'text/html',
      ContentDisposition: 'attachment',
      ContentEncoding: 'gzip',
    });
  });

  it('carries every option', () => {
    const options: ObjectOptions = {
      storageClass: 'STANDARD_IA',
      serverSideEncryption: 'aws:kms',
      kmsKeyId: 'key',
      tags: { a: 'b c', d: '&' },
      cacheControl: 'no-store',
      contentDisposition: 'attachment; filename="x"',
    };
    expect(objectHeaders('text/html', null, options)).toEqual({
      ContentType: 'text/html',
      StorageClass: 'STANDARD_IA',
      ServerSideEncryption: 'aws:kms',
      SSEKMSKeyId: 'key',
      Tagging: 'a=b+c&d=%26',
      CacheControl: 'no-store',
      ContentDisposition: 'attachment; filename="x"',
    });
  });
});
