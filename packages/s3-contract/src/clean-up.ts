import {
  AbortMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  type S3Client,
} from '@aws-sdk/client-s3';

const AT_ONCE = 8;

/** Removes one object; a missing one is fine. */
export async function removeObjects(client: S3Client, Bucket: string, keys: readonly string[]): Promise<void> {
  for (let start = 0; start < keys.length; start += AT_ONCE) {
    const batch = keys.slice(start, start + AT_ONCE);
    await Promise.allSettled(batch.map((Key) => client.send(new DeleteObjectCommand({ Bucket, Key }))));
  }
}

/**
 * Removes objects and open uploads below a prefix. The uploads go after the objects: an Abort may take the bytes of an object
 * whose Complete it meets, so nothing that is kept may still be there.
 */
export async function removeBelow(client: S3Client, Bucket: string, Prefix: string): Promise<void> {
  for (;;) {
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket, Prefix, MaxKeys: 1000 }));
    const keys = Contents.map(({ Key = '' }) => Key);
    if (keys.length === 0) break;
    await removeObjects(client, Bucket, keys);
    // A store that lists what it does not delete must not hold the run for ever.
    const left = await client.send(new ListObjectsV2Command({ Bucket, Prefix, MaxKeys: 1000 }));
    if ((left.Contents ?? []).some(({ Key }) => Key === keys[0])) break;
  }
  const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket, Prefix, MaxUploads: 1000 }));
  for (const { Key, UploadId } of Uploads) {
    await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId })).catch(() => undefined); // Gone is as good.
  }
}

/** Empties and deletes a bucket that a case has made. */
export async function removeBucket(client: S3Client, Bucket: string): Promise<void> {
  await removeBelow(client, Bucket, '');
  await client.send(new DeleteBucketCommand({ Bucket }));
}
