import { type ChildProcess, spawn } from 'node:child_process';
import { open, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client, escapeIdentifier } from 'pg';
import { claimFolder, type FolderClaim } from '../folder-claim.js';
import { findFreePort } from '../free-port.js';
import { keep, readKept } from '../kept-file.js';
import { findPostgresBinaries } from './binaries.js';
import { type ClusterFolder, openCluster, prepareClusterFolder, SERVER_ENVIRONMENT } from './cluster-folder.js';
import { killCluster, readPostmaster, shutDownCluster, signal } from './cluster-processes.js';

const USER = 'postgres';
const DEFAULT_DATABASE = 'postgres';
const POLL_MS = 10;
/** Replaying the log after a crash may take a while; a first start takes well under a second. */
const START_LIMIT_MS = 60_000;
/** Another process can take the port between our look and the server's bind. */
const PORT_ATTEMPTS = 3;
const LOG_LINES_SHOWN = 15;

export interface PostgresOptions {
  /** Folder of this cluster alone; made when missing, kept between runs. */
  readonly dataDir: string;
  /** Wished port on 127.0.0.1. When it is taken: the port of the last run, else any free one. */
  readonly port?: number;
  /** `false` leaves out fsync, for tests: a power cut may then lose the data. Default `true`. */
  readonly durable?: boolean;
}

/** A running PostgreSQL of our own, reachable on 127.0.0.1 alone. */
export interface LocalPostgres {
  /** Connection string of the default database, with the password. */
  readonly url: string;
  /** Makes a database, as a copy of `template` when given, and resolves to its connection string. */
  createDatabase(name: string, template?: string): Promise<string>;
  /** Ends the server in order; connections that are still open are cut. Idempotent, at most about 8 s. */
  stop(): Promise<void>;
  /** kill -9 of every process of the server, for crash tests. */
  kill(): Promise<void>;
  /** Starts again on the same port with the same data; ends the server first when it still runs. Not after `stop`. */
  restart(): Promise<void>;
}

/**
 * Starts PostgreSQL 18 on `dataDir`; the first time this makes the cluster (about 1 s), later starts take about 0.1 s.
 *
 * The server leads a session of its own: Ctrl-C on the terminal does not reach it, so that the app can end its work first.
 * What a killed run has left running is stopped before.
 * @throws Error of one line when the data folder or the programs cannot be reached by the server's user, another run
 *   uses the folder, or the server does not start (with the last lines of its log).
 */
export async function startPostgres(options: PostgresOptions): Promise<LocalPostgres> {
  const binaries = await findPostgresBinaries();
  const folder = await prepareClusterFolder(options.dataDir, binaries);
  const claim = await claimFolder(folder.root);
  try {
    const isDurable = options.durable ?? true;
    const password = await openCluster(folder, binaries, isDurable);
    const server = new PostgresServer(folder, binaries.postgres, isDurable);
    const port = await server.start([options.port, Number(await readKept(folder.portFile))]);
    return new RunningPostgres(server, claim, port, password);
  } catch (error) {
    await claim.release();
    throw error;
  }
}

/** A killed run leaves its server running, or, after a power cut, a postmaster.pid whose number may be anybody's by now. */
async function stopLeftOver(folder: ClusterFolder): Promise<void> {
  const leftOver = await readPostmaster(folder.cluster);
  if (!leftOver) return;
  await shutDownCluster(leftOver.pid, folder.cluster);
  // PostgreSQL would not start while any process of its user has that number.
  await rm(path.join(folder.cluster, 'postmaster.pid'), { force: true });
}

class RunningPostgres implements LocalPostgres {
  private stopping: Promise<void> | undefined;

  constructor(
    private readonly server: PostgresServer,
    private readonly claim: FolderClaim,
    private readonly port: number,
    private readonly password: string,
  ) {}

  get url(): string {
    return this.urlOf(DEFAULT_DATABASE);
  }

  async createDatabase(name: string, template?: string): Promise<string> {
    const client = new Client({ connectionString: this.url });
    await client.connect();
    try {
      const source = template === undefined ? '' : ` TEMPLATE ${escapeIdentifier(template)}`;
      await client.query(`CREATE DATABASE ${escapeIdentifier(name)}${source}`);
    } finally {
      await client.end();
    }
    return this.urlOf(name);
  }

  stop(): Promise<void> {
    // The folder is let go only when the server is gone, however many callers ask.
    this.stopping ??= this.server.stop().finally(() => this.claim.release());
    return this.stopping;
  }

  kill(): Promise<void> {
    return this.server.kill();
  }

