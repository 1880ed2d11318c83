// What PostgreSQL was asked to do, by pg_stat_statements, and the CPU time of its processes.
import { Client } from 'pg';
import { readParent, readTreeCpuSeconds } from './processes.js';

/** By what a statement is about: the first that fits. */
const KINDS = [
  ['queue', /pgboss\./i],
  ['events', /core_outbox_event\s+(AS event\s+)?SET|core_webhook|FROM core_outbox_event/i],
  ['transaction', /^(BEGIN|COMMIT|ROLLBACK|DEALLOCATE|DISCARD|SET)/i],
  ['files', /core_storage/i],
];

export class DatabaseWork {
  #client;
  #databaseUrl;
  #postmaster;
  #cpuBefore;

  constructor(databaseUrl) {
    this.#databaseUrl = databaseUrl;
  }

  /** For all databases of this server, which is started again for it. */
  static async prepare(postgres) {
    await query(postgres.url, "ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'");
    await postgres.restart();
    await query(postgres.url, 'ALTER SYSTEM SET pg_stat_statements.track_planning = on');
    await query(postgres.url, 'SELECT pg_reload_conf()');
  }

  /** Counts from now on. */
  async begin() {
    this.#client = await connect(this.#databaseUrl);
    await this.#client.query('CREATE EXTENSION IF NOT EXISTS pg_stat_statements');
    const { rows } = await this.#client.query('SELECT pg_stat_statements_reset(), pg_backend_pid() AS pid');
    this.#postmaster = await readParent(rows[0].pid);
    this.#cpuBefore = await readTreeCpuSeconds(this.#postmaster);
  }

  /** Of all processes of the server, since `begin`. */
  async readCpuSeconds() {
    return (await readTreeCpuSeconds(this.#postmaster)) - this.#cpuBefore;
  }

  async read(text) {
    const { rows } = await this.#client.query(text);
    return rows;
  }

  /** Statements and their time since `begin`, by kind and one by one; ours of `read` are not among them. */
  async end() {
    const cpuSeconds = await this.readCpuSeconds();
    const rows = await this.read(`
      SELECT query, calls::int, total_exec_time + total_plan_time AS ms, total_plan_time AS "planMs", wal_bytes::float8 AS "walBytes"
      FROM pg_stat_statements
      WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND query NOT LIKE '%pg_stat_statements%' AND query NOT LIKE '%bench_read%'
      ORDER BY calls DESC`);
    await this.#client.end();
    const kinds = Object.fromEntries(KINDS.map(([name]) => [name, { calls: 0, ms: 0, walBytes: 0 }]));
    kinds.others = { calls: 0, ms: 0, walBytes: 0 };
    for (const row of rows) {
      row.kind = KINDS.find(([, pattern]) => pattern.test(row.query))?.[0] ?? 'others';
      for (const figure of ['calls', 'ms', 'walBytes']) kinds[row.kind][figure] += row[figure];
    }
    return { cpuSeconds, kinds, statements: rows };
  }
}

export async function query(databaseUrl, text) {
  const client = await connect(databaseUrl);
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

async function connect(databaseUrl) {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  return client;
}
