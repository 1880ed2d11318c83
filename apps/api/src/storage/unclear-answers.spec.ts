import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, request as forward, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CompleteMultipartUploadCommand, ListPartsCommand, type S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { startTestStorage, type TestStorage } from '../../test/support/test-storage.js';

const CONTENT = randomBytes(6 * 1024 * 1024);

/** What the way to the store does with a request: true when it has answered or cut it itself. */
type Disturb = (request: IncomingMessage, response: ServerResponse) => boolean;

let storage: TestStorage;
let s3: S3Client;
let workspaceId: string;
let way: Server;
let source: Server;
let content: Buffer;
let downloads: number;
let disturb: Disturb;
/** Sees an answer of the store before it is passed on; true cuts it off. */
let swallow: (request: IncomingMessage) => boolean;

beforeAll(async () => {
  way = createServer(passOn);
  source = createServer((_request, response) => {
    downloads += 1;
    response.setHeader('content-length', content.length).end(content);
  });
  for (const server of [way, source]) await once(server.listen(0, '127.0.0.1'), 'listening');
  storage = await startTestStorage({ S3_ENDPOINT: urlOf(way) });
  s3 = storage.store.createClient();
  workspaceId = await storage.database.createWorkspace();
});

afterAll(async () => {
  s3.destroy();
  await storage.stop();
  for (const server of [way, source]) {
    server.closeAllConnections();
    server.close();
  }
});

beforeEach(() => {
  content = CONTENT;
  downloads = 0;
  disturb = () => false;
  swallow = () => false;
});

const urlOf = (server: Server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
const newPath = () => `recordings/${workspaceId}/${randomUUID()}.mp4`;
const isComplete = ({ method, url }: IncomingMessage) => method === 'POST' && url?.includes('uploadId=') === true;

/** The Host header stays that of the way: it is signed. */
function passOn(request: IncomingMessage, response: ServerResponse): void {
  if (disturb(request, response)) return;
  const { method = 'GET', url = '/', headers } = request;
  const onward = forward(
    new URL(url, storage.store.variables.S3_ENDPOINT),
    { method, headers, path: url },
    (answer) => {
      if (swallow(request)) return void response.destroy();
      answer.pipe(response.writeHead(answer.statusCode ?? 502, answer.headers));
    },
  );
  onward.on('error', () => response.destroy());
  request.pipe(onward);
}

function start(path: string) {
  return storage.transfers.createAndTransfer({
    sourceUrl: `${urlOf(source)}/video.mp4`,
    workspaceId,
    path,
    type: 'recording-video',
  });
}

describe('a Complete without a clear answer', () => {
  it('is sent again when it was answered 200 and not carried out', async () => {
    let lies = 1;
    disturb = (request, response) => {
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

  it('is not taken for refused because a HEAD after it was', async () => {
    let isCut = false;
    let refusals = 1;
    disturb = (request, response) => {
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

  it('is found again by a try after tries that could not look', async () => {
    const id = randomUUID();
    const path = newPath();
    const uploadId = await storage.beginUpload(path, `${id}.1`);
    const place = { Bucket: storage.bucket, Key: path, UploadId: uploadId };
    const { Parts } = await s3.send(new ListPartsCommand(place));
    await s3.send(new CompleteMultipartUploadCommand({ ...place, MultipartUpload: { Parts } }));
    const completing = { size: 5, sha256: createHash('sha256').update('hello').digest('hex') };
    const sourceUrl = `${urlOf(source)}/video.mp4`;
    await storage.insertAbandoned({ id, workspaceId, path, sourceUrl, uploadId, completing });
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
    swallow = ({ method }) => {
      isAway ||= method === 'PUT';
      return isAway;
    };
    await expect(start(path)).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' });
    swallow = () => false;
    expect(await start(path)).toMatchObject({ transferStatus: 'DONE', size: 5n, attempts: 2 });
    expect(downloads).toBe(1);
  });
});
