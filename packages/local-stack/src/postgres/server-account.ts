import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The numeric user and group that the server runs as; `undefined` means as ourselves. */
export interface ServerAccount {
  readonly uid: number;
  readonly gid: number;
}

/**
 * PostgreSQL refuses to run as root. For root this answers with the owner of an existing cluster, else with the system
 * user `postgres`, which is made when it is missing. For everybody else it answers `undefined`.
 * @throws Error when the user cannot be made.
 */
export async function chooseServerAccount(clusterDir: string): Promise<ServerAccount | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const owner = await stat(clusterDir).catch(() => undefined); // not there yet: the first start
  if (owner && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  return (await lookUpPostgresUser()) ?? (await createPostgresUser());
}

async function lookUpPostgresUser(): Promise<ServerAccount | undefined> {
  try {
    const [uid, gid] = await Promise.all([run('id', ['-u', 'postgres']), run('id', ['-g', 'postgres'])]);
    return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
  } catch {
    return undefined; // `id` fails for an unknown user, which is what we ask
  }
}

async function createPostgresUser(): Promise<ServerAccount> {
  try {
    await run('useradd', ['--system', '--user-group', '--no-create-home', '--shell', '/usr/sbin/nologin', 'postgres']);
  } catch (cause) {
    throw new Error(
      'PostgreSQL does not run as root and the system user "postgres" could not be made: run as a normal user, or set DATABASE_URL',
      { cause },
    );
  }
  const account = await lookUpPostgresUser();
  if (!account) throw new Error('the system user "postgres" was made but cannot be looked up: set DATABASE_URL');
  return account;
}
