import { product, proveArrival, rclone } from '../contenders.js';
import { atLeast, atMost, measureRounds, ratesOf, ratio } from '../figures.js';
import { digestOf } from '../source-bytes.js';

const BYTES_PER_SECOND = 20e6;
const MAX_CONNECTIONS = 8;

export const slowSource = {
  title: ({ bytes }) => `${bytes / 4 / 1024 ** 2} MiB from a source of 20 MB/s a connection`,

  async run(stage, { bytes: scale, rounds, withRivals }) {
    const bytes = scale / 4;
    const job = {
      url: stage.sourceUrl({ bytes, rate: BYTES_PER_SECOND }),
      endpoint: stage.sink.ready.endpoint,
      bytes,
      sha256: digestOf(bytes),
      environment: { SOURCE_MAX_CONNECTIONS: String(MAX_CONNECTIONS) },
    };
    const once = (contender) => async () => {
      const run = await contender(stage, job);
      const integrity = await proveArrival(stage.sink, run, bytes);
      return { 'MB/s': ratesOf(run, bytes)['MB/s'], 'connections at once': run.source.peakConnections, integrity };
    };
    const { medians, failures } = await measureRounds(rounds, {
      createAndTransfer: once(product),
      ...(withRivals ? { 'rclone copyurl': once(rclone) } : {}),
    });
    const ours = medians.createAndTransfer;
    const targets = [atMost(MAX_CONNECTIONS, 'connections to the source at once', ours?.['connections at once'])];
    if (withRivals) {
      targets.push(atLeast(5, 'MB/s against rclone copyurl', ratio(ours, medians['rclone copyurl'], 'MB/s')));
    }
    return { figures: medians, targets, failures };
  },
};
