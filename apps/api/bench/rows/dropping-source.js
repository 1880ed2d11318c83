import { product, proveArrival } from '../contenders.js';
import { atLeast, atMost, measureRounds, ratesOf, ratio } from '../figures.js';
import { digestOf } from '../source-bytes.js';

const DROP_BYTES = 50e6;

export const droppingSource = {
  title: ({ bytes }) => `${bytes / 1024 ** 2} MiB from a source that closes the connection every 50 MB`,

  async run(stage, { bytes, rounds }) {
    const { endpoint } = stage.sink.ready;
    const sha256 = digestOf(bytes);
    const once = (query) => async () => {
      const run = await product(stage, { url: stage.sourceUrl({ bytes, ...query }), endpoint, bytes, sha256 });
      const integrity = await proveArrival(stage.sink, run, bytes);
      return {
        'MB/s': ratesOf(run, bytes)['MB/s'],
        requests: run.source.requests,
        '% read twice': (run.source.bodyBytes / bytes - 1) * 100,
        integrity,
      };
    };
    const contenders = { undisturbed: once({}), dropped: once({ drop: DROP_BYTES }) };
    const { medians, failures } = await measureRounds(rounds, contenders);
    const targets = [
      atLeast(0.9, 'MB/s against undisturbed', ratio(medians.dropped, medians.undisturbed, 'MB/s')),
      atMost(1, '% of bytes read twice', medians.dropped?.['% read twice']),
    ];
    return { figures: medians, targets, failures };
  },
};
