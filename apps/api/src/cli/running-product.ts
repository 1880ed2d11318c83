import type { DataFolder } from './data-folder.js';

/** Written by `start` for people and programs that want to look at the running product. */
export const READY_FILE = 'ready.json';
/** Written by `start` for commands that join it: it holds keys of the embedded servers. */
const RUNNING_FILE = 'running.json';

/** Variables that name the embedded servers; absent where the user's own are used. */
export interface EmbeddedServers {
  readonly database?: Readonly<Record<string, string>>;
  readonly store?: Readonly<Record<string, string>>;
}

export interface RunningProduct {
  readonly pid: number;
  readonly apiUrl: string;
  readonly embedded: EmbeddedServers;
}

/** The `start` that runs on this data folder; undefined when none does, whatever a killed one has left. */
export async function findRunningProduct(dataFolder: DataFolder): Promise<RunningProduct | undefined> {
  const running = await dataFolder.readJson<RunningProduct>(RUNNING_FILE);
  return running !== undefined && isAlive(running.pid) && (await answers(running.apiUrl)) ? running : undefined;
}

export async function publishRunningProduct(dataFolder: DataFolder, running: RunningProduct): Promise<void> {
  await dataFolder.writeJson(RUNNING_FILE, running);
}

/** Removes what says that the product runs. */
export async function withdrawRunningProduct(dataFolder: DataFolder): Promise<void> {
  await Promise.all([dataFolder.remove(READY_FILE), dataFolder.remove(RUNNING_FILE)]);
}

/** Host, port and database of a connection string, without user and password. */
export function describeConnection(databaseUrl = ''): string {
  const url = URL.parse(databaseUrl);
  return url === null ? 'DATABASE_URL' : `${url.host}${url.pathname}`;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // A process of another user lives, too.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function answers(apiUrl: string): Promise<boolean> {
  try {
    return (await fetch(`${apiUrl}/health/live`, { signal: AbortSignal.timeout(2_000) })).ok;
  } catch {
    // Nobody listens there any more: the process id belongs to another program by now.
    return false;
  }
}
