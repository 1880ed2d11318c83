import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { assertReachable } from './reachability.js';

const STRANGER = { uid: 4_000_001, gid: 4_000_001 };

describe('assertReachable', () => {
  let base: string;
  let closed: string;

  beforeAll(async () => {
    base = await mkdtemp(path.join(tmpdir(), 'reach-'));
    await chmod(base, 0o755);
    closed = path.join(base, 'closed');
    await mkdir(closed);
  });

  afterAll(() => rm(base, { recursive: true }));

  it('names the folder that is closed, in one line, with the ways out', async () => {
    await chmod(closed, 0o700);
    const failure = assertReachable(path.join(closed, 'not-there-yet'), STRANGER);
    await expect(failure).rejects.toThrow(
      `the folder ${closed} is closed to the user "postgres" that the embedded PostgreSQL runs as when started by root: ` +
        `run "chmod o+x ${closed}", or clone elsewhere, or run as a normal user, or set DATABASE_URL`,
    );
  });

  it('asks for the right to pass through, not to list', async () => {
    await chmod(closed, 0o711);
    await expect(assertReachable(path.join(closed, 'not-there-yet'), STRANGER)).resolves.toBeUndefined();
  });

  it('goes by the rights of the owner, or else of the group', async () => {
    const self = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
    await chmod(closed, 0o700);
    await expect(assertReachable(closed, self)).resolves.toBeUndefined();
    await chmod(closed, 0o701);
    await expect(assertReachable(closed, { ...self, uid: STRANGER.uid })).rejects.toThrow('is closed to');
    await chmod(closed, 0o710);
    await expect(assertReachable(closed, { ...self, uid: STRANGER.uid })).resolves.toBeUndefined();
  });
});
