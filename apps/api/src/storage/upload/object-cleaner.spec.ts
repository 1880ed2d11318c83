import { randomUUID } from 'node:crypto';
import { PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startTestStorage, type TestStorage } from '../../../test/support/test-storage.js';
import { StorageError } from '../storage.errors.js';
import { ObjectCleaner } from './object-cleaner.js';
import { ObjectProof } from './object-proof.js';
import type { ObjectPlace } from './upload-attempt.js';

let storage: TestStorage;
let client: S3Client;

beforeAll(async () => {
  storage = await startTestStorage();
  client = storage.store.createClient();
});

afterAll(async () => {
  client.destroy();
  await storage.stop();
});

/** Whether the key is free for the one token when an object of the other stands there, and whether it still does. */
async function free(token: string, found: string): Promise<{ isFree: boolean; isThere: boolean }> {
  const place = { bucket: storage.bucket, key: `free/${randomUUID()}` };
  const Metadata = { 'transfer-token': found };
  await client.send(new PutObjectCommand({ Bucket: place.bucket, Key: place.key, Body: 'bytes', Metadata }));
  const isFree = await storage.get(ObjectCleaner).freeKey(place, token);
  return { isFree, isThere: (await storage.get(ObjectProof).find(place)) !== undefined };
}

it('removes the object of an earlier try, however late it landed', async () => {
  expect(await free('file.10', 'file.9')).toEqual({ isFree: true, isThere: false });
});

it('leaves the object of a later try alone: the one that finds it has lost the file', async () => {
  expect(await free('file.1', 'file.2')).toEqual({ isFree: false, isThere: true });
});

it('leaves its own object and those of other files alone', async () => {
  expect(await free('file.1', 'file.1')).toEqual({ isFree: false, isThere: true });
  expect(await free('file.2', 'other.1')).toEqual({ isFree: false, isThere: true });
});

it('removes what any try left for who has the file after them', async () => {
  expect(await free('file', 'file.3')).toEqual({ isFree: true, isThere: false });
});

describe('a removal', () => {
  async function put(): Promise<ObjectPlace & { etag: string }> {
    const place = { bucket: storage.bucket, key: `removal/${randomUUID()}` };
    const { ETag } = await client.send(new PutObjectCommand({ Bucket: place.bucket, Key: place.key, Body: 'bytes' }));
    return { ...place, etag: ETag?.replaceAll('"', '') ?? '' };
  }
  const isThere = async (place: ObjectPlace) => (await storage.get(ObjectProof).find(place)) !== undefined;

  it('takes the object that was seen, and leaves one alone that came after it', async () => {
    const { etag, ...place } = await put();
    const other = { etag: '00000000000000000000000000000000' };
    await expect(storage.get(ObjectCleaner).removeObject(place, other)).rejects.toMatchObject({
      code: 'OBJECT_EXISTS',
    });
    expect(await isThere(place)).toBe(true);
    await storage.get(ObjectCleaner).removeObject(place, { etag });
    expect(await isThere(place)).toBe(false);
  });

  it('is not sent by one who has lost the file', async () => {
    const place = await put();
    const assertOwned = () => Promise.reject(new StorageError('TRANSFER_LOST', 'another has it'));
    const removed = storage.get(ObjectCleaner).removeObject(place, { assertOwned });
    await expect(removed).rejects.toMatchObject({ code: 'TRANSFER_LOST' });
    expect(await storage.get(ObjectCleaner).discardObject(place, { assertOwned })).toBe(false);
    expect(await isThere(place)).toBe(true);
  });
});
