// BullMQ on the Redis of REDIS_PORT. It has no batches: as many tickets are under way at once instead.
import { randomUUID } from 'node:crypto';
import { Queue, Worker } from 'bullmq';

const NAME = 'tickets';
const connection = { host: '127.0.0.1', port: Number(process.env.REDIS_PORT), maxRetriesPerRequest: null };
const ENDED = { removeOnComplete: true, attempts: 1_000 };

export class BullmqTickets {
  #queue = new Queue(NAME, { connection });
  #concurrency;

  static async open({ batchSize }) {
    const tickets = new BullmqTickets();
    tickets.#concurrency = batchSize;
    await tickets.#queue.waitUntilReady();
    return tickets;
  }

  /** The id keeps a second ticket of the same file out, as the product's tickets do. */
  async send(group) {
    const fileId = randomUUID();
    await this.#queue.add(group, { fileId }, { ...ENDED, jobId: fileId });
  }

  async takeAll(count) {
    let left = count;
    const all = Promise.withResolvers();
    const worker = new Worker(NAME, async () => {}, { connection, concurrency: this.#concurrency });
    worker.on('completed', () => {
      left -= 1;
      if (left === 0) all.resolve();
    });
    worker.on('error', all.reject);
    await all.promise;
    await worker.close();
    return count;
  }

  async close() {
    await this.#queue.close();
  }
}
