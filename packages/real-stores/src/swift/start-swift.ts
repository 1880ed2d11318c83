import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Daemon, startDaemon } from '../daemon.js';
import { installPackages, requireRoot } from '../debian-packages.js';
import { findFreePorts, requireFreePort } from '../free-ports.js';
import type { RealStore, RealStoreOptions } from '../real-store.js';
import { createStoreFolder } from '../store-folder.js';
import { type SwiftPorts, swiftFiles } from './swift-settings.js';

const run = promisify(execFile);

const PACKAGES = ['python3-swift', 'memcached'];
/** Debian's own Python: the one that has Swift. */
const PYTHON = '/usr/bin/python3';
const PREPARE = fileURLToPath(new URL('../../python/prepare_swift.py', import.meta.url));
const SERVE = fileURLToPath(new URL('../../python/serve_swift.py', import.meta.url));
const ENVIRONMENT = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8', PYTHONDONTWRITEBYTECODE: '1' };
/** A server takes 1 to 2 s on an idle machine, most of it Python's imports. */
const START_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 5_000;

export interface SwiftOptions extends RealStoreOptions {
  /** s3api's `location`; us-east-1 by default. */
  region?: string;
  /** s3api's `max_upload_part_num`; 1,000 by default, as in Swift. */
  maxParts?: number;
  /** s3api's `cors_preflight_allow_origin`; without it s3api answers no preflight. */
  corsOrigin?: string;
}

/**
 * Starts OpenStack Swift with its S3 API on 127.0.0.1, one replica on one folder, and resolves when it answers: about 5 s, with the
 * installation of the packages about 35 s. The folder's file system needs user extended attributes: tmpfs has them since Linux 6.6.
 * @throws Error when this process is not root, the port is taken, a package cannot be installed, or a server does not start, with
 * its last words
 */
export async function startSwift(options: SwiftOptions = {}): Promise<RealStore> {
  requireRoot('Swift');
  if (options.port !== undefined) await requireFreePort(options.port);
  const [version = ''] = await installPackages(PACKAGES);
  const folder = await createStoreFolder('swift', options.parentDir);
  const storage: Daemon[] = [];
  let gateway: Daemon | undefined;
  let stopped: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    await Promise.all([gateway, ...storage].map((daemon) => daemon?.end(STOP_LIMIT_MS)));
    await folder.remove();
  };
  try {
    const [proxy = 0, account = 0, container = 0, object = 0, memcached = 0] = await findFreePorts(5);
    const ports: SwiftPorts = { proxy: options.port ?? proxy, account, container, object, memcached };
    const settings = {
      folder: folder.path,
      ports,
      region: options.region ?? 'us-east-1',
      accessKeyId: 'test:tester',
      secretAccessKey: 'testing',
      maxParts: options.maxParts ?? 1_000,
      corsOrigin: options.corsOrigin,
    };
    await mkdir(path.join(folder.path, 'devices', 'd1'), { recursive: true });
    const files = Object.entries(swiftFiles(settings));
    await Promise.all(files.map(([name, text]) => writeFile(path.join(folder.path, name), text)));
    await prepare(folder.path, ports);

    const start = (name: string, command: readonly string[]): Daemon =>
      startDaemon(command, path.join(folder.path, `swift-${name}.log`), ENVIRONMENT);
    const serve = (name: string): Daemon => start(name, [PYTHON, SERVE, folder.path, name]);
    const endpoint = `http://127.0.0.1:${ports.proxy}`;
    const startGateway = async (): Promise<void> => {
      gateway = serve('proxy');
      await gateway.untilReady(async () => (await fetch(`${endpoint}/healthcheck`)).ok, START_LIMIT_MS);
    };
    const startStorage = async (name: 'account' | 'container' | 'object' | 'memcached'): Promise<void> => {
      // root, since a change of the user would undo what ends it together with this process.
      const memcached = ['memcached', '-u', 'root', '-l', '127.0.0.1', '-p', String(ports.memcached), '-U', '0'];
      const daemon = name === 'memcached' ? start(name, memcached) : serve(name);
      storage.push(daemon);
      await daemon.untilReady(() => acceptsConnections(ports[name]), START_LIMIT_MS);
    };
    const starts = [...(['memcached', 'account', 'container', 'object'] as const).map(startStorage), startGateway()];
    // All of them have to settle, so that none is still coming up when a failed start is taken back.
    const failed = (await Promise.allSettled(starts)).find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    return {
      name: 'swift',
      version,
      endpoint,
      region: settings.region,
      accessKeyId: settings.accessKeyId,
      secretAccessKey: settings.secretAccessKey,
      maxParts: settings.maxParts,
      killGateway: async () => gateway?.kill(),
      async restart() {
        await gateway?.kill();
        await startGateway();
      },
      stop() {
        stopped ??= stop();
        return stopped;
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Builds the three rings (which server has which data), and tries the file system. */
async function prepare(folder: string, { account, container, object }: SwiftPorts): Promise<void> {
  const ports = [account, container, object].map(String);
  await run(PYTHON, [PREPARE, folder, ...ports], { env: ENVIRONMENT }).catch((error: { stderr?: string }) => {
    throw new Error(`Swift cannot be set up in ${folder}: ${error.stderr?.trim()}`, { cause: error });
  });
}

function acceptsConnections(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}
