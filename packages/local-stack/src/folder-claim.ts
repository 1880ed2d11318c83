import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { realpath } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { keep, readKept } from './kept-file.js';

/** Held while one process works on a data folder. */
export interface FolderClaim {
  release(): Promise<void>;
}

/**
 * Makes this process the only one that runs servers on `folder`, which must exist.
 *
 * The claim is a Linux abstract socket, not a lock file: the kernel drops it when the process ends in whatever way, so
 * there is never a stale one to judge. The file `in-use-by` only names the owner in the message.
 * @throws Error of one line when another process (or another start in this one) holds the folder.
 */
export async function claimFolder(folder: string): Promise<FolderClaim> {
  const real = await realpath(folder);
  const ownerFile = path.join(real, 'in-use-by');
  const name = createHash('sha256').update(real).digest('hex');
  const server = createServer((socket) => socket.destroy()).listen({ path: `\0s3-transfer-${name}` });
  try {
    await once(server, 'listening');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    const owner = (await readKept(ownerFile)) ?? 'unknown';
    throw new Error(`${real} is in use by another run (process ${owner}): stop it first, or give another data folder`);
  }
  server.unref();
  const claim: FolderClaim = {
    async release() {
      if (!server.listening) return;
      server.close();
      await once(server, 'close');
    },
  };
  try {
    await keep(ownerFile, String(process.pid));
  } catch (error) {
    await claim.release();
    throw error;
  }
  return claim;
}
