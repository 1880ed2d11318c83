import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { DatabaseWork } from '../database-work.js';
import { measureRounds } from '../figures.js';
import { readCpuSeconds, startProcess } from '../processes.js';
import { findRedis, startRedis } from '../redis.js';

const BATCH_SIZE = 16;
const PER_GROUP = 8;

/** What the queue by itself takes, in the product's engine and in another: no file, no row, no transaction with one. */
export const queues = {
  isOfFiles: true,
  title: ({ files }) => `${files} tickets sent, taken ${BATCH_SIZE} at once and ended, with nothing behind them`,

  async run(stage, { files, rounds }) {
    await DatabaseWork.prepare(stage.postgres);
    const redis = findRedis();
    if (redis === undefined) {
      console.log('BullMQ is left out: there is no redis-server (as root: apt-get install redis-server)');
    }
    const { medians, failures } = await measureRounds(rounds, {
      'pg-boss on PostgreSQL': () => carryOnPostgres(stage, files),
      ...(redis && {
        'BullMQ on Redis, fsync always': () => carryOnRedis(stage, files, 'always'),
        'BullMQ on Redis, fsync every second': () => carryOnRedis(stage, files, 'everysec'),
      }),
    });
    return { figures: medians, targets: [], failures };
  },
};

async function carryOnPostgres(stage, files) {
  const databaseUrl = await stage.createMigratedDatabase(`queue_${randomUUID().slice(0, 8)}`);
  const taker = await startTaker(stage, 'pg-boss', files, { DATABASE_URL: databaseUrl });
  const work = new DatabaseWork(databaseUrl);
  await work.begin();
  const readCpu = () => work.readCpuSeconds();
  const figures = await carry(taker, readCpu);
  await work.end();
  return figures;
}

async function carryOnRedis(stage, files, fsync) {
  const redis = await startRedis(join(stage.folder, `redis-${randomUUID()}`), fsync);
  try {
    const taker = await startTaker(stage, 'BullMQ', files, { REDIS_PORT: String(redis.port) });
    return await carry(taker, () => readCpuSeconds(redis.pid));
  } finally {
    await redis.stop();
  }
}

async function startTaker(stage, engine, count, environment) {
  const options = { engine, count, batchSize: BATCH_SIZE, perGroup: PER_GROUP };
  const args = [JSON.stringify(options)];
  return await startProcess('contenders/queue-alone.js', { args, cwd: stage.folder, environment });
}

async function carry(taker, readCpu) {
  const before = await readCpu();
  const sent = await taker.ask('send');
  const between = await readCpu();
  const taken = await taker.ask('take');
  const after = await readCpu();
  await taker.ask('close');
  await taker.exited;
  const { count } = sent;
  if (taken.count !== count) throw new Error(`${taken.count} of ${count} tickets were given out`);
  const rateOf = ({ begin, end }) => count / ((end - begin) / 1_000);
  const milliseconds = (seconds) => (seconds / count) * 1_000;
  return {
    'sent/s': rateOf(sent),
    'taken and ended/s': rateOf(taken),
    'server CPU ms to send': milliseconds(between - before),
    'server CPU ms to take and end': milliseconds(after - between),
    'client CPU ms to send': milliseconds(sent.cpuSeconds),
    'client CPU ms to take and end': milliseconds(taken.cpuSeconds),
  };
}
