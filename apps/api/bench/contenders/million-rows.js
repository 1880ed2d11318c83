// What each step of the product takes beside few rows and beside many: million-rows.js '{ few: { url, rows }, many }'.
// Sends the median milliseconds of each step. Steps go to the product's own repositories, in turn on both databases.
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { PrismaService } from '../../dist/prisma/prisma.service.js';
import { InventoryRepository } from '../../dist/storage/cleanup/inventory.repository.js';
import { PurgeRepository } from '../../dist/storage/cleanup/purge.repository.js';
import { RecordRepository } from '../../dist/storage/cleanup/record.repository.js';
import { RetentionRepository } from '../../dist/storage/cleanup/retention.repository.js';
import { EventOutboxRepository } from '../../dist/storage/events/event-outbox.repository.js';
import { StorageFileRepository } from '../../dist/storage/storage-file.repository.js';
import { TransferQueue } from '../../dist/storage/transfer/transfer-queue.js';
import { TransferStateRepository } from '../../dist/storage/transfer/transfer-state.repository.js';

const LEASE_MS = 3_600_000;
const BUCKET = 'bench';
const WORKSPACE = '00000000-0000-4000-8000-000000000001';
/** PENDING, due or to be told of: as many in both. */
const WAITING = 1_000;
const TURNS = 100;
const PAGES = 20;
const PAGE_ROWS = 1_000;

const job = JSON.parse(process.argv[2]);
const sides = { few: await open(job.few), many: await open(job.many) };
const steps = [];
await step('first page', TURNS, ({ files }) => files.list({ workspaceId: WORKSPACE, limit: 100 }));
await step('page 100 rows before the end', TURNS, ({ files, cursor }) =>
  files.list({ workspaceId: WORKSPACE, limit: 100, cursor }),
);
await step('first page of FAILED files', TURNS, ({ files }) =>
  files.list({ workspaceId: WORKSPACE, limit: 100, status: 'FAILED' }),
);
await step('claim', TURNS, ({ state }, turn) => state.claim(fileId(turn), LEASE_MS));
await step('recovery', TURNS, ({ state }) => state.recover());
await step('reconcile, 1,000 rows', PAGES, ({ inventory }) => walk(inventory));
await step('one row of the audit, looked at again', TURNS, ({ inventory }, turn) => inventory.findRow(fileId(turn), 0));
await step('take of a purge entry', TURNS, ({ purges }) => purges.take(LEASE_MS));
await step('take of 5 events', TURNS, ({ outbox }) => outbox.take({ leaseMs: LEASE_MS, limit: 5, exceptTypes: [] }));
await step('take of an expired file', TURNS, ({ retention }) =>
  retention.takeExpired({ retentionDays: 30, leaseMs: LEASE_MS, after: null }),
);
await auditRecords();
for (const side of Object.values(sides)) await side.close();
process.send({ steps }, () => process.disconnect());

async function open({ url, rows }) {
  await fill(url, rows);
  const environment = { ...process.env, DATABASE_URL: url, DATABASE_SILENCE_SECONDS: 20 };
  const prisma = new PrismaService(environment);
  const queue = new TransferQueue(environment);
  const shares = {
    limit: 1,
    perWorkspace: 1,
    perHost: 1,
    workspacePlaces: new Map(),
    hostPlaces: new Map(),
    perHostOverall: 0,
  };
  await queue.take(shares); // Makes its tables.
  const [last] = await prisma.client.$queryRaw`
    SELECT created_at AS "createdAt", id FROM core_storage_file WHERE deleted_at IS NULL
    ORDER BY created_at DESC, id DESC OFFSET (SELECT count(*) - 100 FROM core_storage_file WHERE deleted_at IS NULL) LIMIT 1`;
  return {
    rows,
    cursor: Buffer.from(`${last.createdAt.toISOString()}_${last.id}`).toString('base64url'),
    files: new StorageFileRepository(prisma),
    state: new TransferStateRepository(prisma, queue, { filesPerDay: 0, bytesPerDay: 0 }),
    inventory: new InventoryRepository(prisma),
    purges: new PurgeRepository(prisma),
    records: new RecordRepository(prisma),
    outbox: new EventOutboxRepository(prisma),
    retention: new RetentionRepository(prisma),
    async close() {
      await queue.onApplicationShutdown();
      await prisma.onApplicationShutdown();
    },
  };
}

/** Warms up on both, and then measures both in turn. */
async function step(name, turns, run) {
  const times = { few: [], many: [] };
  for (let turn = -3; turn < turns; turn += 1) {
    for (const [name, side] of Object.entries(sides)) {
      const begin = performance.now();
      await run(side, turn + 3);
      if (turn >= 0) times[name].push(performance.now() - begin);
    }
  }
  steps.push({ step: name, few: median(times.few), many: median(times.many) });
}

