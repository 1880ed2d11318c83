import { randomBytes } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { FAULT_NAMES, FAULTS, type FaultName, type S3Call } from '../src/index.js';
import {
  BUCKET,
  clientOf,
  type StoreUnderFaults,
  startStoreUnderFaults,
  uniqueKey,
} from './support/store-under-faults.js';

const KIB = 1024;
const IMPATIENT_MS = 150;
/** By message: the SDK names both a TimeoutError. */
const RESET = /ECONNRESET|EPIPE|socket hang up/;
const IMPATIENCE = /exceeded the configured 150 ms requestTimeout/;

let store: StoreUnderFaults;
let impatient: S3Client;
beforeAll(async () => {
  store = await startStoreUnderFaults();
  impatient = clientOf(store.proxy.endpoint, {
    requestHandler: { requestTimeout: IMPATIENT_MS, throwOnRequestTimeout: true },
  });
});
afterEach(() => store.proxy.clear());
afterAll(async () => {
  impatient.destroy();
  await store.stop();
});

/** What each fault does to the AWS SDK and to the store; the name of the test is the fault's title. */
const CHECKS: Record<FaultName, () => Promise<void>> = {
  'reset-before-forward': async () => {
    const upload = await startUpload();
    store.proxy.inject({ fault: 'reset-before-forward', operation: 'UploadPart' });
    await expect(upload.part(1)).rejects.toThrow(RESET);
    expect(lastCall('UploadPart')).toMatchObject({ isForwarded: false, status: undefined });
    expect(await upload.storedParts()).toEqual([]);
    await upload.part(1);
  },
  'reset-in-request-body': async () => {
    const upload = await startUpload();
    store.proxy.inject({ fault: 'reset-in-request-body', parameters: { bytes: 100 * KIB } });
    await expect(upload.part(1, randomBytes(300 * KIB))).rejects.toThrow(RESET);
    expect(lastCall('UploadPart')).toMatchObject({ isForwarded: true, storeStatus: undefined, status: undefined });
    expect(await upload.storedParts()).toEqual([]);
  },
  'create-answer-lost': async () => {
    store.proxy.inject({ fault: 'create-answer-lost' });
    const Key = uniqueKey();
    const create = store.client.send(new CreateMultipartUploadCommand({ Bucket: BUCKET, Key }));
    await expect(create).rejects.toThrow(RESET);
    expect(lastCall('CreateMultipartUpload')).toMatchObject({ storeStatus: 200, status: undefined });
    expect(await uploadsOf(Key)).toHaveLength(1);
  },
  'part-answer-lost': async () => {
    const upload = await startUpload();
    store.proxy.inject({ fault: 'part-answer-lost' });
    await expect(upload.part(1)).rejects.toThrow(RESET);
    expect(await upload.storedParts()).toEqual([1]);
  },
  'complete-answer-lost': async () => {
    const upload = await startUpload();
    await upload.part(1);
    store.proxy.inject({ fault: 'complete-answer-lost', times: 2 });
    await expect(upload.complete()).rejects.toThrow(RESET);
    await expect(upload.complete()).rejects.toThrow(RESET);
    expect(await isInStore(upload.key)).toBe(true);
    expect(lastCall('CompleteMultipartUpload')).toMatchObject({ attempt: 2 });
  },
  'put-answer-lost': async () => {
    store.proxy.inject({ fault: 'put-answer-lost' });
    const Key = uniqueKey();
    const put = store.client.send(new PutObjectCommand({ Bucket: BUCKET, Key, Body: 'text' }));
    await expect(put).rejects.toThrow(RESET);
    expect(await isInStore(Key)).toBe(true);
  },
  'abort-answer-lost': async () => {
    const upload = await startUpload();
    store.proxy.inject({ fault: 'abort-answer-lost' });
    await expect(upload.abort()).rejects.toThrow(RESET);
    expect(await uploadsOf(upload.key)).toEqual([]);
  },
  'delete-answer-lost': async () => {
    const Key = await storedObject();
    store.proxy.inject({ fault: 'delete-answer-lost' });
    const removal = store.client.send(new DeleteObjectCommand({ Bucket: BUCKET, Key }));
    await expect(removal).rejects.toThrow(RESET);
    expect(await isInStore(Key)).toBe(false);
  },
  'black-hole-before-forward': async () => {
    const upload = await startUpload(impatient);
    store.proxy.inject({ fault: 'black-hole-before-forward', operation: 'UploadPart' });
    await expect(upload.part(1)).rejects.toThrow(IMPATIENCE);
    expect(lastCall('UploadPart')).toMatchObject({ isForwarded: false, status: undefined });
    expect(await upload.storedParts()).toEqual([]);
  },
  'black-hole-after-forward': async () => {
    const upload = await startUpload(impatient);
    store.proxy.inject({ fault: 'black-hole-after-forward', operation: 'UploadPart' });
    await expect(upload.part(1)).rejects.toThrow(IMPATIENCE);
    expect(lastCall('UploadPart')).toMatchObject({ storeStatus: 200, status: undefined });
    expect(await upload.storedParts()).toEqual([1]);
  },
  'black-hole-in-request-body': async () => {
    const upload = await startUpload(impatient);
    store.proxy.inject({ fault: 'black-hole-in-request-body', parameters: { bytes: 100 * KIB } });
    await expect(upload.part(1, randomBytes(300 * KIB))).rejects.toThrow(IMPATIENCE);
    expect(lastCall('UploadPart')).toMatchObject({ isForwarded: true, storeStatus: undefined, status: undefined });
    expect(await upload.storedParts()).toEqual([]);
  },
  'slow-upload-link': async () => {
    const upload = await startUpload();
    store.proxy.inject({ fault: 'slow-upload-link', parameters: { bytesPerSecond: 500 * KIB } });
    const start = performance.now();
    await upload.part(1, randomBytes(150 * KIB));
    expect(performance.now() - start).toBeGreaterThan(250);
    expect(await upload.storedParts()).toEqual([1]);
  },
};

