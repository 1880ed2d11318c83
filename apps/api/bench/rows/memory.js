import { product, proveArrival } from '../contenders.js';
import { atMost, measureRounds, ratesOf, toMiB } from '../figures.js';

/** In units of the run's size: 1, 5 and 20 GiB of a run at its full size. */
const MULTIPLES = [1, 5, 20];

export const memory = {
  title: ({ bytes }) =>
    `peak memory above idle at ${MULTIPLES.map((multiple) => (bytes * multiple) / 1024 ** 2).join(', ')} MiB; source and sink agree on the SHA-256`,

  async run(stage, { bytes: scale, rounds }) {
    const sink = await stage.startHashingSink();
    const once = (bytes) => async () => {
      const run = await product(stage, { url: stage.sourceUrl({ bytes }), endpoint: sink.ready.endpoint, bytes });
      const integrity = await proveArrival(sink, run, bytes);
      const peak = toMiB(run.rssAboveIdleBytes);
      return { 'peak MiB above idle': peak, 'MB/s': ratesOf(run, bytes)['MB/s'], integrity };
    };
    const contenders = MULTIPLES.map((multiple) => [`${toMiB(scale * multiple)} MiB`, once(scale * multiple)]);
    const { medians, failures } = await measureRounds(rounds, Object.fromEntries(contenders));
    await sink.stop();
    const peaks = Object.values(medians).map((figures) => figures['peak MiB above idle']);
    const isWhole = peaks.length === MULTIPLES.length;
    const targets = [
      atMost(120, 'highest peak, MiB above idle', isWhole ? Math.max(...peaks) : undefined),
      atMost(24, 'spread of the peaks, MiB', isWhole ? Math.max(...peaks) - Math.min(...peaks) : undefined),
    ];
    return { figures: medians, targets, failures };
  },
};
