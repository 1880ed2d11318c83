import { setTimeout as sleep } from 'node:timers/promises';
import { DatabaseWork, query } from '../database-work.js';
import { atLeast, measureRounds, ratio } from '../figures.js';
import { readCpuSeconds, runProcess, startProcess } from '../processes.js';
import { digestOf } from '../source-bytes.js';

const BYTES = 1_024;
const WORKSPACES = 50;
/** A longer round is for 2 workers alone: it takes many minutes as it is. */
const FILES_OF_A_ROUND = 10_000;
/** Transfers of one process at once, and so the most tickets of one batch. */
const CONCURRENCY = 16;
const PER_WORKSPACE = 8;
const LOOK_MS = 1_000;
/** As the product's own `worker` command runs. */
const NODE_OPTIONS = ['--max-semi-space-size=1'];

/** One source and one store on this machine: the limit of a host would be the limit of all. */
const ENVIRONMENT = {
  TRANSFER_CONCURRENCY: String(CONCURRENCY),
  TRANSFER_CONCURRENCY_PER_HOST: String(CONCURRENCY),
  TRANSFER_CONCURRENCY_PER_WORKSPACE: String(PER_WORKSPACE),
};

/** Files are enqueued before the clock starts, and each contender works on a copy of that database. */
export const manySmall = {
  isOfFiles: true,
  title: ({ files }) => `${files} files of 1 KiB from the queue by 1 and by 2 workers, against pg-boss doing nothing`,

  async run(stage, { files, rounds, isTold }) {
    await DatabaseWork.prepare(stage.postgres);
    const enqueued = await enqueue(stage, files);
    const contenders = {
      ...(files <= FILES_OF_A_ROUND && {
        'pg-boss alone, 1 process': () => takeNothing(stage, { files, processes: 1 }),
        '1 worker': () => transfer(stage, { files, workers: 1, isTold }),
      }),
      'pg-boss alone, 2 processes': () => takeNothing(stage, { files, processes: 2 }),
      '2 workers': () => transfer(stage, { files, workers: 2, isTold }),
    };
    const { medians, failures } = await measureRounds(rounds, contenders);
    const against = (name, rival) => ratio(medians[name], medians[rival], 'jobs/s');
    const one = atLeast(
      0.25,
      'jobs/s of 1 worker against pg-boss alone',
      against('1 worker', 'pg-boss alone, 1 process'),
    );
    const two = atLeast(
      0.25,
      'jobs/s of 2 workers against pg-boss alone',
      against('2 workers', 'pg-boss alone, 2 processes'),
    );
    const targets = files <= FILES_OF_A_ROUND ? [one, two] : [two];
    return { figures: { enqueue: enqueued, ...medians }, targets, failures };
  },
};

const TEMPLATE = 'enqueued';
let copies = 0;

async function enqueue(stage, files) {
  const databaseUrl = await stage.createMigratedDatabase(TEMPLATE);
  const work = new DatabaseWork(databaseUrl);
  await work.begin();
  const { seconds, cpuSeconds } = await runProcess('contenders/enqueue.js', {
    args: [JSON.stringify({ url: stage.sourceUrl({ bytes: BYTES }), count: files, workspaces: WORKSPACES })],
    cwd: stage.folder,
    environment: {
      ...stage.environmentFor(stage.sink.ready.endpoint),
      DATABASE_URL: databaseUrl,
      TRANSFER_WORKER: 'none',
    },
  });
  const { kinds, cpuSeconds: databaseCpuSeconds } = await work.end();
  await query(databaseUrl, 'VACUUM ANALYZE');
  return {
    'jobs/s': files / seconds,
    ...statementsOf(kinds, files),
    'client CPU ms/file': (cpuSeconds / files) * 1_000,
    'PostgreSQL CPU ms/file': (databaseCpuSeconds / files) * 1_000,
  };
}

function statementsOf(kinds, files) {
  const perFile = (kind) => kinds[kind].calls / files;
  return {
    'statements/file': Object.values(kinds).reduce((sum, { calls }) => sum + calls, 0) / files,
    'of the queue': perFile('queue'),
    'of the file': perFile('files') + perFile('transaction'),
    'of events': perFile('events'),
  };
}

async function copyDatabase(stage) {
  copies += 1;
  const databaseUrl = await stage.postgres.createDatabase(`copy_${copies}`, TEMPLATE);
  await query(databaseUrl, 'CHECKPOINT');
  return databaseUrl;
}