/** Every record once, as an audit does: its time for 1,000 of them. */
async function auditRecords() {
  const perPage = {};
  for (const [name, { records, rows }] of Object.entries(sides)) {
    const begin = performance.now();
    await records.findSecrets(['only-for-the-bench']);
    await records.findStrangers();
    await records.findRivals();
    await records.findRisen();
    await records.findOverdueEntries(LEASE_MS);
    perPage[name] = (performance.now() - begin) / (rows / PAGE_ROWS);
  }
  steps.push({ step: 'audit, 1,000 rows of each table', ...perPage });
}

async function walk(inventory) {
  let rows = 0;
  for await (const _row of inventory.walkRows({
    bucket: BUCKET,
    after: `files/${randomUUID().replaceAll('-', '')}`,
    graceMs: 0,
  })) {
    rows += 1;
    if (rows === PAGE_ROWS) return;
  }
}

function fileId(number) {
  return `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;
}

function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
}

/** One workspace has all of them: most are DONE, WAITING are PENDING, as many of each other kind have something to do. */
async function fill(url, rows) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(
    "SET synchronous_commit = off; SET session_replication_role = replica; SET maintenance_work_mem = '512MB'",
  );
  const { rows: indexes } = await client.query(`
    SELECT indexname AS name, indexdef AS definition FROM pg_indexes
    WHERE schemaname = 'public' AND tablename LIKE 'core\\_%' AND indexname NOT LIKE '%\\_pkey'`);
  for (const { name } of indexes) await client.query(`DROP INDEX "${name}"`);
  await client.query("INSERT INTO core_workspace (id, name) VALUES ($1, 'bench')", [WORKSPACE]);
  const series = `generate_series(0, ${rows - 1}) AS n`;
  const id = `('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid`;
  await client.query(`
    INSERT INTO core_storage_file (id, workspace_id, type, path, bucket, mime_type, size, transfer_status, source_url,
        attempts, error_code, transfer_error, sha256, created_at, updated_at, finished_at, deleted_at)
      SELECT CASE WHEN n < ${WAITING} THEN ${id} ELSE md5('file' || n)::uuid END, '${WORKSPACE}', 'recording-video',
        'files/' || md5(n::text) || '.mp4', '${BUCKET}', 'video/mp4', 1024, status::"FileTransferStatus",
        'https://media.example/videos/' || n, 1,
        CASE WHEN status = 'FAILED' THEN 'SOURCE_STATUS' END,
        CASE WHEN status = 'FAILED' THEN 'SOURCE_STATUS: the source answered 404' END, md5(n::text) || md5('s' || n),
        at, CASE WHEN status = 'PENDING' THEN now() AT TIME ZONE 'UTC' + interval '1 day' ELSE at END,
        CASE WHEN status <> 'PENDING' THEN at END,
        CASE WHEN n >= ${rows - 2 * WAITING} THEN now() AT TIME ZONE 'UTC' - (n % 2) * interval '40 days' END
      FROM (SELECT n, now() AT TIME ZONE 'UTC' - n * interval '1 second' AS at, CASE WHEN n < ${WAITING} THEN 'PENDING'
        WHEN n < ${2 * WAITING} THEN 'FAILED' ELSE 'DONE' END AS status FROM ${series}) AS made;
    INSERT INTO core_storage_attempt (file_id, number, finished_at, outcome, worker)
      SELECT id, 1, created_at, 'DONE', 'bench' FROM core_storage_file WHERE transfer_status <> 'PENDING';
    UPDATE core_storage_file SET attempts = 0 WHERE transfer_status = 'PENDING';
    INSERT INTO core_outbox_event (type, workspace_id, subject_id, payload, created_at, next_attempt_at, dispatched_at)
      SELECT 'storage.file.done', '${WORKSPACE}', md5('file' || n)::uuid, jsonb_build_object('fileId', md5('file' || n),
        'path', 'files/' || md5(n::text)), now(), now() - n * interval '1 second', CASE WHEN n >= ${WAITING} THEN now() END
      FROM ${series};
    INSERT INTO core_storage_purge (bucket, path, file_id, next_attempt_at)
      SELECT '${BUCKET}', 'gone/' || md5(n::text), md5('gone' || n)::uuid, now() + (n - ${WAITING}) * interval '1 minute'
      FROM ${series};
    INSERT INTO core_recording (id, workspace_id, external_video_url, video_file_id)
      SELECT gen_random_uuid(), workspace_id, source_url, id FROM core_storage_file`);
  for (const { definition } of indexes) await client.query(definition);
  await client.query('VACUUM ANALYZE');
  await client.end();
}
