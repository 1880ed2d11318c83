import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { promisify } from 'node:util';
import { type Daemon, startDaemon } from '../daemon.js';
import { installPackages, requireRoot } from '../debian-packages.js';
import { findFreePorts, requireFreePort } from '../free-ports.js';
import type { RealStore, RealStoreOptions } from '../real-store.js';
import { createStoreFolder } from '../store-folder.js';
import { type CephSettings, GATEWAY, MONITOR } from './ceph-settings.js';
import { createCluster, type RunCommand } from './create-cluster.js';

const execute = promisify(execFile);

const PACKAGES = ['radosgw', 'ceph-mon', 'ceph-osd', 'ceph-common'];
const GiB = 1024 ** 3;
const START_LIMIT_MS = 120_000;
const COMMAND_LIMIT_MS = 120_000;
const STOP_LIMIT_MS = 5_000;
/** `rgw multipart part upload limit`. */
const DEFAULT_MAX_PARTS = 10_000;

export interface CephOptions extends RealStoreOptions {
  /** `memstore` keeps all bytes in memory; `bluestore`, the default, on disk. */
  objectStore?: 'bluestore' | 'memstore';
  /** Room for objects; 20 GiB by default, of which only what is used is taken. */
  capacityBytes?: number;
  /** `rgw mp lock max time`: how long a gateway that died inside Complete keeps others from it; 600 s by default, as in Ceph. */
  completeLockSeconds?: number;
  /** `rgw lc debug interval`: makes a lifecycle day as short as that. */
  lifecycleDaySeconds?: number;
}

export interface CephStore extends RealStore {
  /** Removes now what deleted objects and aborted uploads have left; by itself Ceph waits for two hours. */
  collectGarbage(): Promise<void>;
}

/**
 * Starts Ceph on 127.0.0.1 (a monitor, one disk, the RADOS gateway) and resolves when the gateway answers: about 10 s, with the
 * installation of the packages about 40 s.
 * @throws Error when this process is not root, the port is taken, a package cannot be installed, or a server does not start, with
 * its last words
 */
export async function startCeph(options: CephOptions = {}): Promise<CephStore> {
  requireRoot('Ceph');
  if (options.port !== undefined) await requireFreePort(options.port);
  const [version = ''] = await installPackages(PACKAGES);
  const folder = await createStoreFolder('ceph', options.parentDir);
  const environment = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8', CEPH_CONF: `${folder.path}/ceph.conf` };
  const run: RunCommand = (command, ...args) => runCommand(command, args, environment);
  const start = (name: string, ...command: string[]): Daemon =>
    startDaemon(command, path.join(folder.path, `ceph-${name}.log`), environment);
  const storage: Daemon[] = [];
  let gateway: Daemon | undefined;
  let stopped: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    // A gateway, and then a disk, waits for what it has lost before it ends.
    for (const daemon of [gateway, ...storage.toReversed()]) await daemon?.end(STOP_LIMIT_MS);
    await folder.remove();
  };
  try {
    const settings = await chooseSettings(folder.path, options);
    const keys = { accessKeyId: 'testaccesskey', secretAccessKey: 'testsecretkey' };
    const { osdId, osdUuid } = await createCluster(settings, run);

    storage.push(start('mon', 'ceph-mon', '-f', '-i', MONITOR));
    const makeDisk = run('ceph-osd', '-i', osdId, '--mkfs', '--osd-uuid', osdUuid, '--no-mon-config');
    await Promise.all([makeDisk, run('ceph', '--connect-timeout', '60', 'osd', 'new', osdUuid, osdId)]);
    storage.push(start('osd', 'ceph-osd', '-f', '-i', osdId));
    // It waits for the disk, and makes the pools.
    const user = ['--uid=test', '--display-name=test'];
    const pair = [`--access-key=${keys.accessKeyId}`, `--secret-key=${keys.secretAccessKey}`];
    await run('radosgw-admin', 'user', 'create', ...user, ...pair);
    const endpoint = `http://127.0.0.1:${settings.ports.gateway}`;
    const startGateway = async (): Promise<void> => {
      gateway = start('rgw', 'radosgw', '-f', '-n', GATEWAY);
      await gateway.untilReady(async () => (await fetch(endpoint)).ok, START_LIMIT_MS);
    };
    await startGateway();
    return {
      name: 'ceph',
      version,
      endpoint,
      region: 'us-east-1',
      ...keys,
      maxParts: DEFAULT_MAX_PARTS,
      killGateway: async () => gateway?.kill(),
      async restart() {
        await gateway?.kill();
        await startGateway();
      },
      async collectGarbage() {
        await run('radosgw-admin', 'gc', 'process', '--include-all');
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

async function chooseSettings(folder: string, options: CephOptions): Promise<CephSettings> {
  const [gateway = 0, monitorV1 = 0, monitorV2 = 0] = await findFreePorts(3);
  return {
    folder,
    ports: { gateway: options.port ?? gateway, monitorV1, monitorV2 },
    clusterId: randomUUID(),
    objectStore: options.objectStore ?? 'bluestore',
    capacityBytes: options.capacityBytes ?? 20 * GiB,
    completeLockSeconds: options.completeLockSeconds ?? 600,
    lifecycleDaySeconds: options.lifecycleDaySeconds,
  };
}

async function runCommand(command: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<string> {
  try {
    // Like the servers, it is not to outlive this process.
    const { stdout } = await execute('setpriv', ['--pdeathsig', 'KILL', '--', command, ...args], {
      env,
      timeout: COMMAND_LIMIT_MS,
      killSignal: 'SIGKILL',
    });
    return stdout;
  } catch (cause) {
    const { stderr = '', message } = cause as Error & { stderr?: string };
    throw new Error(`${command} failed: ${stderr.trim().split('\n').slice(-5).join('\n') || message}`, { cause });
  }
}
