import { runProduct } from '../contenders.js';
import { atMost, measureRounds } from '../figures.js';

const FEW = 10_000;

/** Rows are made once a run: `--rounds` does not repeat that, but how often each step is measured stands in the contender. */
export const millionRows = {
  title: ({ bytes }) =>
    `milliseconds of a step with ${FEW} rows a table and with ${manyOf(bytes)}, in turn in one process`,

  async run(stage, { bytes }) {
    const many = manyOf(bytes);
    const once = async () => {
      const databases = await Promise.all([FEW, many].map((rows) => stage.createMigratedDatabase(`rows-${rows}`)));
      const [few, all] = databases;
      return await runProduct(
        stage,
        'contenders/million-rows.js',
        { few: { url: few, rows: FEW }, many: { url: all, rows: many } },
        {
          TRANSFER_WORKER: 'none',
        },
      );
    };
    const { medians, failures } = await measureRounds(1, { steps: once });
    const steps = medians.steps?.steps ?? [];
    const figures = Object.fromEntries(
      steps.map(({ step, few, many: milliseconds }) => [
        step,
        { [`${FEW} rows, ms`]: few, [`${many} rows, ms`]: milliseconds, ratio: milliseconds / few },
      ]),
    );
    const targets = steps.map(({ step, few, many: milliseconds }) => atMost(1.5, `${step}, ratio`, milliseconds / few));
    return { figures, targets, failures };
  },
};

/** All of them in a run at its full size; 62,500 with --quick, to see that it runs. */
function manyOf(bytes) {
  return Math.round((1_000_000 * Math.min(bytes, 1024 ** 3)) / 1024 ** 3);
}
