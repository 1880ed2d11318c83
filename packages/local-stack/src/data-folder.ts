import { chmod, mkdir } from 'node:fs/promises';
import path from 'node:path';

/** Others may pass through to a folder of their own further down, and may not list. */
const PASS_THROUGH = 0o711;

/** Makes a folder; it and the parents that are made with it can be passed through whatever the umask. */
export async function makeDataFolder(folder: string): Promise<void> {
  const target = path.resolve(folder);
  const first = await mkdir(target, { recursive: true });
  if (!first) return;
  for (let made = target; made.length >= first.length; made = path.dirname(made)) await chmod(made, PASS_THROUGH);
}
