import { naiveSdk, product } from '../contenders.js';
import { measureRounds, ratesOf, toMiB } from '../figures.js';
import { digestOf } from '../source-bytes.js';

/** The store keeps what it is sent, and shares the machine: what a developer sees, without targets. */
export const localStore = {
  title: ({ bytes }) => `${bytes / 1024 ** 2} MiB over http into local-s3, which writes them to disk`,

  async run(stage, { bytes, rounds }) {
    const store = await stage.startLocalS3();
    const job = { url: stage.sourceUrl({ bytes }), endpoint: store.endpoint, bytes, sha256: digestOf(bytes) };
    const once = (contender) => async () => {
      const run = await contender(stage, job);
      const peak = toMiB(run.rssAboveIdleBytes);
      return { ...ratesOf(run, bytes), 'peak MiB above idle': peak, integrity: run.integrity };
    };
    const contenders = { createAndTransfer: once(product), 'naive SDK': once(naiveSdk) };
    const { medians, failures } = await measureRounds(rounds, contenders);
    return { figures: medians, targets: [], failures };
  },
};
