import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Agent, get, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  type CompleteMultipartUploadCommandOutput,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
  type UploadPartCommandOutput,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
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
const SILENCE_MS = 150;
/** Longer than a busy machine takes to answer, shorter than complete-slow is made to take. */
const IMPATIENT_MS = 800;
/** By message: the SDK names it a TimeoutError. */
const RESET = /ECONNRESET|EPIPE|socket hang up/;

let store: StoreUnderFaults;
let impatient: S3Client;
const keptAlive = new Agent({ keepAlive: true });
beforeAll(async () => {
  store = await startStoreUnderFaults();
  impatient = clientOf(store.proxy.endpoint, {
    requestHandler: { requestTimeout: IMPATIENT_MS, throwOnRequestTimeout: true },
  });
});
afterEach(() => store.proxy.clear());
afterAll(async () => {
  impatient.destroy();
  keptAlive.destroy();
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
    store.proxy.inject({ fault: 'reset-in-request-body' });
    await expect(upload.part(1, randomBytes(KIB))).rejects.toThrow(RESET);
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
    const upload = await startUpload();
    store.proxy.inject({ fault: 'black-hole-before-forward', operation: 'UploadPart' });
    await expectSilence(upload.key, randomBytes(KIB), upload.part);
    expect(lastCall('UploadPart')).toMatchObject({ isForwarded: false, status: undefined });
    expect(await upload.storedParts()).toEqual([]);
  },
  'black-hole-after-forward': async () => {
    const upload = await startUpload();
    store.proxy.inject({ fault: 'black-hole-after-forward', operation: 'UploadPart' });
    await expectSilence(upload.key, randomBytes(KIB), upload.part, ({ storeStatus }) => storeStatus === 200);
    expect(lastCall('UploadPart')).toMatchObject({ storeStatus: 200, status: undefined });
    expect(await upload.storedParts()).toEqual([1]);
  },
  'black-hole-in-request-body': async () => {
    const upload = await startUpload();
    store.proxy.inject({ fault: 'black-hole-in-request-body', parameters: { bytes: 100 * KIB, ms: 300 } });
    await expectSilence(upload.key, randomBytes(300 * KIB), upload.part, ({ isForwarded }) => isForwarded);
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
  'read-answer-lost': async () => {
    const Key = await storedObject();
    store.proxy.inject({ fault: 'read-answer-lost' });
    await expect(head(Key)).rejects.toThrow(RESET);
    expect(lastCall('HeadObject')).toMatchObject({ storeStatus: 200, status: undefined });
    await head(Key);
  },
  'black-hole-in-answer': async () => {
    const Key = await storedObject('0123456789');
    store.proxy.inject({ fault: 'black-hole-in-answer', parameters: { bytes: 4 } });
    const { headers, body, socket } = await openGet(Key);
    expect(headers['content-length']).toBe('10');
    const { done, value } = await body.next();
    expect({ done, text: String(value) }).toEqual({ done: false, text: '0123' });
    const rest = body.next();
    expect(await Promise.race([rest, setTimeout(SILENCE_MS, 'silence')])).toBe('silence');
    socket.destroy();
    await expect(rest).rejects.toThrow('aborted');
  },
  'answer-cut': async () => {
    store.proxy.inject({ fault: 'answer-cut' });
    const Key = uniqueKey();
    const create = store.client.send(new CreateMultipartUploadCommand({ Bucket: BUCKET, Key }));
    await expect(create).rejects.toThrow(/aborted/);
    expect(lastCall('CreateMultipartUpload')).toMatchObject({ status: 200 });
    expect(await uploadsOf(Key)).toHaveLength(1);
  },
  'answer-not-http': async () => {
    store.proxy.inject({ fault: 'answer-not-http', operation: 'HeadObject' });
    await expect(head(uniqueKey())).rejects.toThrow(/Parse Error/);
    expect(lastCall('HeadObject')).toMatchObject({ isForwarded: false, status: undefined });
  },
  'keep-alive-closed': async () => {
    const Key = await storedObject('text');
    store.proxy.inject({ fault: 'keep-alive-closed', operation: 'GetObject' });
    const { headers, body, socket } = await openGet(Key, keptAlive);
    const closed = once(socket, 'close');
    expect(await textOf(body)).toBe('text');
    expect(headers.connection).toBe('keep-alive');
    await closed;
  },
  'keep-alive-reset-on-reuse': async () => {
    const Key = await storedObject('text');
    store.proxy.inject({ fault: 'keep-alive-reset-on-reuse', operation: 'GetObject' });
    const { headers, body } = await openGet(Key, keptAlive);
    expect(await textOf(body)).toBe('text');
    expect(headers.connection).toBe('keep-alive');
    await expect(openGet(Key, keptAlive)).rejects.toThrow(RESET);
    expect(lastCall('GetObject')).toMatchObject({ fault: 'keep-alive-reset-on-reuse', isForwarded: false });
    expect(await textOf((await openGet(Key, keptAlive)).body)).toBe('text');
  },
  'refuse-connections': async () => {
    const Key = await storedObject();
    await head(Key); // Leaves a connection, which must go too.
    const start = performance.now();
    store.proxy.inject({ fault: 'refuse-connections', parameters: { ms: 300 } });
    await expect(head(Key)).rejects.toThrow(RESET);
    await expect(head(Key)).rejects.toThrow(/ECONNREFUSED/);
    await untilShown(Key);
    expect(performance.now() - start).toBeGreaterThan(295);
  },
  'slow-answer': async () => {
    const Key = await storedObject();
    const start = performance.now();
    store.proxy.inject({ fault: 'slow-answer', operation: 'HeadObject', parameters: { ms: 200 } });
    await head(Key);
    expect(performance.now() - start).toBeGreaterThan(195);
  },
  'internal-error': async () => {
    const upload = await startUpload();
    store.proxy.inject({ fault: 'internal-error', operation: 'UploadPart' });
    await expect(upload.part(1)).rejects.toMatchObject(refusal('InternalError', 500));
    expect(await upload.storedParts()).toEqual([]);
    await upload.part(1);
  },
  'internal-error-after-forward': async () => {
    const upload = await startUpload();
    await upload.part(1);
    store.proxy.inject({ fault: 'internal-error-after-forward', operation: 'CompleteMultipartUpload' });
    await expect(upload.complete()).rejects.toMatchObject(refusal('InternalError', 500));
    expect(lastCall('CompleteMultipartUpload')).toMatchObject({ storeStatus: 200, status: 500 });
    expect(await isInStore(upload.key)).toBe(true);
  },
  'slow-down': async () => {
    const upload = await startUpload();
    store.proxy.inject({ fault: 'slow-down', operation: 'UploadPart', times: 3 });
    for (let burst = 0; burst < 3; burst += 1) {
      await expect(upload.part(1)).rejects.toMatchObject(refusal('SlowDown', 503));
    }
    await upload.part(1);
    store.proxy.inject({ fault: 'slow-down', parameters: { retryAfterSeconds: 7 } });
    expect((await plainGet()).headers.get('retry-after')).toBe('7');
  },
  'unavailable-without-body': async () => {
    store.proxy.inject({ fault: 'unavailable-without-body' });
    const answer = await plainGet();
    expect({ status: answer.status, body: await answer.text() }).toEqual({ status: 503, body: '' });
  },
  'too-many-requests': async () => {
    store.proxy.inject({ fault: 'too-many-requests' });
    const answer = await plainGet();
    expect({ status: answer.status, retryAfter: answer.headers.get('retry-after') }).toEqual({
      status: 429,
      retryAfter: '1',
    });
    expect(await answer.text()).toContain('<Code>TooManyRequests</Code>');
  },
  'request-timeout': async () => {
    const upload = await startUpload();
    store.proxy.inject({ fault: 'request-timeout', operation: 'UploadPart' });
    await expect(upload.part(1)).rejects.toMatchObject(refusal('RequestTimeout', 400));
    store.proxy.inject({ fault: 'request-timeout' });
    expect((await plainGet()).headers.get('connection')).toBe('close');
  },
  'store-full': async () => {
    const upload = await startUpload();
    store.proxy.inject({ fault: 'store-full', operation: 'UploadPart' });
    await expect(upload.part(1)).rejects.toMatchObject(refusal('InsufficientStorage', 507));
    expect(await upload.storedParts()).toEqual([]);
  },
  'access-denied': async () => {
    const upload = await startUpload();
    store.proxy.inject({ fault: 'access-denied', operation: 'UploadPart' });
    await expect(upload.part(1)).rejects.toMatchObject(refusal('AccessDenied', 403));
    expect(await upload.storedParts()).toEqual([]);
  },
  'clock-skew': async () => {
    const upload = await startUpload();
    store.proxy.inject({ fault: 'clock-skew', operation: 'UploadPart' });
    await expect(upload.part(1)).rejects.toMatchObject(refusal('RequestTimeTooSkewed', 403));
    store.proxy.inject({ fault: 'clock-skew', parameters: { dateShiftMs: 3_600_000 } });
    const date = Date.parse((await plainGet()).headers.get('date') ?? '');
    expect(date - Date.now()).toBeGreaterThan(3_590_000);
  },
  'permanent-redirect': async () => {
    const Key = await storedObject();
    store.proxy.inject({ fault: 'permanent-redirect', operation: 'GetObject' });
    const get = store.client.send(new GetObjectCommand({ Bucket: BUCKET, Key }));
    await expect(get).rejects.toMatchObject(refusal('PermanentRedirect', 301));
  },
  'early-answer-413': () => checkEarlyAnswer('early-answer-413', 'HTTP/1.1 413'),
  'early-answer-503': () => checkEarlyAnswer('early-answer-503', 'HTTP/1.1 503'),
  'abort-refused': async () => {
    const upload = await startUpload();
    store.proxy.inject({ fault: 'abort-refused' });
    store.proxy.inject({ fault: 'abort-refused', times: 2, parameters: { status: 500 } });
    await expect(upload.abort()).rejects.toMatchObject(refusal('AccessDenied', 403));
    await expect(upload.abort()).rejects.toMatchObject(refusal('InternalError', 500));
    await expect(upload.abort()).rejects.toMatchObject(refusal('InternalError', 500));
    expect(await uploadsOf(upload.key)).toHaveLength(1);
    await upload.abort();
  },
  'list-parts-refused': async () => {
    const upload = await startUpload();
    store.proxy.inject({ fault: 'list-parts-refused' });
    await expect(upload.listParts()).rejects.toMatchObject(refusal('AccessDenied', 403));
    await upload.listParts();
  },
  'head-unavailable': async () => {
    const Key = await storedObject();
    store.proxy.inject({ fault: 'head-unavailable', times: 2 });
    await expect(head(Key)).rejects.toMatchObject({ $metadata: { httpStatusCode: 503 } });
    await expect(head(Key)).rejects.toMatchObject({ $metadata: { httpStatusCode: 503 } });
    await head(Key);
  },
  'create-empty-body': async () => {
    store.proxy.inject({ fault: 'create-empty-body' });
    const Key = uniqueKey();
    const created = await store.client.send(new CreateMultipartUploadCommand({ Bucket: BUCKET, Key }));
    expect(created.UploadId).toBeUndefined();
    expect(await uploadsOf(Key)).toHaveLength(1);
  },
  'create-html': async () => {
    store.proxy.inject({ fault: 'create-html' });
    const Key = uniqueKey();
    const created = await store.client.send(new CreateMultipartUploadCommand({ Bucket: BUCKET, Key }));
    expect(created.UploadId).toBeUndefined();
    expect(await uploadsOf(Key)).toEqual([]);
  },
  'upload-id-unknown': async () => {
    const upload = await startUpload();
    store.proxy.inject({ fault: 'upload-id-unknown', partNumber: 2 });
    await upload.part(1);
    await expect(upload.part(2)).rejects.toMatchObject(refusal('NoSuchUpload', 404));
    expect(await upload.storedParts()).toEqual([1]);
  },
  'upload-aborted-at-store': async () => {
    const upload = await startUpload();
    store.proxy.inject({ fault: 'upload-aborted-at-store', partNumber: 2 });
    await upload.part(1);
    await expect(upload.part(2)).rejects.toMatchObject(refusal('NoSuchUpload', 404));
    await expect(upload.listParts()).rejects.toMatchObject(refusal('NoSuchUpload', 404));
  },
  'part-wrong-etag': async () => {
    const upload = await startUpload();
    store.proxy.inject({ fault: 'part-wrong-etag' });
    const body = randomBytes(KIB);
    const { ETag } = await upload.part(1, body);
    expect(ETag).toMatch(/^"[0-9a-f]{32}"$/);
    expect(ETag).not.toBe(etagOf(body));
    await expect(upload.complete()).rejects.toMatchObject(refusal('InvalidPart', 400));
  },
  'part-without-etag': async () => {
    const upload = await startUpload();
    store.proxy.inject({ fault: 'part-without-etag' });
    expect((await upload.part(1)).ETag).toBeUndefined();
    expect(await upload.storedParts()).toEqual([1]);
  },
  'body-bit-flipped': async () => {
    const upload = await startUpload();
    store.proxy.inject({ fault: 'body-bit-flipped', parameters: { offset: 70 * KIB } });
    const body = randomBytes(100 * KIB);
    await expect(upload.part(1, body)).rejects.toMatchObject({ $metadata: { httpStatusCode: 400 } });
    expect(await upload.storedParts()).toEqual([]);
    expect((await upload.part(1, body)).ETag).toBe(etagOf(body));
  },
  'abort-ignored': async () => {
    const upload = await startUpload();
    store.proxy.inject({ fault: 'abort-ignored' });
    await upload.abort();
    expect(lastCall('AbortMultipartUpload')).toMatchObject({ status: 204, isForwarded: false });
    expect(await uploadsOf(upload.key)).toHaveLength(1);
  },
  'complete-200-error': () => checkFalseSuccess('complete-200-error', { isNoticed: true, isMade: false }),
  'complete-200-error-newline': () =>
    checkFalseSuccess('complete-200-error-newline', { isNoticed: false, isMade: false }),
  'complete-200-html': () => checkFalseSuccess('complete-200-html', { isNoticed: false, isMade: false }),
  'complete-200-error-after-forward': () =>
    checkFalseSuccess('complete-200-error-after-forward', { isNoticed: true, isMade: true }),
  'complete-200-error-newline-after-forward': () =>
    checkFalseSuccess('complete-200-error-newline-after-forward', { isNoticed: false, isMade: true }),
  'complete-200-html-after-forward': () =>
    checkFalseSuccess('complete-200-html-after-forward', { isNoticed: false, isMade: true }),
  'complete-slow': async () => {
    // Its patience with a silent store is shorter than the fault: only the early status and the white space keep it.
    const upload = await startUpload(impatient);
    await upload.part(1);
    store.proxy.inject({ fault: 'complete-slow', parameters: { ms: 1200, everyMs: 50 } });
    const start = performance.now();
    const { ETag } = await upload.complete();
    expect(performance.now() - start).toBeGreaterThan(1195);
    expect(ETag).toMatch(/^"[0-9a-f]{32}-1"$/);
    expect(await isInStore(upload.key)).toBe(true);
  },
  'complete-slow-error': async () => {
    const upload = await startUpload();
    await upload.part(1);
    store.proxy.inject({ fault: 'complete-slow-error', parameters: { ms: 200, everyMs: 50 } });
    await expect(upload.complete()).rejects.toMatchObject({ name: 'InternalError' });
    expect(await isInStore(upload.key)).toBe(false);
  },
  'complete-in-progress': async () => {
    const upload = await startUpload();
    await upload.part(1);
    store.proxy.inject({ fault: 'complete-in-progress', times: 2 });
    const refused = { ...refusal('InternalError', 500), message: expect.stringContaining('already in progress') };
    await expect(upload.complete()).rejects.toMatchObject(refused);
    expect(await isInStore(upload.key)).toBe(true);
    await expect(upload.complete()).rejects.toMatchObject(refused);
    expect(lastCall('CompleteMultipartUpload')).toMatchObject({ attempt: 2, isForwarded: false });
    await upload.complete();

    const never = await startUpload();
    await never.part(1);
    store.proxy.inject({ fault: 'complete-in-progress', parameters: { isCarriedOut: false } });
    await expect(never.complete()).rejects.toMatchObject(refused);
    expect(await isInStore(never.key)).toBe(false);
  },
  'complete-answer-lost-then-gone': async () => {
    const upload = await startUpload();
    await upload.part(1);
    store.proxy.inject({ fault: 'complete-answer-lost-then-gone' });
    await expect(upload.complete()).rejects.toThrow(RESET);
    await expect(upload.complete()).rejects.toMatchObject(refusal('NoSuchUpload', 404));
    expect(await isInStore(upload.key)).toBe(true);
  },
  'complete-carried-out-late': async () => {
    const upload = await startUpload();
    await upload.part(1);
    store.proxy.inject({ fault: 'complete-carried-out-late', parameters: { ms: 200 } });
    await expect(upload.complete()).rejects.toThrow(RESET);
    expect(await isInStore(upload.key)).toBe(false);
    await store.proxy.waitForCall(({ key, storeStatus, operation }) => {
      return key === upload.key && operation === 'CompleteMultipartUpload' && storeStatus === 200;
    });
    expect(await isInStore(upload.key)).toBe(true);
  },
  'complete-cut-off': async () => {
    const upload = await startUpload();
    await upload.part(1);
    store.proxy.inject({ fault: 'complete-cut-off', parameters: { ms: 50 } });
    await expect(upload.complete()).rejects.toThrow(RESET);
    expect(lastCall('CompleteMultipartUpload')).toMatchObject({ isForwarded: true, status: undefined });
  },
  'complete-without-etag': async () => {
    const upload = await startUpload();
    await upload.part(1);
    store.proxy.inject({ fault: 'complete-without-etag' });
    const { ETag, Key } = await upload.complete();
    expect({ ETag, Key }).toEqual({ ETag: undefined, Key: upload.key });
    expect(await isInStore(upload.key)).toBe(true);
  },
  'head-without-metadata': async () => {
    const upload = await startUpload();
    await upload.part(1);
    await upload.complete();
    store.proxy.inject({ fault: 'head-without-metadata' });
    expect((await head(upload.key)).Metadata).toEqual({});
    expect((await head(upload.key)).Metadata).toEqual({ token: 'of-this-upload' });
  },
  'head-wrong-size': async () => {
    const Key = await storedObject('0123456789');
    store.proxy.inject({ fault: 'head-wrong-size', parameters: { addedBytes: 5 } });
    expect((await head(Key)).ContentLength).toBe(15);
    expect((await head(Key)).ContentLength).toBe(10);
  },
  'read-bit-flipped': async () => {
    const Key = await storedObject('0123456789');
    store.proxy.inject({ fault: 'read-bit-flipped', parameters: { offset: 2 } });
    expect(await textOf((await openGet(Key)).body)).toBe('0133456789');
    expect(await textOf((await openGet(Key)).body)).toBe('0123456789');
  },
  'object-destroyed': async () => {
    for (const [status, name] of [
      [404, 'NoSuchKey'],
      [409, 'BrokenMPU'],
    ] as const) {
      const upload = await startUpload();
      await upload.part(1);
      store.proxy.inject({ fault: 'object-destroyed', parameters: { status } });
      await upload.complete();
      const object = { Bucket: BUCKET, Key: upload.key };
      const get = () => store.client.send(new GetObjectCommand(object));
      await head(upload.key);
      await expect(get()).rejects.toMatchObject(refusal(name, status));
      await upload.complete(); // Once more makes nothing new.
      await expect(get()).rejects.toMatchObject(refusal(name, status));
      await store.client.send(new DeleteObjectCommand(object));
      await store.client.send(new PutObjectCommand({ ...object, Body: 'new' }));
      expect(await (await get()).Body?.transformToString()).toBe('new');
    }
  },
  'object-appears-late': async () => {
    const upload = await startUpload();
    await upload.part(1);
    store.proxy.inject({ fault: 'object-appears-late', parameters: { ms: 300 } });
    const start = performance.now();
    await upload.complete();
    await expect(head(upload.key)).rejects.toMatchObject({ name: 'NotFound' });
    expect(lastCall('HeadObject')).toMatchObject({ fault: 'object-appears-late', status: 404 });
    await untilShown(upload.key);
    expect(performance.now() - start).toBeGreaterThan(295);
  },
};

it('has a check for every fault', () => {
  expect(Object.keys(CHECKS).sort()).toEqual([...FAULT_NAMES].sort());
});

describe.each(FAULT_NAMES.map((name) => ({ name, title: FAULTS[name].title })))('$name', ({ name, title }) => {
  it(`${title}`, async () => {
    const before = store.proxy.counts[name];
    await CHECKS[name]();
    expect(store.proxy.counts[name]).toBeGreaterThan(before);
  });
});

/** Nothing comes for a while after the fault has `reached` its end; then the client leaves, and the proxy notices. */
async function expectSilence(
  key: string,
  body: Buffer,
  part: UploadUnderTest['part'],
  reached: (call: S3Call) => boolean = () => true,
): Promise<void> {
  const leaving = new AbortController();
  const answer = part(1, body, leaving.signal);
  const isPart = (call: S3Call) => call.key === key && call.operation === 'UploadPart' && call.fault !== undefined;
  await store.proxy.waitForCall((call) => isPart(call) && reached(call));
  expect(await Promise.race([answer, setTimeout(SILENCE_MS, 'silence')])).toBe('silence');
  leaving.abort();
  await expect(answer).rejects.toMatchObject({ name: 'AbortError' });
  await store.proxy.waitForCall((call) => isPart(call) && call.isOver);
}

async function checkEarlyAnswer(fault: 'early-answer-413' | 'early-answer-503', statusLine: string): Promise<void> {
  store.proxy.inject({ fault, parameters: { bytes: 100 } });
  const { port, hostname } = new URL(store.proxy.endpoint);
  const socket = connect(Number(port), hostname);
  const body = KIB ** 2;
  socket.write(`PUT /${BUCKET}/key HTTP/1.1\r\nHost: ${hostname}:${port}\r\nContent-Length: ${body}\r\n\r\n`);
  socket.write(Buffer.alloc(200));
  expect(await textOf(socket)).toMatch(new RegExp(`^${statusLine}.*connection: close.*<Error>`, 's'));

  store.proxy.inject({ fault });
  const put = new PutObjectCommand({ Bucket: BUCKET, Key: uniqueKey(), Body: randomBytes(20 * KIB ** 2) });
  // Which of them a client sees depends on whether it reads before it writes on.
  await expect(store.client.send(put)).rejects.toThrow(/ECONNRESET|EPIPE|maximum allowed size|reduce your request/);
  expect(lastCall('PutObject')).toMatchObject({ fault, isForwarded: false });
}

/** The SDK takes a body that does not end in </Error> for success. */
async function checkFalseSuccess(
  fault: FaultName & `complete-200-${string}`,
  { isNoticed, isMade }: { isNoticed: boolean; isMade: boolean },
): Promise<void> {
  const upload = await startUpload();
  await upload.part(1);
  store.proxy.inject({ fault });
  if (isNoticed) await expect(upload.complete()).rejects.toMatchObject({ name: 'InternalError' });
  else expect((await upload.complete()).ETag).toBeUndefined();
  expect(lastCall('CompleteMultipartUpload')).toMatchObject({ status: 200, isForwarded: isMade });
  expect(await isInStore(upload.key)).toBe(isMade);
}

function refusal(name: string, status: number): object {
  return { name, $metadata: { httpStatusCode: status } };
}

function etagOf(bytes: Buffer): string {
  return `"${createHash('md5').update(bytes).digest('hex')}"`;
}

function head(Key: string): Promise<HeadObjectCommandOutput> {
  return store.client.send(new HeadObjectCommand({ Bucket: BUCKET, Key }));
}

/** Asks again and again until HEAD has an answer through the proxy. */
async function untilShown(Key: string): Promise<void> {
  for (;;) {
    try {
      await head(Key);
      return;
    } catch {
      await setTimeout(5); // Refused or not there yet, which is what is waited for; the test's own limit ends it.
    }
  }
}

/** Not signed: for answers that are not the store's. */
function plainGet(): Promise<Response> {
  return fetch(`${store.proxy.endpoint}/${BUCKET}/key`);
}

interface OpenAnswer {
  readonly headers: IncomingHttpHeaders;
  readonly body: AsyncIterator<Buffer> & AsyncIterable<Buffer>;
  readonly socket: Socket;
}

/** GET without the SDK, whose retries and pools would hide the connection. */
async function openGet(Key: string, agent: Agent | false = false): Promise<OpenAnswer> {
  const url = await getSignedUrl(store.client, new GetObjectCommand({ Bucket: BUCKET, Key }));
  const request = get(url, { agent });
  const [answer] = (await once(request, 'response')) as [IncomingMessage];
  return { headers: answer.headers, body: answer[Symbol.asyncIterator](), socket: answer.socket };
}

async function textOf(chunks: AsyncIterable<Buffer>): Promise<string> {
  let text = '';
  for await (const chunk of chunks) text += chunk.toString();
  return text;
}

interface UploadUnderTest {
  readonly key: string;
  part(partNumber: number, body?: Buffer, abortSignal?: AbortSignal): Promise<UploadPartCommandOutput>;
  complete(): Promise<CompleteMultipartUploadCommandOutput>;
  listParts(): Promise<unknown>;
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
    part: async (PartNumber, Body = randomBytes(KIB), abortSignal) => {
      const answer = await client.send(new UploadPartCommand({ ...upload, PartNumber, Body }), { abortSignal });
      Parts.push({ PartNumber, ETag: answer.ETag });
      return answer;
    },
    complete: () => client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } })),
    listParts: () => client.send(new ListPartsCommand(upload)),
    abort: () => client.send(new AbortMultipartUploadCommand(upload)),
    storedParts: async () => {
      const { Parts: stored = [] } = await store.direct.send(new ListPartsCommand(upload));
      return stored.map(({ PartNumber }) => PartNumber);
    },
  };
}

async function storedObject(Body = 'a stored object'): Promise<string> {
  const Key = uniqueKey();
  await store.direct.send(new PutObjectCommand({ Bucket: BUCKET, Key, Body }));
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
