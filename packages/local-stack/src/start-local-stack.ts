import path from 'node:path';
import { makeDataFolder } from './data-folder.js';
import { claimFolder } from './folder-claim.js';
import { type LocalPostgres, startPostgres } from './postgres/start-postgres.js';
import { type LocalStackS3, startS3 } from './s3/start-s3.js';
import { type SampleSource, startSampleSource } from './sample/start-sample-source.js';

export interface LocalStackOptions {
  /** Folder of all data, made when missing, kept between runs; PostgreSQL and S3 have one each in it. */
  readonly dataDir: string;
  /** Wished ports on 127.0.0.1; a taken one is replaced by a free one. */
  readonly ports?: { readonly postgres?: number; readonly s3?: number; readonly sample?: number };
  /** Which parts to start; each is `true` by default. */
  readonly withPostgres?: boolean;
  readonly withS3?: boolean;
  readonly withSample?: boolean;
  /** `false` leaves out PostgreSQL's fsync, for tests. Default `true`. */
  readonly durable?: boolean;
}

/** What runs; a part that was not asked for is `undefined`. */
export interface LocalStack {
  readonly postgres: LocalPostgres | undefined;
  readonly s3: LocalStackS3 | undefined;
  readonly sample: SampleSource | undefined;
  /** Ends all parts, the last started first, and lets go of the data folder. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Starts PostgreSQL, an S3 server and the source of the sample recording, all on 127.0.0.1. When one of them does not start,
 * those before it are stopped again.
 *
 * Ctrl-C in the terminal ends none of them: the caller calls `stop` when its own work is done.
 * @throws Error of one line for what a person can mend: a closed folder, a folder in use by another run.
 */
export async function startLocalStack(options: LocalStackOptions): Promise<LocalStack> {
  const { dataDir, ports = {}, withPostgres = true, withS3 = true, withSample = true, durable = true } = options;
  const endings: (() => Promise<void>)[] = [];
  let stopping: Promise<void> | undefined;
  const stop = () => {
    stopping ??= endAll(endings);
    return stopping;
  };
  try {
    const postgres = withPostgres
      ? await startPostgres({ dataDir: path.join(dataDir, 'postgres'), port: ports.postgres, durable })
      : undefined;
    if (postgres) endings.push(() => postgres.stop());

    const s3 = withS3 ? await startClaimedS3(dataDir, ports.s3, endings) : undefined;

    const sample = withSample ? await startSampleSource({ port: ports.sample }) : undefined;
    if (sample) endings.push(() => sample.close());

    return { postgres, s3, sample, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** PostgreSQL claims its own folder; the keys and the port of S3 stand in the folder of the stack. */
async function startClaimedS3(
  dataDir: string,
  port: number | undefined,
  endings: (() => Promise<void>)[],
): Promise<LocalStackS3> {
  await makeDataFolder(dataDir);
  const claim = await claimFolder(dataDir);
  endings.push(() => claim.release());
  const s3 = await startS3(dataDir, port);
  endings.push(() => s3.stop());
  return s3;
}

/** Runs every ending, the newest first, also after one has failed; the first error is the one to tell. */
async function endAll(endings: (() => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (let end = endings.pop(); end; end = endings.pop()) {
    await end().catch((error: unknown) => failures.push(error));
  }
  if (failures.length > 0) throw failures[0];
}
