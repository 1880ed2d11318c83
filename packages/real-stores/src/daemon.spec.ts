import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type Daemon, startDaemon } from './daemon.js';

let folder: string;
let daemon: Daemon | undefined;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'daemon-'));
});

afterEach(async () => {
  await daemon?.kill();
  await rm(folder, { recursive: true, force: true });
});

const start = (script: string): Daemon => {
  daemon = startDaemon(['sh', '-c', script], path.join(folder, 'test.log'), { PATH: process.env.PATH, FOLDER: folder });
  return daemon;
};
const isThere = (name: string) => async () => existsSync(path.join(folder, name));
const readPid = async (name: string) => Number(await readFile(path.join(folder, name), 'utf8'));

/** A zombie has ended too; in a container without an init nobody may ever collect it. */
async function hasEnded(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') X'); // gone
  return /\) [ZX]/.test(stat);
}

describe('startDaemon', () => {
  it('kills what the process has started, too', async () => {
    const { untilReady, kill } = start('sleep 60 & echo $! >$FOLDER/child; echo $$ >$FOLDER/self; wait');
    await untilReady(isThere('self'), 60_000);
    const pids = [await readPid('child'), await readPid('self')];
    await kill();
    for (const pid of pids) while (!(await hasEnded(pid))) await delay(5);
    expect(daemon?.isRunning).toBe(false);
  });

  it('ends by force one that does not listen', async () => {
    const { untilReady, end } = start(
      'trap "echo asked >$FOLDER/asked" TERM; touch $FOLDER/up; while :; do sleep 60; done',
    );
    await untilReady(isThere('up'), 60_000);
    await end(200);
    expect(daemon?.isRunning).toBe(false);
  });

  it('tells the last words of one that ends before it is ready', async () => {
    const { untilReady } = start('echo no such disk >&2; exit 3');
    await expect(untilReady(isThere('up'), 60_000)).rejects.toThrow(
      'test did not start: it ended with code 3\nno such disk',
    );
  });

  it('says that one took too long', async () => {
    const { untilReady } = start('echo waiting; sleep 60');
    await expect(untilReady(isThere('up'), 100)).rejects.toThrow('test did not start: it was not ready after 0.1 s');
  });

  it('leaves none behind when this process is killed', async () => {
    // Compiled code, as Node alone runs it: the parent that dies is a plain Node process.
    const module = fileURLToPath(new URL('../dist/daemon.js', import.meta.url));
    const parentScript = path.join(folder, 'parent.mjs');
    await writeFile(
      parentScript,
      `import { startDaemon } from ${JSON.stringify(module)};
       startDaemon(['sh', '-c', 'echo $$ >${folder}/self; exec sleep 60'], '${folder}/orphan.log', process.env);
       setInterval(() => {}, 1000);`,
    );
    const parent = spawn(process.execPath, [parentScript], { stdio: 'inherit' });
    while (!existsSync(path.join(folder, 'self')) || Number.isNaN(await readPid('self'))) await delay(10);
    const pid = await readPid('self');
    expect(await hasEnded(pid)).toBe(false);
    parent.kill('SIGKILL');
    await once(parent, 'exit');
    while (!(await hasEnded(pid))) await delay(5);
  });
});
