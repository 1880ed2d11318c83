import { atLeast, atMost, measureRounds } from '../figures.js';
import { runProcess } from '../processes.js';
import { Stage } from '../stage.js';

const BACKLOG = 10_000;
const QUICK_BACKLOG = 500;
const QUICK_BELOW_BYTES = 1024 ** 3;
const SAMPLES = 9;
const FILE_BYTES = 1_024;
/** "A few seconds". */
const LONGEST_WAIT_SECONDS = 3;

export const fairness = {
  title: (settings) =>
    `the first file of a workspace, with ${backlogOf(settings)} files of another one in the queue of one worker`,

  async run(_stage, { rounds, ...settings }) {
    const { medians, failures } = await measureRounds(rounds, {
      'idle worker': () => measure(0),
      'behind the backlog': () => measure(backlogOf(settings)),
    });
    const behind = medians['behind the backlog'];
    const targets = [
      atMost(LONGEST_WAIT_SECONDS, 's until it is DONE, the longest', behind?.['longest, s']),
      atLeast(1, 'files of the backlog that still waited', behind?.['files that still waited']),
    ];
    return { figures: medians, targets, failures };
  },
};

function backlogOf({ bytes }) {
  return bytes < QUICK_BELOW_BYTES ? QUICK_BACKLOG : BACKLOG;
}

/** On a database of its own, because the queue is not empty at the end. */
async function measure(backlog) {
  const stage = await Stage.open();
  try {
    const job = { sourceUrl: stage.sourceUrl({ bytes: FILE_BYTES }), samples: SAMPLES, backlog };
    const run = (environment) =>
      runProcess('contenders/first-file.js', {
        args: [JSON.stringify(job)],
        cwd: stage.folder,
        environment: { ...stage.environmentFor(stage.sink.ready.endpoint), ...environment },
        nodeOptions: ['--max-semi-space-size=1'],
      });
    await run({ TRANSFER_WORKER: 'none' });
    const { median, longest, waiting } = await run({ TRANSFER_WORKER: 'all' });
    return { 'DONE after, s': median, 'longest, s': longest, 'files that still waited': waiting };
  } finally {
    await stage.close();
  }
}
