import { randomUUID } from 'node:crypto';
import { HeadObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createTestApp, type TestApp } from './support/test-app.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { startTestStore, type TestStore } from './support/test-store.js';
import { mintToken } from './support/test-token.js';

interface FileAnswer {
  id: string;
  path: string;
  size: string | null;
  createdAt: string;
  deletedAt: string | null;
}

interface PageAnswer {
  items: FileAnswer[];
  nextCursor: string | null;
}

describe('/workspaces/:workspaceId/files', () => {
  let database: TestDatabase;
  let store: TestStore;
  let s3: S3Client;
  let api: TestApp;
  let workspaceId: string;
  let token: string;

  beforeAll(async () => {
    database = await createTestDatabase();
    store = await startTestStore();
    s3 = store.createClient();
    api = await createTestApp({ env: { DATABASE_URL: database.url, ...store.variables } });
  });
  afterAll(async () => {
    await api?.close();
    s3?.destroy();
    await store?.stop();
    await database.drop();
  });
  beforeEach(async () => {
    workspaceId = await database.createWorkspace();
    token = await mintToken({ workspaces: [workspaceId] });
  });

  const call = (path = '', method = 'GET') => api.request(`/workspaces/${workspaceId}/files${path}`, { method, token });
  const get = async <T>(path = '') => (await (await call(path)).json()) as T;

  async function insertFile(columns: Record<string, unknown> = {}): Promise<FileAnswer> {
    const id = randomUUID();
    const path = `recordings/${workspaceId}/${id}.mp4`;
    const row = { id, workspace_id: workspaceId, type: 'recording-video', path, bucket: 'test-bucket', ...columns };
    const names = Object.keys(row);
    await database.query(
      `INSERT INTO core_storage_file (${names.join()}) VALUES (${names.map((_, index) => `$${index + 1}`).join()})`,
      Object.values(row),
    );
    return { id, path, size: null, createdAt: '', deletedAt: null };
  }

  /** A DONE row with its object. */
  async function storeFile(columns: Record<string, unknown> = {}) {
    const file = await insertFile({ transfer_status: 'DONE', size: 5, mime_type: 'video/mp4', ...columns });
    await s3.send(new PutObjectCommand({ Bucket: 'test-bucket', Key: file.path, Body: 'hello' }));
    return file;
  }

  const objectExists = (path: string) =>
    s3.send(new HeadObjectCommand({ Bucket: 'test-bucket', Key: path })).then(
      () => true,
      () => false,
    );

  it('shows every field of a row that users may see, and no other', async () => {
    const { id, path } = await insertFile({
      size: '9007199254740993', // 2^53 + 1: the first whole number that a JSON number cannot hold
      transfer_status: 'TRANSFERRING',
      lease_token: randomUUID(),
      lease_until: new Date(),
      upload_id: 'canary-upload',
      attempts: 3,
      source_url: 'https://videos.example.com/1.mp4',
    });
    expect(await get(`/${id}`)).toEqual({
      id,
      workspaceId,
      type: 'recording-video',
      path,
      bucket: 'test-bucket',
      mimeType: null,
      size: '9007199254740993',
      transferStatus: 'TRANSFERRING',
      transferError: null,
      sourceUrl: 'https://videos.example.com/1.mp4',
      bytesTransferred: null,
      totalBytes: null,
      lengthVerified: null,
      sha256: null,
      sha256Origin: null,
      etag: null,
      attempts: 3,
      nextAttemptAt: null,
      createdBy: null,
      createdAt: expect.stringMatching(/^\d{4}-.*Z$/),
      updatedAt: expect.stringMatching(/^\d{4}-.*Z$/),
      finishedAt: null,
      deletedAt: null,
    });
  });

  it('pages newest first, with equal times too, and shows each row once while rows come', async () => {
    const time = new Date('2026-11-01T12:00:00.123Z');
    const ids: string[] = [];
    for (let index = 0; index < 7; index += 1) {
      const file = await insertFile({ created_at: index < 4 ? time : new Date(time.getTime() + index) });
      ids.push(file.id);
    }
    const seen: FileAnswer[] = [];
    let page = await get<PageAnswer>('?limit=3');
    seen.push(...page.items);
    const late = await insertFile();
    while (page.nextCursor !== null) {
      page = await get<PageAnswer>(`?limit=3&cursor=${page.nextCursor}`);
      seen.push(...page.items);
    }
    expect(seen.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
    expect(seen.map(({ createdAt }) => createdAt)).toEqual(
      seen
        .map(({ createdAt }) => createdAt)
        .toSorted()
        .reverse(),
    );
    expect((await get<PageAnswer>()).items[0]?.id).toBe(late.id);
  });

  it('filters by status and type, and lists no deleted file', async () => {
    const done = await insertFile({ transfer_status: 'DONE', size: 1 });
    const avatar = await insertFile({ type: 'avatar' });
    await insertFile({ deleted_at: new Date() });
    const idsOf = async (query: string) => (await get<PageAnswer>(query)).items.map(({ id }) => id);
    expect(await idsOf('?status=DONE')).toEqual([done.id]);
    expect(await idsOf('?type=avatar')).toEqual([avatar.id]);
    expect(await idsOf('?status=FAILED')).toEqual([]);
    expect(await idsOf('')).toEqual([avatar.id, done.id]);
  });

  it.each([
    ['?limit=0', 'limit'],
    ['?limit=101', 'limit'],
    ['?limit=1.5', 'limit'],
    ['?limit=', 'limit'],
    ['?limit=ten', 'limit'],
    ['?limit=1&limit=2', 'limit'],
    ['?status=done', 'status'],
    ['?type=%00', 'type'],
    ['?stauts=DONE', 'stauts'],
  ])('refuses %s and names the field', async (query, field) => {
    const answer = await call(query);
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({
      code: 'INVALID_REQUEST',
      errors: [{ in: 'query', field, message: expect.any(String) }],
    });
  });

  it.each(['garbage', Buffer.from('2026-99-01T00:00:00.000Z_x').toString('base64url')])(
    'refuses the cursor %s',
    async (cursor) => {
      const answer = await call(`?cursor=${cursor}`);
      expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([400, 'INVALID_CURSOR']);
    },
  );

  it('refuses an id that is no UUID', async () => {
    const answer = await call('/no-uuid/url');
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ errors: [{ in: 'path', field: 'id', message: 'must be a UUID' }] });
  });

  it('gives a URL that downloads the file under the wished name until it expires', async () => {
    const { id } = await storeFile();
    const before = Date.now();
    const answer = await call(`/${id}/url?expiresIn=60&disposition=attachment&filename=my%20film.mp4`);
    expect(answer.headers.get('cache-control')).toBe('no-store');
    const { url, expiresAt } = (await answer.json()) as { url: string; expiresAt: string };
    expect(Date.parse(expiresAt) - before).toBeGreaterThan(57_000);
    expect(Date.parse(expiresAt) - before).toBeLessThan(62_000);
    const object = await fetch(url);
    expect(await object.text()).toBe('hello');
    expect(object.headers.get('content-disposition')).toBe('attachment; filename="my film.mp4"');
  });

  it.each([
    ['expiresIn=0', 'INVALID_REQUEST'],
    ['expiresIn=604801', 'INVALID_REQUEST'],
    ['expiresIn=1.5', 'INVALID_REQUEST'],
    ['disposition=none', 'INVALID_REQUEST'],
    ['filename=a%0d%0ab', 'INVALID_FILENAME'],
    ['filename=..%2fa', 'INVALID_FILENAME'],
  ])('refuses to sign with %s', async (query, code) => {
    const { id } = await storeFile();
    const answer = await call(`/${id}/url?${query}`);
    expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([400, code]);
  });

  it.each(['PENDING', 'TRANSFERRING', 'FAILED'])('signs nothing for a %s file', async (transfer_status) => {
    const { id } = await insertFile({ transfer_status });
    const answer = await call(`/${id}/url`);
    expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([409, 'FILE_NOT_READY']);
  });

  it('deletes softly: hidden and not signed, but shown, kept and restored', async () => {
    const { id, path } = await storeFile();
    for (let time = 0; time < 2; time += 1) {
      const deleted = await call(`/${id}`, 'DELETE');
      expect([deleted.status, await deleted.text()]).toEqual([204, '']);
    }
    expect((await get<PageAnswer>()).items).toEqual([]);
    expect((await get<FileAnswer>(`/${id}`)).deletedAt).not.toBeNull();
    const refused = await call(`/${id}/url`);
    expect([refused.status, ((await refused.json()) as { code: string }).code]).toEqual([409, 'FILE_DELETED']);
    expect(await objectExists(path)).toBe(true);

    const restored = await call(`/${id}/restore`, 'POST');
    expect(restored.status).toBe(200);
    expect(await restored.json()).toMatchObject({ id, deletedAt: null });
    expect((await call(`/${id}/url`)).status).toBe(200);
  });

  it('deletes hard: row and object are gone, and stay so', async () => {
    const { id, path } = await storeFile();
    expect((await call(`/${id}?hard=true`, 'DELETE')).status).toBe(204);
    expect(await objectExists(path)).toBe(false);
    for (const [suffix, method] of [
      ['', 'GET'],
      ['', 'DELETE'],
      ['/url', 'GET'],
    ] as const) {
      const answer = await call(`/${id}${suffix}`, method);
      expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([404, 'FILE_NOT_FOUND']);
    }
  });

  it('restores no file that was deleted for good (410), and none that never was (404)', async () => {
    const { id } = await storeFile();
    await call(`/${id}?hard=true`, 'DELETE');
    for (const [restored, status, code] of [
      [id, 410, 'FILE_PURGED'],
      [randomUUID(), 404, 'FILE_NOT_FOUND'],
    ] as const) {
      const answer = await call(`/${restored}/restore`, 'POST');
      expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([status, code]);
    }
  });

  it('refuses an unclear kind of deletion, and deletes nothing', async () => {
    const { id } = await storeFile();
    expect((await call(`/${id}?hard=yes`, 'DELETE')).status).toBe(400);
    expect((await get<FileAnswer>(`/${id}`)).deletedAt).toBeNull();
  });
});