async function takeNothing(stage, { files, processes }) {
  const databaseUrl = await copyDatabase(stage);
  const options = {
    args: [JSON.stringify({ engine: 'pg-boss', batchSize: CONCURRENCY, perGroup: PER_WORKSPACE })],
    cwd: stage.folder,
    environment: { DATABASE_URL: databaseUrl },
  };
  const takers = [];
  for (let started = 0; started < processes; started += 1) {
    takers.push(await startProcess('contenders/queue-alone.js', options));
  }
  const work = new DatabaseWork(databaseUrl);
  await work.begin();
  const figures = await Promise.all(takers.map((taker) => taker.ask('take')));
  const { kinds, cpuSeconds } = await work.end();
  await Promise.all(takers.map((taker) => taker.ask('close').then(() => taker.exited)));
  const count = figures.reduce((sum, taker) => sum + taker.count, 0);
  if (count !== files) throw new Error(`pg-boss gave out ${count} of ${files} tickets`);
  const begin = Math.min(...figures.map((taker) => taker.begin));
  const end = Math.max(...figures.map((taker) => taker.end));
  return {
    'jobs/s': files / ((end - begin) / 1_000),
    ...statementsOf(kinds, files),
    'client CPU ms/file': (figures.reduce((sum, taker) => sum + taker.cpuSeconds, 0) / files) * 1_000,
    'PostgreSQL CPU ms/file': (cpuSeconds / files) * 1_000,
  };
}

async function transfer(stage, { files, workers, isTold }) {
  const databaseUrl = await copyDatabase(stage);
  const store = await stage.startLocalS3(`s3-${copies}`);
  await stage.source.ask('stats');
  const work = new DatabaseWork(databaseUrl);
  await work.begin();
  const environment = { ...stage.environmentFor(store.endpoint), ...ENVIRONMENT, DATABASE_URL: databaseUrl };
  const running = [];
  for (let started = 0; started < workers; started += 1) {
    running.push(startProcess('contenders/worker.js', { cwd: stage.folder, environment, nodeOptions: NODE_OPTIONS }));
  }
  const started = await Promise.all(running);
  const cpuOf = async () => ({
    workers: (await Promise.all(started.map(({ pid }) => readCpuSeconds(pid)))).reduce((sum, cpu) => sum + cpu, 0),
    store: await readCpuSeconds(store.pid),
    source: await readCpuSeconds(stage.source.pid),
  });
  const before = await cpuOf();
  await untilDone(work, files);
  const after = await cpuOf();
  const requests = await Promise.all(started.map((worker) => worker.ask('requests')));
  const { kinds, cpuSeconds, statements } = await work.end();
  const { seconds } = await proveDone(databaseUrl, files);
  for (const worker of started) await worker.stop();
  await store.close();
  const source = await stage.source.ask('stats');
  if (isTold) tell(statements, files);
  const storeRequests = requests.flatMap((worker) => Object.values(worker.requests)).reduce((sum, n) => sum + n, 0);
  return {
    'jobs/s': files / seconds,
    ...statementsOf(kinds, files),
    'S3 requests/file': storeRequests / files,
    'source requests/file': source.requests / files,
    'client CPU ms/file': ((after.workers - before.workers) / files) * 1_000,
    'PostgreSQL CPU ms/file': (cpuSeconds / files) * 1_000,
    'store CPU ms/file': ((after.store - before.store) / files) * 1_000,
    'source CPU ms/file': ((after.source - before.source) / files) * 1_000,
  };
}

/** Every row has ended, and everybody was told of it. */
async function untilDone(work, files) {
  for (;;) {
    const [{ bench_read: told }] = await work.read(
      'SELECT count(*)::int AS bench_read FROM core_outbox_event WHERE dispatched_at IS NOT NULL',
    );
    if (told >= files) return;
    await sleep(LOOK_MS);
  }
}

/** On the database's clock, from the first claim to the last file's event. @throws Error where a row is not what it should be */
async function proveDone(databaseUrl, files) {
  const [row] = await query(
    databaseUrl,
    `SELECT count(*) FILTER (WHERE transfer_status = 'DONE' AND size = ${BYTES} AND sha256 = '${digestOf(BYTES)}')::int AS done,
      (SELECT extract(epoch FROM max(dispatched_at)) FROM core_outbox_event)::float8
        - (SELECT extract(epoch FROM min(started_at)) FROM core_storage_attempt)::float8 AS seconds,
      (SELECT count(*)::int FROM core_storage_attempt) AS attempts
    FROM core_storage_file`,
  );
  if (row.done !== files || row.attempts !== files) {
    throw new Error(`${row.done} of ${files} files are DONE after ${row.attempts} attempts`);
  }
  return row;
}

function tell(statements, files) {
  console.table(
    statements
      .filter(({ calls }) => calls >= files / 500)
      .map(({ query: text, kind, calls, ms, planMs, walBytes }) => ({
        statement: text.replace(/\s+/g, ' ').trim().slice(0, 90),
        kind,
        'calls/file': Number((calls / files).toFixed(3)),
        'ms/file': Number((ms / files).toFixed(4)),
        'planning, ms/file': Number((planMs / files).toFixed(4)),
        'WAL bytes/file': Math.round(walBytes / files),
      })),
  );
}
