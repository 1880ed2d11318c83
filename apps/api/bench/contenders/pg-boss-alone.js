// pg-boss with a handler that does nothing: pg-boss-alone.js '{ batchSize, perGroup }' takes a batch, ends it, takes the
// next, until none is left. Any message starts it.
import { PgBoss } from 'pg-boss';

/** Of the product: its tickets are what is taken. */
const QUEUE = 'storage-transfer';
const { batchSize, perGroup } = JSON.parse(process.argv[2]);
const boss = new PgBoss({
  connectionString: process.env.DATABASE_URL,
  schedule: false,
  registerInstance: false,
  openTelemetry: { enabled: false },
});
boss.on('error', (error) => console.error(error.message));
await boss.start();
process.once('message', async () => {
  const begin = Date.now();
  let count = 0;
  for (;;) {
    const jobs = await boss.fetch(QUEUE, { batchSize, ...(perGroup ? { groupConcurrency: perGroup } : {}) });
    if (jobs.length === 0) break;
    await boss.complete(
      QUEUE,
      jobs.map(({ id }) => id),
    );
    count += jobs.length;
  }
  const figures = { begin, end: Date.now(), count };
  await boss.stop({ graceful: false });
  process.send(figures, () => process.disconnect());
});
process.send('ready');
