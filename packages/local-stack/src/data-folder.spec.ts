import { chmod, chown, mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { makeDataFolder } from './data-folder.js';

describe('makeDataFolder', () => {
  let base: string;
  const modeOf = async (folder: string) => (await stat(folder)).mode & 0o777;

  beforeAll(async () => {
    base = await mkdtemp(path.join(tmpdir(), 'data-folder-'));
  });

  afterAll(() => rm(base, { recursive: true }));

  it('lets others pass through what it makes, and leaves alone what is there', async () => {
    const before = process.umask(0o077);
    await makeDataFolder(path.join(base, 'a', 'b')).finally(() => process.umask(before));
    expect([await modeOf(path.join(base, 'a')), await modeOf(path.join(base, 'a', 'b'))]).toEqual([0o711, 0o711]);
    expect(await modeOf(base)).toBe(0o700);
    await chmod(path.join(base, 'a'), 0o755);
    await makeDataFolder(path.join(base, 'a'));
    expect(await modeOf(path.join(base, 'a'))).toBe(0o755);
  });

  it('refuses a folder of another user in one line', async () => {
    const uid = process.getuid?.();
    const foreign = path.join(base, 'foreign');
    await mkdir(foreign);
    // Only root can give a folder away; for everybody else the root of the file system is another's.
    const folder = uid === 0 ? foreign : '/';
    if (uid === 0) await chown(foreign, 4_000_001, 4_000_001);
    const { uid: owner } = await stat(folder);
    await expect(makeDataFolder(folder)).rejects.toThrow(
      `${folder} belongs to another user (id ${owner}; this is ${uid}): start as that user, remove it, or give another data folder`,
    );
  });
});