  async restart(): Promise<void> {
    if (this.stopping) throw new Error('this PostgreSQL was stopped and its folder let go: call startPostgres again');
    await this.server.stop();
    const port = await this.server.start([this.port]);
    if (port === this.port) return;
    await this.server.stop();
    throw new Error(`port ${this.port} was taken while PostgreSQL was down`);
  }

  private urlOf(database: string): string {
    return `postgresql://${USER}:${this.password}@127.0.0.1:${this.port}/${encodeURIComponent(database)}`;
  }
}

/** The server process: at most one at a time. */
class PostgresServer {
  private child: ChildProcess | undefined;

  constructor(
    private readonly folder: ClusterFolder,
    private readonly program: string,
    private readonly isDurable: boolean,
  ) {}

  /** Starts on the first wished port that is free, else on any, and resolves to it once queries are accepted. */
  async start(wishedPorts: readonly (number | undefined)[]): Promise<number> {
    // First of all, since a server left over holds the port that we want to keep.
    await stopLeftOver(this.folder);
    for (let attempt = 1; ; attempt++) {
      const port = await findFreePort(wishedPorts);
      try {
        await this.launch(port);
        await keep(this.folder.portFile, String(port));
        return port;
      } catch (error) {
        await this.stop();
        const log = await readLastLines(this.folder.logFile);
        if (log.includes('could not bind') && attempt < PORT_ATTEMPTS) continue;
        throw new Error(`PostgreSQL did not start (${messageOf(error)}); the end of ${this.folder.logFile}:\n${log}`, {
          cause: error,
        });
      }
    }
  }

  async stop(): Promise<void> {
    const pid = this.forget();
    if (pid) await shutDownCluster(pid, this.folder.cluster);
  }

  async kill(): Promise<void> {
    const pid = this.forget();
    if (pid) await killCluster(pid, this.folder.cluster);
  }

  private forget(): number | undefined {
    process.off('exit', this.onExit);
    const pid = this.child?.pid;
    this.child = undefined;
    return pid;
  }

  /** A process that ends without stop() still asks its server to end; nothing can be awaited any more here. */
  private readonly onExit = (): void => {
    const hasEnded = this.child?.exitCode !== null || this.child.signalCode !== null;
    if (this.child?.pid && !hasEnded) signal(this.child.pid, 'SIGINT');
  };

  private async launch(port: number): Promise<void> {
    const { cluster, logFile, account } = this.folder;
    await rename(logFile, `${logFile}.old`).catch(() => undefined); // no log yet: the first start
    // A file, not a pipe: a server that outlives us must not fail on its next log line.
    const log = await open(logFile, 'a', 0o600);
    let child: ChildProcess;
    try {
      child = spawn(this.program, ['-D', cluster, ...this.settings(port)], {
        ...account,
        cwd: '/',
        env: SERVER_ENVIRONMENT,
        detached: true,
        stdio: ['ignore', log.fd, log.fd],
      });
    } finally {
      await log.close();
    }
    let failure: Error | undefined;
    child.once('error', (error) => {
      failure = error;
    });
    child.once('exit', (code, signalName) => {
      failure ??= new Error(`it ended with ${signalName ?? `exit code ${code}`}`);
    });
    this.child = child;
    process.once('exit', this.onExit);
    const deadline = performance.now() + START_LIMIT_MS;
    for (;;) {
      if (failure) throw failure;
      const postmaster = await readPostmaster(cluster);
      if (postmaster?.pid === child.pid && postmaster?.isReady) return;
      if (performance.now() > deadline) throw new Error(`not ready after ${START_LIMIT_MS} ms`);
      await delay(POLL_MS);
    }
  }

  private settings(port: number): string[] {
    const settings = {
      port: String(port),
      listen_addresses: '127.0.0.1',
      // No Unix socket: its path is limited to 107 bytes, and 127.0.0.1 is enough.
      unix_socket_directories: '',
      timezone: 'UTC',
      log_timezone: 'UTC',
      // full_page_writes guards against torn pages of a power cut, which nobody expects to survive without fsync.
      // Tests run many apps side by side on one server, each with pools of its own.
      ...(this.isDurable ? {} : { fsync: 'off', full_page_writes: 'off', max_connections: '400' }),
    };
    return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  }
}

async function readLastLines(logFile: string): Promise<string> {
  const text = await readFile(logFile, 'utf8').catch(() => ''); // no log was made
  return text.trimEnd().split('\n').slice(-LOG_LINES_SHOWN).join('\n');
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
