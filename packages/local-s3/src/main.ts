import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { type LocalS3, type LocalS3Options, startLocalS3 } from './server.js';
import type { StartReport } from './spawn.js';

const USAGE = `node dist/main.js --data-dir <folder> [--port 9000] [--host 127.0.0.1] [--region us-east-1]
with LOCAL_S3_ACCESS_KEY_ID and LOCAL_S3_SECRET_ACCESS_KEY in the environment`;

if (process.send) await runAsChild();
else await runStandalone();

/** Forked by spawnLocalS3: options come over IPC, and the channel's end is the parent's. */
async function runAsChild(): Promise<void> {
  // A terminal's Ctrl-C reaches the whole process group; only the parent knows when nothing needs this server any more.
  process.on('SIGINT', () => {});
  process.on('disconnect', () => process.exit(0));
  const [options] = (await once(process, 'message')) as [LocalS3Options];
  try {
    const server = await startLocalS3(options);
    closeOn('SIGTERM', server);
    report({ endpoint: server.endpoint, port: server.port });
  } catch (error) {
    report({ failure: messageOf(error) });
  }
}

async function runStandalone(): Promise<void> {
  try {
    const server = await startLocalS3(optionsOfCommandLine());
    closeOn('SIGTERM', server);
    closeOn('SIGINT', server);
    process.stdout.write(`local-s3 listens on ${server.endpoint}\n`);
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`);
    process.exitCode = 1;
  }
}

function optionsOfCommandLine(): LocalS3Options {
  const { values } = parseArgs({
    options: {
      'data-dir': { type: 'string' },
      port: { type: 'string', default: '9000' },
      host: { type: 'string' },
      region: { type: 'string' },
    },
  });
  const accessKeyId = process.env.LOCAL_S3_ACCESS_KEY_ID;
  const secretAccessKey = process.env.LOCAL_S3_SECRET_ACCESS_KEY;
  if (!values['data-dir'] || !accessKeyId || !secretAccessKey || !/^\d{1,5}$/.test(values.port)) throw new Error(USAGE);
  return {
    dataDir: values['data-dir'],
    host: values.host,
    port: Number(values.port),
    region: values.region,
    accessKeyId,
    secretAccessKey,
  };
}

function closeOn(signal: 'SIGTERM' | 'SIGINT', server: LocalS3): void {
  process.once(signal, () => {
    server.close().then(
      () => process.exit(0),
      (error: unknown) => {
        process.stderr.write(`${messageOf(error)}\n`);
        process.exit(1);
      },
    );
  });
}

function report(message: StartReport): void {
  process.send?.(message);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
