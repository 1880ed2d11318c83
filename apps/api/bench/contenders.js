// Each contender as a function of a job, `{ url, endpoint, bytes, sha256? }`: it carries the bytes from the URL into the
// bucket once, in processes of its own, and gives its figures. It throws when the outcome is not what it should be.
// A rival's time begins with its first request to the source, so that the start of its program is not held against it.
import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runCommand, runProcess } from './processes.js';
import { assertInstalled } from './rivals.js';
import { BUCKET, KEYS, REGION } from './stage.js';

/** As the product's own start commands run it. */
const PRODUCT_NODE_OPTIONS = ['--max-semi-space-size=1'];
const PART_BYTES = 10 * 1024 * 1024;
const PARALLEL_PARTS = 4;
const AWS_ENVIRONMENT = {
  AWS_ACCESS_KEY_ID: KEYS.accessKeyId,
  AWS_SECRET_ACCESS_KEY: KEYS.secretAccessKey,
  AWS_DEFAULT_REGION: REGION,
  AWS_EC2_METADATA_DISABLED: 'true',
};

/** `urls` instead of `url` transfers all of them at once. */
export async function product(stage, { url, urls = [url], endpoint, bytes, sha256, environment, nodeOptions = [] }) {
  const run = () =>
    runProcess('contenders/product.js', {
      args: [JSON.stringify({ urls, bytes, sha256 })],
      cwd: stage.folder,
      environment: { ...stage.environmentFor(endpoint), ...environment },
      nodeOptions: [...PRODUCT_NODE_OPTIONS, ...nodeOptions],
    });
  return await watchSource(stage, run);
}

/** A contender of ours that watches something of its own; `environment` comes on top of what all of them have. */
export async function runProduct(stage, file, job, environment) {
  return await runProcess(file, {
    args: [JSON.stringify(job)],
    cwd: stage.folder,
    environment: { ...stage.environmentFor(stage.sink.ready.endpoint), ...environment },
    nodeOptions: PRODUCT_NODE_OPTIONS,
  });
}

export async function naiveSdk(stage, { url, endpoint }) {
  return await runProcess('contenders/naive-sdk.js', {
    args: [JSON.stringify({ url })],
    cwd: stage.folder,
    environment: stage.environmentFor(endpoint),
  });
}

export async function presign(stage, { endpoint }) {
  return await runProcess('contenders/presign.js', {
    cwd: stage.folder,
    environment: stage.environmentFor(endpoint),
    nodeOptions: PRODUCT_NODE_OPTIONS,
  });
}

/** The bare copy: what the machine's loopback gives to a program that does nothing with the bytes. */
export async function loopbackCopy(stage, { url, endpoint }) {
  const key = randomUUID();
  const script = 'curl -sSf "$0" | curl -sSf -T - "$1"';
  const command = ['bash', '-o', 'pipefail', '-c', script, url, `${endpoint}/${BUCKET}/${key}`];
  return await runRival(stage, command, key);
}

export async function rclone(stage, { url, endpoint }) {
  assertInstalled('rclone');
  const key = randomUUID();
  const store = ['--s3-provider', 'Other', '--s3-endpoint', endpoint, '--s3-region', REGION, '--s3-force-path-style'];
  const keys = ['--s3-access-key-id', KEYS.accessKeyId, '--s3-secret-access-key', KEYS.secretAccessKey];
  const parts = ['--s3-chunk-size', '10M', '--s3-upload-concurrency', String(PARALLEL_PARTS)];
  // A smaller cutoff than the default, so that a short run (--quick) sends parts too.
  const others = ['--s3-upload-cutoff', '10M', '--s3-no-check-bucket', '--ca-cert', stage.certificateFile];
  const command = ['rclone', 'copyurl', url, `:s3:${BUCKET}/${key}`, ...store, ...keys, ...parts, ...others];
  return await runRival(stage, command, key, { RCLONE_CONFIG: '/dev/null' });
}

export async function boto3(stage, { url, endpoint }) {
  assertInstalled('boto3');
  const key = randomUUID();
  const script = fileURLToPath(new URL('contenders/boto3_upload.py', import.meta.url));
  const figures = await runRival(stage, ['python3', script, url, endpoint, BUCKET, key], key, AWS_ENVIRONMENT);
  // Half a second of imports is not the transfer's: the script counts its own.
  return { ...figures, cpuSeconds: Number(figures.output) };
}

/** Without a target: curl asks the source while aws still starts, so half a second of its start is in its time. */
export async function awsS3Cp(stage, { url, endpoint, bytes }) {
  assertInstalled('aws s3 cp');
  const key = randomUUID();
  const config = join(stage.folder, 'aws-config');
  const settings = { multipart_chunksize: PART_BYTES, max_concurrent_requests: PARALLEL_PARTS };
  const lines = Object.entries(settings).map(([name, value]) => `  ${name} = ${value}\n`);
  await writeFile(config, `[default]\ns3 =\n${lines.join('')}`);
  const script = 'curl -sSf "$0" | aws s3 cp - "$1" --endpoint-url "$2" --expected-size "$3" --only-show-errors';
  const place = [`s3://${BUCKET}/${key}`, endpoint, String(bytes)];
  const command = ['bash', '-o', 'pipefail', '-c', script, url, ...place];
  return await runRival(stage, command, key, { ...AWS_ENVIRONMENT, AWS_CONFIG_FILE: config });
}

async function runRival(stage, command, key, environment) {
  const run = await watchSource(stage, () => runCommand(command, { cwd: stage.folder, environment }));
  return { ...run, seconds: (run.endedAt - run.source.firstRequestAt) / 1_000, objects: [{ key }] };
}

/** Adds what the source sent meanwhile. */
async function watchSource(stage, run) {
  await stage.source.ask('stats');
  const figures = await run();
  return { ...figures, source: await stage.source.ask('stats') };
}

/**
 * Compares the objects that a contender wrote with what the sink received.
 *
 * @returns how the bytes were protected on their way
 * @throws Error where the size is not `bytes`, or the row's SHA-256 is not that of a sink that hashes
 */
export async function proveArrival(sink, { objects }, bytes) {
  let integrity;
  for (const { key, sha256 } of objects) {
    const received = await sink.ask({ key });
    if (received?.size !== bytes) {
      throw new Error(`the sink has ${received?.size ?? 'nothing'} of ${bytes} bytes of ${key}`);
    }
    if (received.sha256 !== null && received.sha256 !== sha256) {
      throw new Error(`the sink's SHA-256 of ${key} is ${received.sha256}, the row's ${sha256}`);
    }
    integrity = received.integrity;
  }
  return integrity;
}
