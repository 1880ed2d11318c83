import { randomBytes, randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { EventEmitter2 } from '@nestjs/event-emitter';
import { createTestApp, type TestApp } from './support/test-app.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { openOutbox } from './support/test-events.js';
import { startTestStore, type TestStore } from './support/test-store.js';

describe('recordings, their events and their files', () => {
  const video = randomBytes(1024 * 1024 + 1);
  let database: TestDatabase;
  let outbox: ReturnType<typeof openOutbox>;
  let store: TestStore;
  let source: Server;
  let sourceUrl: string;
  /** Paths that the source was asked for. */
  const asked: string[] = [];
  let api: TestApp;
  let workspaceId: string;

  beforeAll(async () => {
    source = createServer((request, response) => {
      asked.push(request.url ?? '');
      // Long enough for all others to ask meanwhile.
      setTimeout(() => response.writeHead(200, { 'content-length': video.length }).end(video), 300);
    });
    await new Promise<void>((resolve) => source.listen(0, '127.0.0.1', resolve));
    sourceUrl = `http://127.0.0.1:${(source.address() as AddressInfo).port}`;
    database = await createTestDatabase();
    outbox = openOutbox(database);
    store = await startTestStore();
    const env = { DATABASE_URL: database.url, ...store.variables, SOURCE_ALLOWED_ADDRESSES: '127.0.0.1/32' };
    api = await createTestApp({ env: { ...env, EVENT_POLL_MS: '50' } });
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
  });

  /** A recording as a committed transaction leaves it, whose process died before it told anybody. */
  async function insertRecording(): Promise<string> {
    const id = randomUUID();
    await database.query('INSERT INTO core_recording (id, workspace_id, external_video_url) VALUES ($1, $2, $3)', [
      id,
      workspaceId,
      `${sourceUrl}/${id}`,
    ]);
    return id;
  }

  async function insertDoneFile({ path, type = 'recording-video' }: { path: string; type?: string }) {
    const fileId = randomUUID();
    await database.query(
      `INSERT INTO core_storage_file (id, workspace_id, type, path, bucket, size, transfer_status)
       VALUES ($1, $2, $3, $4, $5, 1, 'DONE')`,
      [fileId, workspaceId, type, path, store.variables.S3_BUCKET],
    );
    return { fileId, workspaceId, type, path };
  }

  async function readLink(id: string): Promise<string | null> {
    const [row] = await database.query<{ video_file_id: string | null }>(
      'SELECT video_file_id FROM core_recording WHERE id = $1',
      [id],
    );
    return row?.video_file_id ?? null;
  }

  async function until(isSo: () => Promise<boolean>): Promise<void> {
    for (const end = Date.now() + 15_000; Date.now() < end; await sleep(20)) if (await isSo()) return;
    throw new Error('it never came so far');
  }

  const untilDispatched = (id: string) => until(async () => (await outbox.read(id)).dispatchedAt !== null);

  it('brings and links the video when the process died between commit and event', async () => {
    const id = await insertRecording();
    const event = await outbox.insert('recording.ready', { recordingId: id }, workspaceId);
    await until(async () => (await readLink(id)) !== null);
    await untilDispatched(event);
    expect(asked.filter((path) => path === `/${id}`)).toHaveLength(1);
  });

  it('links the video when the process died between DONE and the listener, and again without a change', async () => {
    const id = await insertRecording();
    const file = await insertDoneFile({ path: `recordings/${workspaceId}/${id}.mp4` });
    await untilDispatched(await outbox.insert('storage.file.done', file, workspaceId));
    expect(await readLink(id)).toBe(file.fileId);
    const readRow = () => database.query('SELECT * FROM core_recording WHERE id = $1', [id]);
    const linked = await readRow();
    await untilDispatched(await outbox.insert('storage.file.done', file, workspaceId));
    expect(await readRow()).toEqual(linked);
  });

  it('links no file that is not the video, not of this workspace, or not there any more', async () => {
    const id = await insertRecording();
    const path = `recordings/${workspaceId}/${id}.mp4`;
    const file = await insertDoneFile({ path });
    const foreign = await database.createWorkspace();
    for (const payload of [
      { ...file, type: 'user-upload' },
      { ...file, path: `uploads/${id}.mp4` },
      { ...file, path: `recordings/${workspaceId}/${id}.mp4.mp4` },
      { ...file, workspaceId: foreign },
      { ...file, workspaceId: foreign, path: `recordings/${foreign}/${id}.mp4` },
      { ...file, fileId: randomUUID() },
    ]) {
      await untilDispatched(await outbox.insert('storage.file.done', payload, workspaceId));
      expect([payload, await readLink(id)]).toEqual([payload, null]);
    }
  });

  it('makes one row, one object and one download of an event that comes 50 times at once', async () => {
    const id = await insertRecording();
    await database.query(
      `INSERT INTO core_outbox_event (type, workspace_id, subject_id, payload)
       SELECT 'recording.ready', $1, $2::uuid, jsonb_build_object('recordingId', $2::uuid) FROM generate_series(1, 25)`,
      [workspaceId, id],
    );
    const emitter = api.app.get(EventEmitter2);
    for (let count = 0; count < 25; count += 1) emitter.emit('recording.ready', { recordingId: id });
    await until(async () => {
      const [open] = await database.query<{ count: string }>(
        'SELECT count(*) FROM core_outbox_event WHERE subject_id = $1 AND dispatched_at IS NULL',
        [id],
      );
      return open?.count === '0' && (await readLink(id)) !== null;
    });
    const rows = await database.query('SELECT id, attempts FROM core_storage_file WHERE workspace_id = $1', [
      workspaceId,
    ]);
    expect(rows).toEqual([{ id: await readLink(id), attempts: 1 }]);
    expect(asked.filter((path) => path === `/${id}`)).toHaveLength(1);
    const client = store.createClient();
    const { Contents } = await client.send(
      new ListObjectsV2Command({ Bucket: store.variables.S3_BUCKET, Prefix: `recordings/${workspaceId}/` }),
    );
    client.destroy();
    expect(Contents).toHaveLength(1);
  });

  it('leaves no recording without its event where the workspace is not there', async () => {
    const [before] = await database.query('SELECT count(*) FROM core_outbox_event');
    const nowhere = randomUUID();
    const { RecordingRepository } = await import('../src/recordings/recording.repository.js');
    const creating = api.app.get(RecordingRepository).create({ workspaceId: nowhere, externalVideoUrl: sourceUrl });
    await expect(creating).rejects.toMatchObject({ code: 'WORKSPACE_NOT_FOUND' });
    expect(await database.query('SELECT count(*) FROM core_outbox_event')).toEqual([before]);
  });
});
