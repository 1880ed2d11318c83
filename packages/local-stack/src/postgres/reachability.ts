import { stat } from 'node:fs/promises';
import path from 'node:path';
import type { ServerAccount } from './server-account.js';

const OTHERS_SHIFT = 0;
const GROUP_SHIFT = 3;
const OWNER_SHIFT = 6;
const ENTER = 1;

/**
 * Checks by the modes of all folders above that `account` can get to `target`. Parts of the path that do not exist yet
 * are passed over: they will be made with modes that let it in. Access lists (setfacl) are not looked at.
 * @throws Error of one line that names the folder and the ways out.
 */
export async function assertReachable(target: string, account: ServerAccount): Promise<void> {
  for (const folder of withParents(target)) {
    const found = await stat(folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (!found?.isDirectory() || mayEnter(found, account)) continue;
    throw new Error(
      `the folder ${folder} is closed to the user "postgres" that the embedded PostgreSQL runs as when started by root: ` +
        `run "chmod o+x ${folder}", or clone elsewhere, or run as a normal user, or set DATABASE_URL`,
    );
  }
}

function withParents(target: string): string[] {
  const folders: string[] = [];
  for (let folder = path.resolve(target); ; folder = path.dirname(folder)) {
    folders.unshift(folder);
    if (folder === path.dirname(folder)) return folders;
  }
}

function mayEnter(folder: { mode: number; uid: number; gid: number }, account: ServerAccount): boolean {
  const shift = folder.uid === account.uid ? OWNER_SHIFT : folder.gid === account.gid ? GROUP_SHIFT : OTHERS_SHIFT;
  return ((folder.mode >> shift) & ENTER) !== 0;
}
