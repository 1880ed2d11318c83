import { createHash } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { createServer } from 'node:net';
import { systemErrorCode } from '../errors.js';

/**
 * Keeps a second server off a data folder: two indexes in memory over one folder would lose objects. On Linux the lock is a socket in the
 * abstract namespace, which the kernel frees with the process, even after kill -9: a lock file would stay. Elsewhere there is no lock.
 * @throws Error when another server has the folder
 */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  if (process.platform !== 'linux') return async () => {};
  const digest = createHash('sha256')
    .update(await realpath(folder))
    .digest('hex');
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      if (systemErrorCode(error) !== 'EADDRINUSE') reject(error);
      else reject(new Error(`The data folder ${folder} is in use by another S3 server.`, { cause: error }));
    });
    server.listen(`\0local-s3-${digest}`, resolve);
  });
  server.unref();
  return () => new Promise((resolve) => server.close(() => resolve()));
}
