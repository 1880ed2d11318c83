import { awsS3Cp, boto3, loopbackCopy, naiveSdk, product, proveArrival, rclone } from '../contenders.js';
import { atLeast, atMost, measureRounds, ratesOf, ratio } from '../figures.js';
import { digestOf } from '../source-bytes.js';

export const throughput = {
  title: ({ bytes }) => `${bytes / 1024 ** 2} MiB over http into a sink that does the least`,

  async run(stage, { bytes, rounds, withRivals }) {
    const { endpoint } = stage.sink.ready;
    const job = { url: stage.sourceUrl({ bytes }), endpoint, bytes, sha256: digestOf(bytes) };
    const once = (contender) => async () => {
      const run = await contender(stage, job);
      const integrity = await proveArrival(stage.sink, run, bytes);
      return { ...ratesOf(run, bytes), integrity };
    };
    const rivals = { 'rclone copyurl': once(rclone), 'boto3 upload_fileobj': once(boto3), 'aws s3 cp': once(awsS3Cp) };
    const { medians, failures } = await measureRounds(rounds, {
      createAndTransfer: once(product),
      'naive SDK': once(naiveSdk),
      'curl | curl -T -': once(loopbackCopy),
      ...(withRivals ? rivals : {}),
    });
    const ours = medians.createAndTransfer;
    const against = (name, figure) => ratio(ours, medians[name], figure);
    const targets = [
      atLeast(1.4, 'MB/s against the naive SDK', against('naive SDK', 'MB/s')),
      atLeast(0.6, 'MB/s against the bare loopback copy', against('curl | curl -T -', 'MB/s')),
      atMost(0.75, 'CPU s/GiB against the naive SDK', against('naive SDK', 'CPU s/GiB')),
    ];
    if (withRivals) {
      targets.push(
        atLeast(1.3, 'MB/s against rclone copyurl', against('rclone copyurl', 'MB/s')),
        atLeast(1, 'MB/s against boto3 upload_fileobj', against('boto3 upload_fileobj', 'MB/s')),
        atMost(0.7, 'CPU s/GiB against rclone copyurl', against('rclone copyurl', 'CPU s/GiB')),
      );
    }
    return { figures: medians, targets, failures };
  },
};
