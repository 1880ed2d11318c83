import { randomUUID } from 'node:crypto';
import { runProduct } from '../contenders.js';
import { atMost, measureRounds, ratio, toMiB } from '../figures.js';

const GOOD = { hosts: 5, files: 20, workspaces: 4 };
const SLOW = { hosts: 50, files: 500, workspaces: 25, bytes: 64 * 1024 ** 2 };

export const slowHosts = {
  title: ({ bytes }) =>
    `${GOOD.files} files of ${bytes / 64 / 1024 ** 2} MiB at 2 MB/s each, by a worker, beside ${SLOW.files} on ${SLOW.hosts} hosts that give 16 KiB/s each`,

  async run(stage, { bytes: scale, rounds }) {
    const hosts = await stage.startHosts({ good: GOOD.hosts, slow: SLOW.hosts });
    const { good, slow } = hosts.ready;
    const bytes = scale / 64;
    const filesOf = (origins, { files, workspaces }, length) =>
      Array.from({ length: files }, (_, index) => ({
        sourceUrl: `${origins[index % origins.length]}/${index}.mp4?bytes=${length}`,
        workspace: index % workspaces,
      }));
    const once = (slowFiles, isSettled) => async () => {
      const job = { good: filesOf(good, GOOD, bytes), slow: slowFiles, isSettled, bytes };
      const run = await runProduct(stage, 'contenders/by-worker.js', job, {
        DATABASE_URL: await stage.createMigratedDatabase(`slow-${randomUUID()}`),
        SOURCE_ALLOWED_ADDRESSES: '127.0.0.0/8',
        SOURCE_MAX_CONNECTIONS: '1', // Hosts are as fast as they are. All else is as it is by default.
      });
      return {
        seconds: run.seconds,
        'slow ones under way': run.slowUnderWay,
        'seconds until all hosts are known': run.settledSeconds,
        'peak MiB above idle': toMiB(run.rssAboveIdleBytes),
        'peak MiB of part buffers': toMiB(run.bufferBytes),
      };
    };
    const slowFiles = filesOf(slow, SLOW, SLOW.bytes);
    const { medians, failures } = await measureRounds(rounds, {
      alone: once([], false),
      'beside slow ones': once(slowFiles, true),
      'behind slow ones, all new at once': once(slowFiles, false),
    });
    await hosts.stop();
    const beside = medians['beside slow ones'];
    const targets = [
      atMost(1.1, 'time beside slow ones, against alone', ratio(beside, medians.alone, 'seconds')),
      atMost(256, 'MiB of part buffers (TRANSFER_MEMORY_BYTES)', beside?.['peak MiB of part buffers']),
    ];
    return { figures: medians, targets, failures };
  },
};
