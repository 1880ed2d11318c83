import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';

const POLL_MS = 15;
const WAIT_LIMIT_MS = 120_000;

/**
 * Rows that a test holds, so that a statement of the product stands still just before it changes them: an instant that
 * a kill can hit. PostgreSQL has no event for "somebody waits for this lock", so it is asked.
 */
export class RowLock {
  private constructor(
    private readonly holder: Client,
    private readonly holderPid: number,
    /** Not the holder: in its transaction PostgreSQL shows the activity of its first look again and again. */
    private readonly watcher: Client,
  ) {}

  /** `sql`: a SELECT that locks, such as ... FOR NO KEY UPDATE. */
  static async take(databaseUrl: string, sql: string, parameters: unknown[] = []): Promise<RowLock> {
    const holder = await connect(databaseUrl);
    await holder.query('BEGIN');
    const { rowCount } = await holder.query(sql, parameters);
    if (rowCount === 0) throw new Error(`there is nothing to lock: ${sql}`);
    const { rows } = await holder.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    return new RowLock(holder, rows[0]?.pid ?? 0, await connect(databaseUrl));
  }

  /** Process ids of the connections that wait for this lock with such a statement: when there is one. */
  async blocks(statement: RegExp): Promise<number[]> {
    const giveUpAt = performance.now() + WAIT_LIMIT_MS;
    for (;;) {
      const waiting = await this.waiting();
      const found = waiting.filter(({ query }) => statement.test(query)).map(({ pid }) => pid);
      if (found.length > 0) return found;
      if (performance.now() > giveUpAt) {
        await this.release(); // Else it would hold up whoever cleans up after the failure.
        throw new Error(
          `no ${statement} waits for the lock; these do: ${waiting.map(({ query }) => query).join('\n')}`,
        );
      }
      await sleep(POLL_MS);
    }
  }

  /** Lets them go on. */
  async release(): Promise<void> {
    await this.holder.end();
    await this.watcher.end();
  }

  /**
   * Ends what waits, and then the lock. Where the process that sent it is dead, PostgreSQL would carry out a statement that
   * waits all the same: it looks at the connection only afterwards.
   */
  async releaseWithoutThem(): Promise<void> {
    const ended = (await this.waiting()).map(({ pid }) => pid);
    await this.watcher.query('SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid', [ended]);
    // Others may have come to wait meanwhile: the next owner, where the lease has run out.
    while ((await this.waiting()).some(({ pid }) => ended.includes(pid))) await sleep(POLL_MS);
    await this.release();
  }

  /** Those too that wait behind another one that waits: of a row's waiters PostgreSQL names the first alone as blocked by its holder. */
  private async waiting(): Promise<{ pid: number; query: string }[]> {
    const sql = `
      WITH RECURSIVE blocked AS (
        SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND $1 = ANY(pg_blocking_pids(pid))
        UNION
        SELECT activity.pid FROM pg_stat_activity AS activity JOIN blocked ON blocked.pid = ANY(pg_blocking_pids(activity.pid))
        WHERE activity.wait_event_type = 'Lock'
      )
      SELECT pid, query FROM pg_stat_activity JOIN blocked USING (pid)`;
    return (await this.watcher.query<{ pid: number; query: string }>(sql, [this.holderPid])).rows;
  }
}

async function connect(connectionString: string): Promise<Client> {
  const client = new Client({ connectionString });
  client.on('error', () => {}); // A server that is killed takes the lock with it.
  await client.connect();
  return client;
}
