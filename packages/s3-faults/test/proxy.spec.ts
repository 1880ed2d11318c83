import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { BUCKET, type StoreUnderFaults, startStoreUnderFaults, uniqueKey } from './support/store-under-faults.js';

const MIB = 1024 ** 2;

let store: StoreUnderFaults;
beforeAll(async () => {
  store = await startStoreUnderFaults();
});
afterAll(() => store.stop());

describe('without rules', () => {
  it('lets a multipart upload through unchanged, signatures included, and logs it', async () => {
    const { client, proxy } = store;
    const Key = `${uniqueKey('a folder/ü')}+&=?.bin`;
    const parts = [randomBytes(5 * MIB), randomBytes(100)];
    const { UploadId } = await client.send(
      new CreateMultipartUploadCommand({ Bucket: BUCKET, Key, Metadata: { token: 'of-this-upload' } }),
    );
    const done = [];
    for (const [index, Body] of parts.entries()) {
      const PartNumber = index + 1;
      const { ETag } = await client.send(new UploadPartCommand({ Bucket: BUCKET, Key, UploadId, PartNumber, Body }));
      done.push({ PartNumber, ETag });
    }
    const upload = { Bucket: BUCKET, Key, UploadId, MultipartUpload: { Parts: done } };
    await client.send(new CompleteMultipartUploadCommand(upload));
    const { ContentLength, Metadata } = await client.send(new HeadObjectCommand({ Bucket: BUCKET, Key }));
    const { Body } = await client.send(new GetObjectCommand({ Bucket: BUCKET, Key }));

    expect(ContentLength).toBe(5 * MIB + 100);
    expect(Metadata).toEqual({ token: 'of-this-upload' });
    const received = (await Body?.transformToByteArray()) ?? new Uint8Array();
    expect(sha256(received)).toBe(sha256(Buffer.concat(parts)));
    const common = { bucket: BUCKET, key: Key, attempt: 1, fault: undefined, isForwarded: true, status: 200 };
    expect(proxy.calls).toEqual([
      expect.objectContaining({ ...common, operation: 'CreateMultipartUpload' }),
      expect.objectContaining({ ...common, operation: 'UploadPart', partNumber: 1, uploadId: UploadId }),
      expect.objectContaining({ ...common, operation: 'UploadPart', partNumber: 2, uploadId: UploadId }),
      expect.objectContaining({ ...common, operation: 'CompleteMultipartUpload', uploadId: UploadId }),
      expect.objectContaining({ ...common, operation: 'HeadObject' }),
      expect.objectContaining({ ...common, operation: 'GetObject', storeStatus: 200 }),
    ]);
  });

  it('lets presigned URLs, streamed bodies and errors of the store through', async () => {
    const { client } = store;
    const Key = uniqueKey();
    const body = randomBytes(3 * MIB);
    await client.send(
      new PutObjectCommand({ Bucket: BUCKET, Key, Body: Readable.from([body]), ContentLength: body.length }),
    );
    const url = await getSignedUrl(client, new GetObjectCommand({ Bucket: BUCKET, Key }));
    const answer = await fetch(url, { headers: { range: 'bytes=10-19' } });
    expect(answer.status).toBe(206);
    expect(Buffer.from(await answer.arrayBuffer())).toEqual(body.subarray(10, 20));

    const missing = client.send(new GetObjectCommand({ Bucket: BUCKET, Key: uniqueKey('missing') }));
    await expect(missing).rejects.toMatchObject({ name: 'NoSuchKey' });
    await expect(client.send(new ListObjectsV2Command({ Bucket: 'no-such-bucket' }))).rejects.toMatchObject({
      name: 'NoSuchBucket',
    });
  });
});

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
