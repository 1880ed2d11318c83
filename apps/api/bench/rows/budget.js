import { randomUUID } from 'node:crypto';
import { runProduct } from '../contenders.js';
import { atLeast, atMost, measureRounds, toMiB } from '../figures.js';

const COUNT = 200;
const BUDGETS_MIB = [64, 256];

export const budget = {
  title: ({ bytes }) =>
    `${COUNT} files of ${Math.round((bytes * 2) / COUNT / 1024 ** 2)} MiB at once, within budgets of ${BUDGETS_MIB.join(' and ')} MiB`,

  async run(stage, { bytes: scale, rounds }) {
    const bytes = Math.round((scale * 2) / COUNT);
    const once = (budgetMiB) => async () => {
      const good = Array.from({ length: COUNT }, (_, index) => ({
        sourceUrl: stage.sourceUrl({ bytes, index }),
        workspace: 1,
      }));
      const job = { good, slow: [], isSettled: false, bytes };
      await stage.source.ask('stats');
      const run = await runProduct(stage, 'contenders/by-worker.js', job, {
        DATABASE_URL: await stage.createMigratedDatabase(`budget-${randomUUID()}`),
        TRANSFER_MEMORY_BYTES: String(budgetMiB * 1024 ** 2),
        TRANSFER_CONCURRENCY: String(COUNT),
        TRANSFER_CONCURRENCY_PER_HOST: String(COUNT),
        TRANSFER_CONCURRENCY_PER_WORKSPACE: String(COUNT),
        TRANSFER_SLOW_BYTES_PER_SECOND: '0', // None may leave the others.
        SOURCE_MAX_CONNECTIONS: '1', // So that connections are transfers.
      });
      const { peakConnections } = await stage.source.ask('stats');
      return {
        'sources open at once': peakConnections,
        'peak MiB of part buffers': toMiB(run.bufferBytes),
        'heap MiB above idle': toMiB(run.heapAboveIdleBytes),
        'peak MiB above idle': toMiB(run.rssAboveIdleBytes),
        'MB/s': (bytes * COUNT) / 1e6 / run.seconds,
      };
    };
    const names = BUDGETS_MIB.map((budgetMiB) => [`budget of ${budgetMiB} MiB`, once(budgetMiB)]);
    const { medians, failures } = await measureRounds(rounds, Object.fromEntries(names));
    const targets = BUDGETS_MIB.flatMap((budgetMiB) => {
      const figures = medians[`budget of ${budgetMiB} MiB`];
      return [
        atLeast(COUNT, `sources open at once, ${budgetMiB} MiB`, figures?.['sources open at once']),
        atMost(budgetMiB, `MiB of part buffers, ${budgetMiB} MiB`, figures?.['peak MiB of part buffers']),
      ];
    });
    return { figures: medians, targets, failures };
  },
};
