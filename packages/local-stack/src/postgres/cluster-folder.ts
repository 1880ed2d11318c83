import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmod, chown, lstat, mkdir, realpath, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { makeDataFolder } from '../data-folder.js';
import { keep, readKept } from '../kept-file.js';
import type { PostgresBinaries } from './binaries.js';
import { assertReachable } from './reachability.js';
import { chooseServerAccount, type ServerAccount } from './server-account.js';

const PASSWORD_BYTES = 24;
/** The server's user passes through this folder to its own, and may not list it. */
const PASS_THROUGH = 0o711;
const OWNER_ONLY = 0o700;

/** The environment of PostgreSQL's programs: nothing of ours (PGPORT, LANG, secrets) may change or reach them. */
export const SERVER_ENVIRONMENT = { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };

/** Where one cluster keeps its things. Only `cluster` belongs to the server's user. */
export interface ClusterFolder {
  readonly root: string;
  readonly cluster: string;
  readonly portFile: string;
  readonly passwordFile: string;
  readonly logFile: string;
  readonly account: ServerAccount | undefined;
}

/**
 * Makes the data folder and checks that the server's user can work in it, before anything is written there.
 * @throws Error of one line when that user cannot reach the folder or the programs, or the data belongs to somebody else.
 */
export async function prepareClusterFolder(dataDir: string, binaries: PostgresBinaries): Promise<ClusterFolder> {
  const account = await chooseServerAccount(path.join(dataDir, 'cluster'));
  if (account) {
    await assertReachable(binaries.root, account);
    await assertReachable(path.dirname(path.resolve(dataDir)), account);
  }
  await makeDataFolder(dataDir);
  const root = await realpath(dataDir);
  if (account) {
    await chmod(root, PASS_THROUGH);
    await assertReachable(root, account);
  }
  return {
    root,
    cluster: path.join(root, 'cluster'),
    portFile: path.join(root, 'port'),
    passwordFile: path.join(root, 'password'),
    logFile: path.join(root, 'postgres.log'),
    account,
  };
}

/**
 * Gives the password of the cluster, made by initdb first where there is none yet. A cluster appears whole or not at all:
 * initdb works in a draft folder that is renamed at its end.
 */
export async function openCluster(
  folder: ClusterFolder,
  binaries: PostgresBinaries,
  isDurable: boolean,
): Promise<string> {
  const hasCluster = await exists(folder.cluster);
  const kept = await readKept(folder.passwordFile);
  if (hasCluster && kept) return kept;
  if (hasCluster) {
    throw new Error(`${folder.passwordFile} is missing: put it back, or remove ${folder.root} to begin with no data`);
  }
  const password = randomBytes(PASSWORD_BYTES).toString('hex');
  await keep(folder.passwordFile, password);
  const draft = `${folder.cluster}.new`;
  await rm(draft, { recursive: true, force: true });
  await mkdir(draft, { mode: OWNER_ONLY });
  const passwordCopy = path.join(folder.root, 'initdb-password');
  try {
    await rm(passwordCopy, { force: true });
    await writeFile(passwordCopy, `${password}\n`, { mode: 0o600, flag: 'wx' });
    if (folder.account) {
      await chown(draft, folder.account.uid, folder.account.gid);
      await chown(passwordCopy, folder.account.uid, folder.account.gid);
    }
    await runInitdb(binaries.initdb, folder.account, [
      `--pgdata=${draft}`,
      `--pwfile=${passwordCopy}`,
      '--username=postgres',
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      // The builtin provider sorts the same on every machine, with no locale of the machine needed (PostgreSQL 17 on).
      '--locale=C',
      '--locale-provider=builtin',
      '--builtin-locale=C.UTF-8',
      ...(isDurable ? [] : ['--no-sync']),
    ]);
    await rename(draft, folder.cluster);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    throw error;
  } finally {
    await rm(passwordCopy, { force: true });
  }
  return password;
}

async function runInitdb(initdb: string, account: ServerAccount | undefined, args: string[]): Promise<void> {
  const child = spawn(initdb, args, {
    ...account,
    cwd: '/',
    env: SERVER_ENVIRONMENT,
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint += text;
  });
  const [code, signalName] = await once(child, 'close');
  if (code !== 0) throw new Error(`initdb failed (${signalName ?? `exit code ${code}`}): ${complaint.trim()}`);
}

async function exists(target: string): Promise<boolean> {
  return (await lstat(target).catch(() => undefined)) !== undefined;
}
