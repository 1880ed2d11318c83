// The product's own queue, which is pg-boss, with nothing behind it.
import { randomUUID } from 'node:crypto';
import { Pool } from 'pg';
import { TransferQueue } from '../../dist/storage/transfer/transfer-queue.js';

export class PgBossTickets {
  #queue = new TransferQueue({ DATABASE_URL: process.env.DATABASE_URL, TRANSFER_WORKER: 'all' });
  #pool = new Pool({ connectionString: process.env.DATABASE_URL });
  #transaction = { $queryRawUnsafe: async (text, ...values) => (await this.#pool.query(text, values)).rows };
  #batchSize;
  #perGroup;

  static async open({ batchSize, perGroup }) {
    const tickets = new PgBossTickets();
    tickets.#batchSize = batchSize;
    tickets.#perGroup = perGroup;
    await tickets.#queue.started();
    return tickets;
  }

  async send(group) {
    await this.#queue.send(this.#transaction, { fileId: randomUUID(), workspaceId: group });
  }

  async takeAll() {
    let count = 0;
    for (;;) {
      const held = await this.#queue.take(this.#batchSize, this.#perGroup);
      if (held.length === 0) return count;
      await this.#queue.complete(held.map(({ jobId }) => jobId));
      count += held.length;
    }
  }

  async close() {
    await this.#queue.onApplicationShutdown();
    await this.#pool.end();
  }
}
