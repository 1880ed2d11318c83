import { presign } from '../contenders.js';
import { atLeast, measureRounds } from '../figures.js';

export const presigning = {
  title: () => 'getSignedUrl, both in one process',

  async run(stage, { rounds }) {
    const once = () => presign(stage, { endpoint: stage.sink.ready.endpoint });
    const { medians, failures } = await measureRounds(rounds, { both: once });
    const { product, sdk } = medians.both ?? {};
    const figures = {
      'FileTransferService.getSignedUrl': { 'microseconds a URL': product },
      "the SDK's getSignedUrl": { 'microseconds a URL': sdk },
    };
    return { figures, targets: [atLeast(3.5, "times as fast as the SDK's", sdk / product)], failures };
  },
};