describe.each(FAULT_NAMES.map((name) => ({ name, title: FAULTS[name].title })))('$name', ({ name, title }) => {
  it(`${title}`, async () => {
    const before = store.proxy.counts[name];
    await CHECKS[name]();
    expect(store.proxy.counts[name]).toBeGreaterThan(before);
  });
});

interface UploadUnderTest {
  readonly key: string;
  part(partNumber: number, body?: Buffer): Promise<unknown>;
  complete(): Promise<unknown>;
  abort(): Promise<unknown>;
  /** As the store itself lists them. */
  storedParts(): Promise<(number | undefined)[]>;
}

async function startUpload(client = store.client): Promise<UploadUnderTest> {
  const Key = uniqueKey();
  const { UploadId } = await client.send(
    new CreateMultipartUploadCommand({ Bucket: BUCKET, Key, Metadata: { token: 'of-this-upload' } }),
  );
  const upload = { Bucket: BUCKET, Key, UploadId };
  const Parts: CompletedPart[] = [];
  return {
    key: Key,
    part: async (PartNumber, Body = randomBytes(KIB)) => {
      const answer = await client.send(new UploadPartCommand({ ...upload, PartNumber, Body }));
      Parts.push({ PartNumber, ETag: answer.ETag });
      return answer;
    },
    complete: () => client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } })),
    abort: () => client.send(new AbortMultipartUploadCommand(upload)),
    storedParts: async () => {
      const { Parts: stored = [] } = await store.direct.send(new ListPartsCommand(upload));
      return stored.map(({ PartNumber }) => PartNumber);
    },
  };
}

async function storedObject(): Promise<string> {
  const Key = uniqueKey();
  await store.direct.send(new PutObjectCommand({ Bucket: BUCKET, Key, Body: 'a stored object' }));
  return Key;
}

async function isInStore(Key: string): Promise<boolean> {
  try {
    await store.direct.send(new HeadObjectCommand({ Bucket: BUCKET, Key }));
    return true;
  } catch (error) {
    expect(error).toMatchObject({ name: 'NotFound' });
    return false;
  }
}

async function uploadsOf(Prefix: string): Promise<(string | undefined)[]> {
  const { Uploads = [] } = await store.direct.send(new ListMultipartUploadsCommand({ Bucket: BUCKET, Prefix }));
  return Uploads.map(({ UploadId }) => UploadId);
}

function lastCall(operation: S3Call['operation']): S3Call | undefined {
  return store.proxy.calls.findLast((call) => call.operation === operation);
}
