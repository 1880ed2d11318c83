import { readdir, readFile, readlink } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const POLL_MS = 20;
/** A fast shutdown writes a checkpoint; on the small databases of development it takes well under a second. */
const FAST_SHUTDOWN_MS = 5_000;
const IMMEDIATE_SHUTDOWN_MS = 2_000;

/** Lines of postmaster.pid that matter here (PostgreSQL: src/include/utils/pidfile.h). */
const PID_LINE = 0;
const STATUS_LINE = 7;

/** The process that wrote postmaster.pid and how far its start is; `undefined` without the file. */
export async function readPostmaster(clusterDir: string): Promise<{ pid: number; isReady: boolean } | undefined> {
  const text = await readFile(path.join(clusterDir, 'postmaster.pid'), 'utf8').catch(() => undefined); // gone: stopped
  const lines = text?.split('\n') ?? [];
  const pid = Number(lines[PID_LINE]);
  return Number.isInteger(pid) && pid > 0 ? { pid, isReady: lines[STATUS_LINE]?.trim() === 'ready' } : undefined;
}

/**
 * Whether `pid` is a postmaster on exactly this folder: after a crash the number may belong to any other program. Its
 * working folder tells too, even when the folder was moved meanwhile, but not every container lets root read it.
 */
export async function isPostmasterOf(pid: number, clusterDir: string): Promise<boolean> {
  const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''); // the process is gone
  const words = commandLine.split('\0');
  if (path.basename(words[0] ?? '') !== 'postgres') return false;
  return words.includes(clusterDir) || (await readlink(`/proc/${pid}/cwd`).catch(() => undefined)) === clusterDir;
}

/** Ends a postmaster and what it started: politely, then at once, then by force. Returns when all of them are gone. */
export async function shutDownCluster(pid: number, clusterDir: string): Promise<void> {
  // It may have ended by itself, and the number gone to another program.
  if (!(await isPostmasterOf(pid, clusterDir))) return;
  signal(pid, 'SIGINT');
  if (await isGoneWithin(pid, clusterDir, FAST_SHUTDOWN_MS)) return;
  signal(pid, 'SIGQUIT');
  if (await isGoneWithin(pid, clusterDir, IMMEDIATE_SHUTDOWN_MS)) return;
  await killCluster(pid, clusterDir);
}

/**
 * kill -9 of the postmaster and of all its children, as a power cut would. The postmaster is frozen first so that it
 * starts no new child meanwhile; each child leads a session of its own, so no process group holds them together.
 */
export async function killCluster(pid: number, clusterDir: string): Promise<void> {
  if (!(await isPostmasterOf(pid, clusterDir))) return;
  signal(pid, 'SIGSTOP');
  const family = [...(await childrenOf(pid)), pid];
  for (const member of family) signal(member, 'SIGKILL');
  while (!(await areAllGone(family))) await delay(POLL_MS);
}

/** Sends a signal; a process that has just ended is what the caller wants anyway. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function isGoneWithin(pid: number, clusterDir: string, limitMs: number): Promise<boolean> {
  const deadline = performance.now() + limitMs;
  while (performance.now() < deadline) {
    if (!(await isPostmasterOf(pid, clusterDir))) return true;
    await delay(POLL_MS);
  }
  return false;
}

async function childrenOf(parent: number): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const states = await Promise.all(pids.map(readState));
  return pids.filter((_, index) => states[index]?.parent === parent);
}

async function areAllGone(pids: readonly number[]): Promise<boolean> {
  const states = await Promise.all(pids.map(readState));
  // A zombie has ended; it waits for a parent that may never collect it, as in containers without an init.
  return states.every((state) => !state || state.code === 'Z' || state.code === 'X');
}

/** State and parent stand right behind the name in parentheses (proc(5), /proc/PID/stat). */
async function readState(pid: number): Promise<{ code: string; parent: number } | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ''); // ended while we looked
  const [code, parent] = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return code && parent ? { code, parent: Number(parent) } : undefined;
}
