import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type LocalS3Options, type LocalS3Process, spawnLocalS3 } from '@s3-transfer/local-s3';
import { findFreePort } from '../free-port.js';
import { keep, readKept } from '../kept-file.js';
import { readOrMakeAccessKeys } from './access-keys.js';

const REGION = 'us-east-1';
const START_ATTEMPTS = 20;
const RETRY_DELAY_MS = 100;

/** A running local S3 server and the keys that it accepts. It has no bucket at its first start. */
export interface LocalStackS3 {
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Of the server's process. */
  readonly pid: number;
  /** Ends the server in order, after the requests that run. Idempotent, at most about 8 s. */
  stop(): Promise<void>;
  /** kill -9, for crash tests. */
  kill(): Promise<void>;
}

/**
 * Starts the local S3 server with its objects in `dataDir`/s3; keys and port stand beside it and stay the same between runs.
 * Port: the wished one, else that of the last run, else any free one.
 * @throws Error with the server's reason when it does not start.
 */
export async function startS3(dataDir: string, wishedPort?: number): Promise<LocalStackS3> {
  const portFile = path.join(dataDir, 's3-port');
  const keys = await readOrMakeAccessKeys(path.join(dataDir, 's3-keys.json'));
  const rememberedPort = Number(await readKept(portFile));
  const server = await spawnOnFreePort([wishedPort, rememberedPort], {
    dataDir: path.join(dataDir, 's3'),
    region: REGION,
    ...keys,
  });
  await keep(portFile, String(server.port));
  return {
    endpoint: server.endpoint,
    region: REGION,
    ...keys,
    pid: server.pid,
    stop: () => server.close(),
    kill: () => server.kill(),
  };
}

/**
 * Tries again for 2 s: the server of a killed run ends by itself a moment after its parent and holds folder and port until
 * then, and a port can be taken between our look and the server's bind.
 */
async function spawnOnFreePort(
  ports: readonly (number | undefined)[],
  options: LocalS3Options,
): Promise<LocalS3Process> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await spawnLocalS3({ ...options, port: await findFreePort(ports) });
    } catch (error) {
      const isPassing = error instanceof Error && /in use|is taken/.test(error.message);
      if (!isPassing || attempt === START_ATTEMPTS) throw error;
      await delay(RETRY_DELAY_MS);
    }
  }
}
