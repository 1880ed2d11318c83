import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CompleteMultipartUploadCommand, ListPartsCommand, type S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { kindOf, openStoreWay, type StoreWay } from '../../test/support/store-way.js';
import { startTestStorage, type TestStorage } from '../../test/support/test-storage.js';
import type { WaitOptions } from './file-transfer.service.js';
import { StorageError } from './storage.errors.js';
import { RunningTransfers } from './transfer/running-transfers.js';

const CONTENT = randomBytes(6 * 1024 * 1024);

let storage: TestStorage;
let s3: S3Client;
let workspaceId: string;
let way: StoreWay;
let source: Server;
let content: Buffer;
let downloads: number;

beforeAll(async () => {
  way = await openStoreWay(() => storage.store.variables.S3_ENDPOINT);
  source = createServer((_request, response) => {
    downloads += 1;
    response.setHeader('content-length', content.length).end(content);
  });
  await once(source.listen(0, '127.0.0.1'), 'listening');
  storage = await startTestStorage({ S3_ENDPOINT: way.endpoint });
  s3 = storage.store.createClient();
  workspaceId = await storage.database.createWorkspace();
});

afterAll(async () => {
  s3.destroy();
  await storage.stop();
  way.close();
  source.closeAllConnections();
  source.close();
});

beforeEach(() => {
  content = CONTENT;
  downloads = 0;
  way.reset();
});

const sourceUrl = () => `http://127.0.0.1:${(source.address() as AddressInfo).port}/video.mp4`;
const newPath = () => `recordings/${workspaceId}/${randomUUID()}.mp4`;
const isComplete = (request: IncomingMessage) => kindOf(request) === 'complete';

function start(path: string, wait: WaitOptions = {}) {
  const request = { sourceUrl: sourceUrl(), workspaceId, path, type: 'recording-video' };
  return storage.transfers.createAndTransfer(request, wait);
}

describe('a Complete without a clear answer', () => {
  it('is sent again when it was answered 200 and not carried out', async () => {
    let lies = 1;
    way.disturb = (request, response) => {
      if (!isComplete(request) || lies === 0) return false;
      lies -= 1;
      request.resume();
      response.setHeader('content-type', 'application/xml');
      response.end('<?xml version="1.0"?>\n<Error><Code>InternalError</Code><Message>again</Message></Error>\n');
      return true;
    };
    const path = newPath();
    expect(await start(path)).toMatchObject({ transferStatus: 'DONE', size: BigInt(CONTENT.length), attempts: 1 });
    expect(await storage.s3.headObject(path)).toMatchObject({ contentLength: CONTENT.length });
  });

  it('is not sent again by one whose row another has taken meanwhile', async () => {
    const path = newPath();
    const taken = Promise.withResolvers<void>();
    let completes = 0;
    way.disturb = (request, response) => {
      if (!isComplete(request)) return false;
      completes += 1;
      if (completes > 1) return false;
      const take =
        "UPDATE core_storage_file SET lease_token = gen_random_uuid(), lease_until = now() + interval '1 hour'";
      void storage.database.query(`${take} WHERE path = $1`, [path]).then(() => {
        response.destroy();
        taken.resolve();
      });
      return true;
    };
    const patience = new AbortController();
    const outcome = expect(start(path, { signal: patience.signal })).rejects.toMatchObject({
      code: 'TRANSFER_GOES_ON',
    });
    await taken.promise;
    const file = await storage.files.findByPath({ workspaceId, bucket: storage.bucket, path });
    // Also waits for the end of what this process does about it.
    await storage.get(RunningTransfers).cancel(file?.id ?? '', new StorageError('TRANSFER_CANCELLED', 'over'));
    expect(completes).toBe(1);
    patience.abort();
    await outcome;
  });

  it('is not taken for refused because a HEAD after it was', async () => {
    let isCut = false;
    let refusals = 1;
    way.disturb = (request, response) => {
      if (isComplete(request) && !isCut) {
        response.destroy();
        return true;
      }
      if (request.method !== 'HEAD' || refusals === 0) return false;
      refusals -= 1;
      isCut = true;
      response.writeHead(403).end();
      return true;
    };
    expect(await start(newPath())).toMatchObject({ transferStatus: 'DONE', attempts: 1 });
    expect(refusals).toBe(0);
  });

  it('is not asked for again and again when the store refuses it from then on, and nothing is ended', async () => {
    let completes = 0; // The first may have been carried out.
    way.disturb = (request, response) => {
      if (!isComplete(request)) return false;
      completes += 1;
      if (completes === 1) {
        response.destroy();
        return true;
      }
      request.resume();
      response.writeHead(400, { 'content-type': 'application/xml' });
      response.end('<?xml version="1.0"?>\n<Error><Code>InvalidPart</Code><Message>not so</Message></Error>');
      return true;
    };
    const path = newPath();
    await expect(start(path)).rejects.toMatchObject({
      code: 'UPLOAD_FAILED',
      isRetryable: false,
      message: expect.stringContaining('400 InvalidPart'),
    });
    expect(way.seen).not.toContain('abort');
    const [row] = await storage.database.query<{ upload_id: string; completing: boolean }>(
      'SELECT * FROM core_storage_file WHERE path = $1',
      [path],
    );
    expect(row).toMatchObject({ transfer_status: 'FAILED', completing: true });
    const noted =
      "SELECT FROM core_storage_purge WHERE upload_id = $1 AND next_attempt_at > now() + interval '10 minutes'";
    expect(await storage.database.query(noted, [row?.upload_id])).toHaveLength(1);
  });

  it('is found again by a try after tries that could not look', async () => {
    const id = randomUUID();
    const path = newPath();
    const uploadId = await storage.beginUpload(path, `${id}.1`);
    const place = { Bucket: storage.bucket, Key: path, UploadId: uploadId };
    const { Parts } = await s3.send(new ListPartsCommand(place));
    await s3.send(new CompleteMultipartUploadCommand({ ...place, MultipartUpload: { Parts } }));
    const completing = { size: 5, sha256: createHash('sha256').update('hello').digest('hex') };
    await storage.insertAbandoned({ id, workspaceId, path, sourceUrl: sourceUrl(), uploadId, completing });
    await storage.database.query('UPDATE core_storage_file SET attempts = 3 WHERE id = $1', [id]);
    expect(await start(path)).toMatchObject({ transferStatus: 'DONE', size: 5n, attempts: 4 });
    expect(downloads).toBe(0);
  });
});

describe('a PUT without a clear answer', () => {
  it('stays known to the row until the store says what became of it', async () => {
    content = Buffer.from('hello');
    const path = newPath();
    let isAway = false;
    way.swallow = ({ method }) => {
      isAway ||= method === 'PUT';
      return isAway;
    };
    await expect(start(path)).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' });
    way.swallow = () => false;
    expect(await start(path)).toMatchObject({ transferStatus: 'DONE', size: 5n, attempts: 2 });
    expect(downloads).toBe(1);
  });
});
