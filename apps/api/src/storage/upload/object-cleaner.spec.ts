import { randomUUID } from 'node:crypto';
import { PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { startTestStorage, type TestStorage } from '../../../test/support/test-storage.js';
import { ObjectCleaner } from './object-cleaner.js';
import { ObjectProof } from './object-proof.js';

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
