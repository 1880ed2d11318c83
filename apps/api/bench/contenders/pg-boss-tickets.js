// The product's tickets, taken and ended by pg-boss's own calls, with nothing behind them.
import { randomUUID } from 'node:crypto';
import { Pool } from 'pg';
import { PgBoss } from 'pg-boss';
import { TransferQueue } from '../../dist/storage/transfer/transfer-queue.js';

const QUEUE = 'storage-transfer';

export class PgBossTickets {
  #queue = new TransferQueue({
    DATABASE_URL: process.env.DATABASE_URL,
    DATABASE_SILENCE_SECONDS: 20,
    TRANSFER_WORKER: 'all',
  });
  #pool = new Pool({ connectionString: process.env.DATABASE_URL });
  #transaction = { $queryRawUnsafe: async (text, ...values) => (await this.#pool.query(text, values)).rows };
  #boss = new PgBoss({ connectionString: process.env.DATABASE_URL, supervise: false, schedule: false, migrate: false });
  #options;

  static async open({ batchSize, perGroup }) {
    const tickets = new PgBossTickets();
    tickets.#options = { batchSize, groupConcurrency: perGroup };
    await tickets.#queue.started();
    await tickets.#boss.start();
    return tickets;
  }

  async send(group) {
    await this.#queue.send(this.#transaction, { fileId: randomUUID(), workspaceId: group, host: null });
  }

  async takeAll() {
    let count = 0;
    for (;;) {
      const held = await this.#boss.fetch(QUEUE, this.#options);
      if (held.length === 0) return count;
      const ids = held.map(({ id }) => id);
      await this.#boss.complete(QUEUE, ids);
      count += held.length;
    }
  }

  async close() {
    await this.#boss.stop({ graceful: false });
    await this.#queue.onApplicationShutdown();
    await this.#pool.end();
  }
}
