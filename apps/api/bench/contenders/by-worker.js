// Files of a queue, carried by the worker of this process, beside others that are slow: by-worker.js '{ good, slow,
// isSettled, bytes }'. `isSettled`: the good ones come when every slow one was looked at. Sends its figures and ends.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { TransferIntake } from '../../dist/storage/transfer/transfer-intake.js';
import { TransferWorker } from '../../dist/storage/transfer/transfer-worker.js';
import { PartBufferPool } from '../../dist/storage/upload/part-buffer-pool.js';
import { measure } from './measure.js';
import { startStorageApp } from './storage-app.js';

const POLL_MS = 20;
const SETTLE_LIMIT_MS = 120_000;
/** Without a change: longer than it takes to see that a source is slow. */
const SETTLED_MS = 4_000;
const SAMPLE_MS = 5;
/** Longer than any ticket waits that was put off. */
const HOLD_MS = 24 * 3_600_000;

const job = JSON.parse(process.argv[2]);
const { app } = await startStorageApp();
const intake = app.get(TransferIntake, { strict: false });
// Of its own, so that looking does not wait for what is looked at.
const client = new pg.Client({ connectionString: process.env.DATABASE_URL });
await client.connect();
const peaks = watchMemory(app.get(PartBufferPool, { strict: false }));

const { result, figures } = await measure(async () => {
  await enqueue('slow', job.slow);
  if (job.isSettled) await release();
  const settledSeconds = job.isSettled ? await untilSettled() : null;
  await enqueue('good', job.good);
  const begin = performance.now();
  await release();
  await untilDone();
  return { seconds: (performance.now() - begin) / 1_000, settledSeconds };
});
const [{ slowUnderWay }] = await query(`
  SELECT count(*)::int AS "slowUnderWay" FROM core_storage_file WHERE type = 'slow' AND transfer_status = 'TRANSFERRING'`);
await client.end();
const { bufferBytes, heapAboveIdleBytes } = peaks();
await app.close();
process.send({ ...figures, ...result, slowUnderWay, bufferBytes, heapAboveIdleBytes }, () => process.disconnect());

/** The most that part buffers took, in use and kept for the next user, and the heap. */
function watchMemory(pool) {
  const idleHeap = process.memoryUsage().heapUsed;
  let bufferBytes = 0;
  let heapAboveIdleBytes = 0;
  const look = () => {
    const { held, free } = pool.bytes;
    bufferBytes = Math.max(bufferBytes, held + free);
    heapAboveIdleBytes = Math.max(heapAboveIdleBytes, process.memoryUsage().heapUsed - idleHeap);
  };
  setInterval(look, SAMPLE_MS).unref();
  return () => {
    look();
    return { bufferBytes, heapAboveIdleBytes };
  };
}

async function query(sql, values) {
  return (await client.query(sql, values)).rows;
}

async function enqueue(type, files) {
  const workspaces = new Map();
  for (const { sourceUrl, workspace } of files) {
    const workspaceId = workspaces.get(workspace) ?? randomUUID();
    if (!workspaces.has(workspace)) {
      await query('INSERT INTO core_workspace (id, name) VALUES ($1, $2)', [workspaceId, type]);
      workspaces.set(workspace, workspaceId);
    }
    const path = `bench/${workspaceId}/${randomUUID()}.mp4`;
    await intake.acceptRemote({ sourceUrl, workspaceId, path, type }, HOLD_MS);
  }
}

/** All that were accepted begin at the same moment. */
async function release() {
  await query(`
    UPDATE pgboss.job SET start_after = now()
    WHERE name = 'storage-transfer' AND state < 'active' AND start_after > now() + interval '1 hour'`);
  app.get(TransferWorker, { strict: false }).poke();
}

/** Every host was asked once, and those for which there is no room were put off. */
async function untilSettled() {
  const hosts = new Set(job.slow.map(({ sourceUrl }) => new URL(sourceUrl).host)).size;
  const begin = performance.now();
  let since = begin;
  let before = -1;
  for (; performance.now() - begin < SETTLE_LIMIT_MS; await sleep(POLL_MS)) {
    const [{ asked, running }] = await query(`
      SELECT count(DISTINCT split_part(source_url, '/', 3)) FILTER (WHERE attempts > 0)::int AS asked,
        count(*) FILTER (WHERE transfer_status = 'TRANSFERRING')::int AS running
      FROM core_storage_file WHERE type = 'slow'`);
    if (asked < hosts || running !== before) since = performance.now();
    before = running;
    if (performance.now() - since > SETTLED_MS) return (since - begin) / 1_000;
  }
  throw new Error('the slow files were not all looked at');
}

async function untilDone() {
  for (;;) {
    const [{ error, done }] = await query(
      `SELECT max(transfer_error) FILTER (WHERE transfer_status = 'FAILED') AS error,
        count(*) FILTER (WHERE transfer_status = 'DONE' AND size = $1)::int AS done
       FROM core_storage_file WHERE type = 'good'`,
      [job.bytes],
    );
    if (error !== null) throw new Error(error);
    if (done === job.good.length) return;
    await sleep(POLL_MS);
  }
}
