import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { EventEmitter2 } from '@nestjs/event-emitter';
import { RecordingTransferListener } from '../src/recordings/recording-transfer.listener.js';
import { createTestApp, type TestApp } from './support/test-app.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { startTestStore, type TestStore } from './support/test-store.js';
import { mintToken } from './support/test-token.js';

interface RecordingAnswer {
  id: string;
  videoFileId: string | null;
  video: { fileId: string; transferStatus: string; transferError: string | null; size: string | null } | null;
}

describe('/workspaces/:workspaceId/recordings', () => {
  const video = randomBytes(12 * 1024 * 1024 + 1);
  let database: TestDatabase;
  let store: TestStore;
  let source: Server;
  let sourceUrl: string;
  /** Holds the end of a video back until it is called. */
  let letGo: () => void = () => {};
  let api: TestApp;
  let workspaceId: string;
  let token: string;

  beforeAll(async () => {
    source = createServer((request, response) => {
      if (request.url?.startsWith('/missing')) {
        response.writeHead(404).end();
      } else if (request.url?.startsWith('/slow')) {
        response.writeHead(200, { 'content-length': video.length });
        response.write(video.subarray(0, 1024));
        letGo = () => response.end(video.subarray(1024));
      } else {
        response.writeHead(200, { 'content-length': video.length }).end(video);
      }
    });
    await new Promise<void>((resolve) => source.listen(0, '127.0.0.1', resolve));
    sourceUrl = `http://127.0.0.1:${(source.address() as AddressInfo).port}`;
    database = await createTestDatabase();
    store = await startTestStore();
    const env = { DATABASE_URL: database.url, ...store.variables, SOURCE_ALLOWED_ADDRESSES: '127.0.0.1/32' };
    api = await createTestApp({ env });
  });
  afterAll(async () => {
    await api?.close();
    source.closeAllConnections();
    source.close();
    await store?.stop();
    await database.drop();
  });
  beforeEach(async () => {
    workspaceId = await database.createWorkspace();
    token = await mintToken({ workspaces: [workspaceId] });
  });

  const call = (path = '', body?: unknown) =>
    api.request(`/workspaces/${workspaceId}/recordings${path}`, { token, body });
  const get = async <T>(path: string) => (await (await call(path)).json()) as T;

  async function create(url: string): Promise<RecordingAnswer> {
    const answer = await call('', { externalVideoUrl: url });
    expect(answer.status).toBe(201);
    return (await answer.json()) as RecordingAnswer;
  }

  async function waitFor(id: string, isThere: (recording: RecordingAnswer) => boolean): Promise<RecordingAnswer> {
    for (const end = Date.now() + 15_000; Date.now() < end; await sleep(20)) {
      const recording = await get<RecordingAnswer>(`/${id}`);
      if (isThere(recording)) return recording;
    }
    throw new Error(`it never came so far: ${JSON.stringify(await get(`/${id}`))}`);
  }

  it('brings the video from its URL into the bucket, and gives a URL that plays it', async () => {
    const { id } = await create(`${sourceUrl}/v.mp4`);
    const { videoFileId, video: file } = await waitFor(id, (recording) => recording.videoFileId !== null);
    expect(file).toEqual({
      fileId: videoFileId,
      transferStatus: 'DONE',
      transferError: null,
      size: String(video.length),
      deletedAt: null,
    });
    const answer = await call(`/${id}/video-url`);
    expect(answer.headers.get('cache-control')).toBe('no-store');
    const { url, expiresAt } = (await answer.json()) as { url: string; expiresAt: string };
    expect(Date.parse(expiresAt) - Date.now()).toBeGreaterThan(3_590_000);
    const object = await fetch(url);
    expect(object.headers.get('content-type')).toBe('video/mp4');
    expect(object.headers.get('content-disposition')).toMatch(/^inline/);
    const sha256 = createHash('sha256')
      .update(await object.bytes())
      .digest('hex');
    expect(sha256).toBe(createHash('sha256').update(video).digest('hex'));
    const stored = await api.request(`/workspaces/${workspaceId}/files/${videoFileId}`, { token });
    expect(await stored.json()).toMatchObject({
      type: 'recording-video',
      path: `recordings/${workspaceId}/${id}.mp4`,
      mimeType: 'video/mp4',
      size: String(video.length),
      sha256,
    });
  });

  it('shows the transfer while it runs, and signs nothing before it is done', async () => {
    const { id, video: atFirst } = await create(`${sourceUrl}/slow.mp4`);
    expect(atFirst).toBeNull();
    await waitFor(id, (recording) => recording.video?.transferStatus === 'TRANSFERRING');
    const refused = await call(`/${id}/video-url`);
    expect([refused.status, ((await refused.json()) as { code: string }).code]).toEqual([409, 'FILE_NOT_READY']);
    letGo();
    await waitFor(id, (recording) => recording.video?.transferStatus === 'DONE');
    expect((await call(`/${id}/video-url`)).status).toBe(200);
  });

  it('shows why a transfer failed', async () => {
    const { id } = await create(`${sourceUrl}/missing.mp4`);
    const { video: file } = await waitFor(id, (recording) => recording.video?.transferStatus === 'FAILED');
    expect(file?.transferError).toMatch(/^SOURCE_STATUS: .*404/);
    const refused = await call(`/${id}/video-url`);
    expect([refused.status, ((await refused.json()) as { code: string }).code]).toEqual([409, 'FILE_NOT_READY']);
  });

  it.each([
    ['https://videos/1.mp4', 422, 'SOURCE_ADDRESS_BLOCKED'],
    ['https://media.example:22/1.mp4', 400, 'SOURCE_URL_INVALID'],
  ])('makes none of %s, which can never be transferred', async (externalVideoUrl, status, code) => {
    const before = await get<{ items: unknown[] }>('');
    const answer = await call('', { externalVideoUrl });
    expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([status, code]);
    expect(await get('')).toEqual(before);
  });

  it("keeps the source's token out of every answer", async () => {
    const { id } = await create(`${sourceUrl}/v.mp4?token=canary-source-token#canary-fragment`);
    const done = await waitFor(id, (recording) => recording.videoFileId !== null);
    const answers = await Promise.all([
      call(`/${id}`),
      call(),
      api.request(`/workspaces/${workspaceId}/files/${done.videoFileId}`, { token }),
    ]);
    const texts = await Promise.all(answers.map((answer) => answer.text()));
    expect(texts.join()).not.toContain('canary');
    expect(texts[0]).toContain(`"externalVideoUrl":"${sourceUrl}/v.mp4"`);
  });

  it('makes one file of an event that is sent again', async () => {
    const { id } = await create(`${sourceUrl}/v.mp4`);
    api.app.get(EventEmitter2).emit('recording.ready', { recordingId: id });
    const { videoFileId } = await waitFor(id, (recording) => recording.videoFileId !== null);
    const listener = api.app.get(RecordingTransferListener);
    await listener.handleRecordingReady({ recordingId: id });
    const rows = await database.query('SELECT id, attempts FROM core_storage_file WHERE workspace_id = $1', [
      workspaceId,
    ]);
    expect(rows).toEqual([{ id: videoFileId, attempts: 1 }]);
  });

  it('survives an event of a recording that is not there', async () => {
    const listener = api.app.get(RecordingTransferListener);
    await listener.handleRecordingReady({ recordingId: randomUUID() });
    await listener.handleRecordingReady({ recordingId: 'no-uuid' });
    expect(await database.query('SELECT id FROM core_storage_file WHERE workspace_id = $1', [workspaceId])).toEqual([]);
  });

  it('lists recordings newest first in pages, each with the state of its video', async () => {
    const made: string[] = [];
    for (let index = 0; index < 5; index += 1) made.push((await create(`${sourceUrl}/v.mp4`)).id);
    for (const id of made) await waitFor(id, (recording) => recording.videoFileId !== null);
    const first = await get<{ items: RecordingAnswer[]; nextCursor: string }>('?limit=3');
    const second = await get<{ items: RecordingAnswer[]; nextCursor: null }>(`?limit=3&cursor=${first.nextCursor}`);
    const all = [...first.items, ...second.items];
    expect(all.map(({ id }) => id)).toEqual(made.toReversed());
    expect(all.every(({ video: file }) => file?.transferStatus === 'DONE')).toBe(true);
    expect(second.nextCursor).toBeNull();
    expect((await call('?cursor=garbage')).status).toBe(400);
  });

  it.each([
    ['nothing', {}, ['externalVideoUrl']],
    ['no URL', { externalVideoUrl: 'video.mp4' }, ['externalVideoUrl']],
    ['another scheme', { externalVideoUrl: 'file:///etc/passwd' }, ['externalVideoUrl']],
    ['a user name', { externalVideoUrl: 'https://user:secret@example.com/v.mp4' }, ['externalVideoUrl']],
    ['a rewritten character', { externalVideoUrl: 'https://example.com/a\tb' }, ['externalVideoUrl']],
    ['too long a URL', { externalVideoUrl: `https://example.com/${'a'.repeat(8_192)}` }, ['externalVideoUrl']],
    ['a number', { externalVideoUrl: 1 }, ['externalVideoUrl']],
    ['a title that PostgreSQL cannot hold', { externalVideoUrl: 'https://example.com/', title: 'a\0b' }, ['title']],
    ['a blank title', { externalVideoUrl: 'https://example.com/', title: ' ' }, ['title']],
    ['all at once', { externalVideoUrl: 'x', title: '', titel: 'x' }, ['externalVideoUrl', 'titel', 'title']],
    ['a list', [], ['']],
    ['null', 'null', ['']],
  ])('refuses a body with %s, and makes no row', async (_what, body, fields) => {
    const answer = await call('', body);
    expect(answer.status).toBe(400);
    const { code, errors } = (await answer.json()) as { code: string; errors: { in: string; field: string }[] };
    expect(code).toBe('INVALID_REQUEST');
    expect([...new Set(errors.map(({ field }) => field))].toSorted()).toEqual(fields);
    expect(JSON.stringify(errors)).not.toContain('secret');
    expect(await database.query('SELECT id FROM core_recording WHERE workspace_id = $1', [workspaceId])).toEqual([]);
  });

  it('answers 404 where the token is right and the workspace is not there', async () => {
    const nowhere = '5b0e2c3a-3f0b-4a51-9f2b-2f6f0c9d7a10';
    const answer = await api.request(`/workspaces/${nowhere}/recordings`, {
      token: await mintToken({ workspaces: [nowhere] }),
      body: { externalVideoUrl: `${sourceUrl}/v.mp4` },
    });
    expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([404, 'WORKSPACE_NOT_FOUND']);
  });
});
