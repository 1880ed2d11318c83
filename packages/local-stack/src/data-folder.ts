import { chmod, mkdir, stat } from 'node:fs/promises';
import path from 'node:path';

/** Others may pass through to a folder of their own further down, and may not list. */
const PASS_THROUGH = 0o711;

/**
 * Makes a folder; it and the parents that are made with it can be passed through whatever the umask.
 * @throws Error of one line when it is there and belongs to another user: two users would lock each other out of the files.
 */
export async function makeDataFolder(folder: string): Promise<void> {
  const target = path.resolve(folder);
  const first = await mkdir(target, { recursive: true });
  if (first) {
    for (let made = target; made.length >= first.length; made = path.dirname(made)) await chmod(made, PASS_THROUGH);
    return;
  }
  const { uid } = await stat(target);
  const self = process.getuid?.();
  if (self === undefined || uid === self) return;
  throw new Error(
    `${target} belongs to another user (id ${uid}; this is ${self}): start as that user, remove it, or give another data folder`,
  );
}
