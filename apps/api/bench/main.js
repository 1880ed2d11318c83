// pnpm bench [--mib 1024] [--rounds 3]
//
// Measures a transfer through the whole of createAndTransfer (row, lease, address guard, SHA-256, proof) against the
// SDK called naively (fetch + Upload with its defaults), and presigning against the SDK's own getSignedUrl. Each
// contender is a process of its own, rounds are interleaved, figures are medians; the ratio of two figures of one run
// says more than either. Source and store are processes of their own on loopback and share the machine's cores.
import { fork } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { spawnLocalS3 } from '@s3-transfer/local-s3';
import { startPostgres } from '@s3-transfer/local-stack';
import { applyMigrations } from '@s3-transfer/migrations';

const { values } = parseArgs({
  options: { mib: { type: 'string', default: '1024' }, rounds: { type: 'string', default: '3' } },
});
const mib = Number(values.mib);
const rounds = Number(values.rounds);
const contenders = ['createAndTransfer', 'naive SDK'];

const folder = await mkdtemp(join(tmpdir(), 'bench-'));
await chmod(folder, 0o711); // Started as root, PostgreSQL runs as a user who must pass through here.
const stops = [() => rm(folder, { recursive: true, force: true })];
try {
  const keys = { accessKeyId: 'bench-access-key', secretAccessKey: 'bench-secret-key' };
  const postgres = await startPostgres({ dataDir: join(folder, 'postgres') });
  stops.push(() => postgres.stop());
  const databaseUrl = await postgres.createDatabase('bench');
  const migrationsDir = fileURLToPath(new URL('../../../prisma/migrations', import.meta.url));
  await applyMigrations({ databaseUrl, migrationsDir });
  const store = await spawnLocalS3({ dataDir: join(folder, 's3'), ...keys });
  stops.push(() => store.close());
  const client = new S3Client({
    endpoint: store.endpoint,
    region: 'us-east-1',
    credentials: keys,
    forcePathStyle: true,
  });
  await client.send(new CreateBucketCommand({ Bucket: 'bench' }));
  client.destroy();
  const source = await startChild('source.js', [], {});
  stops.push(() => source.child.kill());

  const environment = {
    DATABASE_URL: databaseUrl,
    AUTH_JWT_SECRET: 'only-for-the-bench-and-long-enough',
    S3_ENDPOINT: store.endpoint,
    S3_REGION: 'us-east-1',
    S3_BUCKET: 'bench',
    S3_ACCESS_KEY_ID: keys.accessKeyId,
    S3_SECRET_ACCESS_KEY: keys.secretAccessKey,
    SOURCE_ALLOWED_ADDRESSES: '127.0.0.1/32',
    LOG_LEVEL: 'warn',
  };
  const results = new Map([...contenders, 'presign'].map((name) => [name, []]));
  for (let round = 1; round <= rounds; round += 1) {
    for (const name of results.keys()) {
      const url = `${source.ready.url}?mib=${mib}`;
      const { child, ready } = await startChild('contender.js', [name, url, String(mib)], environment);
      results.get(name).push(ready);
      await new Promise((resolve) => child.once('exit', resolve));
    }
  }

  const medians = Object.fromEntries([...results].map(([name, runs]) => [name, mediansOf(runs)]));
  const rows = contenders.map((name) => ({ what: `${name}, ${mib} MiB`, ...medians[name] }));
  console.table(rows);
  console.table([{ what: 'presign, microseconds a URL', ...medians.presign }]);
  const [ours, naive] = contenders.map((name) => medians[name]);
  const ratios = {
    'MB/s against the naive SDK': round2(ours['MB/s'] / naive['MB/s']),
    'CPU s/GiB against the naive SDK': round2(ours['CPU s/GiB'] / naive['CPU s/GiB']),
    "presign rate against the SDK's getSignedUrl": round2(medians.presign.sdk / medians.presign.ours),
  };
  console.table([ratios]);
  const machine = { node: process.version, cores: cpus().length, cpu: cpus()[0].model };
  const file = fileURLToPath(new URL('results.json', import.meta.url));
  await writeFile(file, `${JSON.stringify({ machine, mib, rounds, medians, ratios }, null, 2)}\n`);
} finally {
  for (const stop of stops.reverse()) await stop();
}

/** Forks a file beside this one; resolves with the first message it sends. */
async function startChild(file, args, environment) {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), args, {
    cwd: folder, // No .env there.
    env: { PATH: process.env.PATH, ...environment },
  });
  const ready = await new Promise((resolve, reject) => {
    child.once('message', resolve);
    child.once('exit', (code) => reject(new Error(`${file} ${args[0] ?? ''} ended with ${code} before it answered`)));
  });
  return { child, ready };
}

function mediansOf(runs) {
  return Object.fromEntries(Object.keys(runs[0]).map((key) => [key, median(runs.map((run) => run[key]))]));
}

function median(numbers) {
  return round2(numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]);
}

function round2(number) {
  return Math.round(number * 100) / 100;
}
