import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createTestDatabase } from '../../test/support/test-database.js';
import { startTestStorage, type TestStorage } from '../../test/support/test-storage.js';
import { startTestStore } from '../../test/support/test-store.js';
import type { StorageFile } from './storage-file.repository.js';
import { HostPlaceRepository } from './transfer/host-place.repository.js';
import { RunningTransfers } from './transfer/running-transfers.js';

const VARIABLES = {
  TRANSFER_WORKER: 'all',
  TRANSFER_POLL_MS: '100',
  TRANSFER_CONCURRENCY: '8',
  TRANSFER_CONCURRENCY_PER_HOST: '4',
  TRANSFER_CONCURRENCY_PER_WORKSPACE: '6',
  TRANSFER_SLOW_BYTES_PER_SECOND: '0', // A held source is not a slow one.
  SOURCE_HEADERS_TIMEOUT_MS: '120000',
  SOURCE_STALL_TIMEOUT_MS: '120000',
};

/** A source that answers when it is told to. */
class SlowSource {
  readonly waiting: ServerResponse[] = [];
  askedCount = 0;
  mostAtOnce = 0;
  private readonly server: Server = createServer((_request, response) => {
    this.askedCount += 1;
    this.waiting.push(response);
    this.mostAtOnce = Math.max(this.mostAtOnce, this.waiting.length);
    this.server.emit('asked');
  });

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return this;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/video.mp4`;
  }

  async untilWaiting(count: number): Promise<void> {
    while (this.waiting.length < count) await once(this.server, 'asked');
  }

  answerOne(): void {
    this.waiting.shift()?.end('some bytes');
  }

  stop(): void {
    this.server.closeAllConnections();
    this.server.close();
  }
}

let sources: SlowSource[] = [];

async function startSource(): Promise<SlowSource> {
  const source = await new SlowSource().start();
  sources.push(source);
  return source;
}

afterEach(() => {
  for (const source of sources) source.stop();
  sources = [];
});

const requestOf = (workspaceId: string, sourceUrl: string) => ({
  sourceUrl,
  workspaceId,
  path: `imports/${workspaceId}/${randomUUID()}.bin`,
  type: 'import',
});

async function untilDone(storage: TestStorage, { id, workspaceId }: StorageFile): Promise<StorageFile> {
  for (;;) {
    const file = await storage.files.findById({ workspaceId, id });
    if (file?.transferStatus === 'DONE') return file;
    await sleep(20);
  }
}

describe('in one process', () => {
  let storage: TestStorage;
  beforeAll(async () => {
    storage = await startTestStorage(VARIABLES);
  });
  afterAll(() => storage.stop());

  it('40 files of a slow host keep a file of another host waiting no more than an idle process would', async () => {
    const workspaceId = await storage.database.createWorkspace();
    const [slow, quick] = [await startSource(), await startSource()];
    const held: StorageFile[] = [];
    while (held.length < 40) held.push(await storage.transfers.enqueue(requestOf(workspaceId, slow.url)));
    await slow.untilWaiting(4);
    const other = await storage.transfers.enqueue(requestOf(workspaceId, quick.url));
    await quick.untilWaiting(1);
    quick.answerOne();
    expect(await untilDone(storage, other)).toMatchObject({ attempts: 1 });
    expect(slow.askedCount).toBe(4);
    await answer(slow, 40);
    for (const file of held) await untilDone(storage, file);
  });

  it('40 files of one host that callers of one workspace wait for keep the first of another workspace waiting for one end', async () => {
    const [crowd, other] = [await storage.database.createWorkspace(), await storage.database.createWorkspace()];
    const source = await startSource();
    const create = (workspaceId: string) => storage.transfers.createAndTransfer(requestOf(workspaceId, source.url));
    const ofCrowd = Array.from({ length: 40 }, () => create(crowd));
    await untilRows(crowd, 40);
    await source.untilWaiting(4);
    const first = create(other);
    let askedBefore = 0;
    void first.then(() => (askedBefore = source.askedCount));
    await untilRows(other, 1);
    await answer(source, 41);
    expect(await first).toMatchObject({ transferStatus: 'DONE', attempts: 1 });
    expect(askedBefore).toBeLessThan(20);
    await Promise.all(ofCrowd);
    expect(source.mostAtOnce).toBe(4);
  });

  it('files of many hosts that callers of one workspace wait for leave places for tickets of another', async () => {
    const [crowd, other] = [await storage.database.createWorkspace(), await storage.database.createWorkspace()];
    const held = [await startSource(), await startSource(), await startSource()];
    const ofCrowd = held.flatMap(({ url }) =>
      Array.from({ length: 4 }, () => storage.transfers.createAndTransfer(requestOf(crowd, url))),
    );
    await untilRows(crowd, 12);
    const quick = await startSource();
    const first = await storage.transfers.enqueue(requestOf(other, quick.url));
    await quick.untilWaiting(1);
    quick.answerOne();
    await untilDone(storage, first);
    const askedBefore = held.reduce((count, { askedCount }) => count + askedCount, 0);
    expect(askedBefore).toBeLessThanOrEqual(6);
    await Promise.all(held.map((source) => answer(source, 4)));
    await Promise.all(ofCrowd);
  });

  async function untilRows(workspaceId: string, count: number): Promise<void> {
    for (;;) {
      const [row] = await storage.database.query<{ count: number }>(
        'SELECT count(*)::int AS count FROM core_storage_file WHERE workspace_id = $1',
        [workspaceId],
      );
      if (row?.count === count) return;
      await sleep(20);
    }
  }
});

/** One after the other, so that each end gives its place to the next. */
async function answer(source: SlowSource, count: number): Promise<void> {
  for (let answered = 0; answered < count; answered += 1) {
    await source.untilWaiting(1);
    source.answerOne();
  }
}

describe('over all processes', () => {
  let first: TestStorage;
  let second: TestStorage;
  let workspaceId: string;

  beforeAll(async () => {
    const [database, store] = [await createTestDatabase(), await startTestStore()];
    const variables = { ...VARIABLES, TRANSFER_CONCURRENCY_PER_HOST_OVERALL: '3' };
    first = await startTestStorage(variables, database, store);
    // The first one ends what both work on.
    const shared = { database: { ...database, drop: async () => {} }, store: { ...store, stop: async () => {} } };
    second = await startTestStorage(variables, shared.database, shared.store);
  });
  beforeEach(async () => {
    workspaceId = await first.database.createWorkspace();
  });
  afterAll(async () => {
    await second.stop();
    await first.stop();
  });

  it('a host has as many transfers at once as it may have, and each of them is one try', async () => {
    const source = await startSource();
    const request = () => requestOf(workspaceId, source.url);
    const queued = await Promise.all(Array.from({ length: 8 }, () => first.transfers.enqueue(request())));
    const waited = [first, second, first, second].map(({ transfers }) => transfers.createAndTransfer(request()));
    const other = await startSource();
    await source.untilWaiting(3);
    const elsewhere = await second.transfers.enqueue(requestOf(workspaceId, other.url));
    await other.untilWaiting(1);
    other.answerOne();
    await untilDone(second, elsewhere);
    await answer(source, 12);
    const files = [
      ...(await Promise.all(waited)),
      ...(await Promise.all(queued.map((file) => untilDone(first, file)))),
    ];
    expect(files.map(({ attempts }) => attempts)).toEqual(files.map(() => 1));
    expect(source.mostAtOnce).toBe(3);
    expect(source.askedCount).toBe(12);
  });

  it('a place is in use while its file is leased, and free when its owner died', async () => {
    const host = 'dead.example';
    const places = first.get(HostPlaceRepository);
    const held = await Promise.all([1, 2, 3].map(() => makeRow(host, "now() + interval '1 hour'")));
    for (const { id } of held) {
      await first.database.query(
        'INSERT INTO core_storage_host_place (file_id, host, owner, reserved_until) VALUES ($1, $2, gen_random_uuid(), now())',
        [id, host],
      );
    }
    const file = await makeRow(host, 'NULL');
    const begun: string[] = [];
    await places.within(file, host, async () => void begun.push('while all live'));
    expect(begun).toEqual([]);
    const tickets = await first.database.query<{ is_later: boolean }>(
      'SELECT start_after > now() AS is_later FROM pgboss.job WHERE singleton_key = $1',
      [file.id],
    );
    expect(tickets).toEqual([{ is_later: true }]);
    await first.database.query('UPDATE core_storage_file SET lease_until = now() WHERE id = $1', [held[0]?.id]);
    await places.within(file, host, async () => void begun.push('after one died'));
    expect(begun).toEqual(['after one died']);
  });

  it('a place stays with the transfer under way when another process comes to its file in vain', async () => {
    const source = await startSource();
    const request = requestOf(workspaceId, source.url);
    const done = first.transfers.createAndTransfer(request);
    await source.untilWaiting(1);
    const file = await first.files.findByPath({ workspaceId, bucket: first.bucket, path: request.path });
    if (file === null) throw new Error('the row is not there');
    const places = () =>
      first.database.query('SELECT file_id FROM core_storage_host_place WHERE file_id = $1', [file.id]);
    await second.get(RunningTransfers).run(file);
    expect(await places()).toEqual([{ file_id: file.id }]);
    source.answerOne();
    await done;
    await second.get(RunningTransfers).run(file);
    expect(await places()).toEqual([]);
  });

  it('no more places are given than there are, however many ask at once', async () => {
    const host = 'asked.example';
    const files = await Promise.all(Array.from({ length: 12 }, () => makeRow(host, "now() + interval '1 hour'")));
    const { promise: end, resolve } = Promise.withResolvers<void>();
    let runs = 0;
    const all = files.map((file, index) =>
      (index % 2 === 0 ? first : second).get(HostPlaceRepository).within(file, host, () => {
        runs += 1;
        return end;
      }),
    );
    await Promise.race([Promise.all(all.map((run) => run.catch(() => {}))), untilAsked(files.length - 3)]);
    expect(runs).toBe(3);
    resolve();
    await Promise.all(all);
  });

  /** A row that no worker looks at: it is DONE. */
  async function makeRow(host: string, leaseUntil: string): Promise<StorageFile> {
    const id = randomUUID();
    await first.database.query(
      `INSERT INTO core_storage_file (id, workspace_id, type, path, bucket, source_url, transfer_status, lease_until)
       VALUES ($1, $2, 'import', $3, 'any', $4, 'DONE', ${leaseUntil})`,
      [id, workspaceId, randomUUID(), `https://${host}/video.mp4`],
    );
    const file = await first.files.findById({ workspaceId, id });
    if (file === null) throw new Error('the row is not there');
    return file;
  }

  /** Until so many tickets were sent back. */
  async function untilAsked(count: number): Promise<void> {
    for (;;) {
      const [row] = await first.database.query<{ count: number }>(
        "SELECT count(*)::int AS count FROM pgboss.job WHERE data ->> 'host' = 'asked.example'",
      );
      if ((row?.count ?? 0) >= count) return;
      await sleep(20);
    }
  }
});
