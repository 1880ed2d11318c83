import { randomUUID } from 'node:crypto';
import { open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { systemErrorCode } from '../errors.js';

/**
 * Writes a small JSON file so that a reader finds the old text or the new one, whatever the instant of a crash: the bytes are on the
 * disk before the name is.
 */
export async function writeMetadata(temporaryFolder: string, path: string, value: unknown): Promise<void> {
  const temporary = join(temporaryFolder, randomUUID());
  try {
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(JSON.stringify(value));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Reads what `writeMetadata` wrote; undefined when there is no such file. */
export async function readMetadata<T>(path: string): Promise<T | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return JSON.parse(text) as T;
  } catch (cause) {
    throw new Error(`The metadata file ${path} is damaged.`, { cause });
  }
}
