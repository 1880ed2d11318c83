import { product, proveArrival } from '../contenders.js';
import { atLeast, atMost, measureRounds, ratesOf, ratio, toMiB } from '../figures.js';
import { digestOf } from '../source-bytes.js';

const COUNT = 64;
const MEMORY_BUDGET_MIB = 256;
const environment = { TRANSFER_MEMORY_BYTES: String(MEMORY_BUDGET_MIB * 1024 ** 2) };

export const manyAtOnce = {
  title: ({ bytes }) =>
    `${COUNT} files of ${bytes / 128 / 1024 ** 2} MiB at once, against one of their length together`,

  async run(stage, { bytes: scale, rounds }) {
    const { endpoint } = stage.sink.ready;
    const once = (count) => async () => {
      const total = scale / 2;
      const bytes = total / count;
      const urls = Array.from({ length: count }, (_, index) => stage.sourceUrl({ bytes, index }));
      const run = await product(stage, { urls, endpoint, bytes, sha256: digestOf(bytes), environment });
      const integrity = await proveArrival(stage.sink, run, bytes);
      return {
        'MB/s': ratesOf(run, total)['MB/s'],
        'loop delay p99 ms': run.loopDelayP99Ms,
        'peak MiB above idle': toMiB(run.rssAboveIdleBytes),
        integrity,
      };
    };
    const { medians, failures } = await measureRounds(rounds, { 'one stream': once(1), 'all at once': once(COUNT) });
    const many = medians['all at once'];
    const targets = [
      atLeast(0.7, 'MB/s against one stream', ratio(many, medians['one stream'], 'MB/s')),
      atMost(50, 'event-loop delay p99, ms', many?.['loop delay p99 ms']),
      atMost(MEMORY_BUDGET_MIB + 64, `MiB above idle (budget ${MEMORY_BUDGET_MIB})`, many?.['peak MiB above idle']),
    ];
    return { figures: medians, targets, failures };
  },
};
