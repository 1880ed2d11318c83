import { rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

export interface StoreFolder {
  readonly path: string;
  remove(): Promise<void>;
}

/** A folder for one server's data, settings and logs. When this process exits without `remove`, it is removed all the same. */
export async function createStoreFolder(name: string, parentDir = tmpdir()): Promise<StoreFolder> {
  const folder = await mkdtemp(path.join(parentDir, `s3-transfer-${name}-`));
  const removeAtExit = (): void => rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  process.on('exit', removeAtExit);
  return {
    path: folder,
    async remove() {
      await rm(folder, { recursive: true, force: true, maxRetries: 3 });
      process.off('exit', removeAtExit);
    },
  };
}
