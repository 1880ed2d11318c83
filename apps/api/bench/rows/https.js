import { product, proveArrival, rclone } from '../contenders.js';
import { atLeast, measureRounds, ratesOf, ratio } from '../figures.js';
import { digestOf } from '../source-bytes.js';

export const https = {
  title: ({ bytes }) => `${bytes / 4 / 1024 ** 2} MiB, source and store over https`,

  async run(stage, { bytes: scale, rounds, withRivals }) {
    const bytes = scale / 4;
    const url = stage.sourceUrl({ bytes }, { isSecure: true });
    const job = { url, endpoint: stage.sink.ready.secureEndpoint, bytes, sha256: digestOf(bytes) };
    const once = (contender) => async () => {
      const run = await contender(stage, job);
      const integrity = await proveArrival(stage.sink, run, bytes);
      return { ...ratesOf(run, bytes), integrity };
    };
    const { medians, failures } = await measureRounds(rounds, {
      createAndTransfer: once(product),
      ...(withRivals ? { 'rclone copyurl': once(rclone) } : {}),
    });
    const against = ratio(medians.createAndTransfer, medians['rclone copyurl'], 'MB/s');
    const targets = withRivals ? [atLeast(1, 'MB/s against rclone copyurl', against)] : [];
    return { figures: medians, targets, failures };
  },
};
