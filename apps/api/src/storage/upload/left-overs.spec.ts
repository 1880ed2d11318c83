import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { startTestStorage, type TestStorage } from '../../../test/support/test-storage.js';
import { LeftOvers } from './left-overs.js';
import { ObjectCleaner } from './object-cleaner.js';

const KEY = 'a/b.mp4';

let storage: TestStorage;
let store: Server;
/** Pages by the markers they are asked with. */
let pages: Record<string, string>;
let asked: string[];
let aborted: string[];

beforeAll(async () => {
  store = createServer(answer);
  await once(store.listen(0, '127.0.0.1'), 'listening');
  storage = await startTestStorage({ S3_ENDPOINT: `http://127.0.0.1:${(store.address() as AddressInfo).port}` });
});

afterAll(async () => {
  await storage.stop();
  store.closeAllConnections();
  store.close();
});

function answer(request: IncomingMessage, response: ServerResponse): void {
  const query = new URL(request.url ?? '', 'http://store').searchParams;
  const uploadId = query.get('uploadId');
  if (uploadId !== null) {
    if (request.method === 'DELETE') aborted.push(uploadId);
    response.writeHead(404, { 'content-type': 'application/xml' }).end('<Error><Code>NoSuchUpload</Code></Error>');
    return;
  }
  const markers = `${query.get('key-marker') ?? ''}:${query.get('upload-id-marker') ?? ''}`;
  asked.push(markers);
  response.setHeader('content-type', 'application/xml');
  response.end(`<ListMultipartUploadsResult>${pages[markers] ?? ''}</ListMultipartUploadsResult>`);
}

const upload = (id: string, key = KEY) => `<Upload><Key>${key}</Key><UploadId>${id}</UploadId></Upload>`;
const next = (key: string, id: string) =>
  `<IsTruncated>true</IsTruncated><NextKeyMarker>${key}</NextKeyMarker><NextUploadIdMarker>${id}</NextUploadIdMarker>`;

async function list() {
  asked = [];
  const signal = new AbortController().signal;
  return await storage.get(LeftOvers).listUploads({ bucket: storage.bucket, key: KEY, fileId: 'file', signal });
}

it('lists uploads of one key over pages, by both markers', async () => {
  pages = {
    ':': upload('1') + upload('2') + next(KEY, '2'),
    [`${KEY}:2`]: upload('3') + upload('4', `${KEY}.part`),
  };
  expect(await list()).toEqual(['1', '2', '3']);
  expect(asked).toEqual([':', `${KEY}:2`]);
});

it('ends where a store names the same next page for ever', async () => {
  pages = { ':': upload('1') + next(KEY, '1'), [`${KEY}:1`]: upload('1') + next(KEY, '1') };
  expect(await list()).toEqual(['1']);
  expect(asked).toEqual([':', `${KEY}:1`]);
});

it('looks at every page for uploads whose id got lost, and keeps the one that goes on', async () => {
  const begun = (id: string, at: string) => upload(id).replace('</Upload>', `<Initiated>${at}</Initiated></Upload>`);
  const since = new Date('2026-11-25T12:00:00Z');
  const now = since.toISOString();
  pages = {
    ':': begun('before', '2026-11-24T12:00:00.000Z') + begun('kept', now) + next(KEY, 'kept'),
    [`${KEY}:kept`]: begun('lost', now),
  };
  asked = [];
  aborted = [];
  const place = { bucket: storage.bucket, key: KEY };
  expect(await storage.get(ObjectCleaner).discardUnanswered(place, { since, keepId: 'kept' })).toBe(true);
  expect(asked).toEqual([':', `${KEY}:kept`]);
  expect(aborted).toEqual(['lost']);
});
