// A queue that carries tickets and nothing else: queue-alone.js '{ engine, batchSize, perGroup, count }'. `send` sends
// `count` tickets, one call each, as requests do; `take` takes and ends all that there are, in batches; `close` ends the
// process. Each is answered with the tickets, and the time and CPU time that they took.
const SENT_AT_ONCE = 32;
const GROUPS = 50;
const ENGINES = {
  'pg-boss': async () => (await import('./pg-boss-tickets.js')).PgBossTickets,
  BullMQ: async () => (await import('./bullmq-tickets.js')).BullmqTickets,
};

const { engine, count, ...options } = JSON.parse(process.argv[2]);
const Tickets = await ENGINES[engine]();
const tickets = await Tickets.open(options);

const tasks = {
  async send() {
    let next = 0;
    const sendInTurn = async () => {
      while (next < count) {
        next += 1;
        await tickets.send(`${next % GROUPS}`);
      }
    };
    await Promise.all(Array.from({ length: SENT_AT_ONCE }, sendInTurn));
    return count;
  },
  take: () => tickets.takeAll(count),
  async close() {
    await tickets.close();
    return 0;
  },
};

process.on('message', async (name) => {
  const cpuBefore = process.cpuUsage();
  const begin = Date.now();
  const done = await tasks[name]();
  const { user, system } = process.cpuUsage(cpuBefore);
  const answer = { count: done, begin, end: Date.now(), cpuSeconds: (user + system) / 1e6 };
  process.send(answer, () => {
    if (name === 'close') process.disconnect();
  });
});
process.send('ready');
