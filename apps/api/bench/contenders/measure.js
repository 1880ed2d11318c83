// Time, CPU, memory and event loop of this process while `work` runs.
import { monitorEventLoopDelay } from 'node:perf_hooks';

/** Often enough for a peak of buffers, and no work to speak of. */
const RSS_SAMPLE_MS = 50;
const LOOP_RESOLUTION_MS = 2;

export async function measure(work) {
  const idle = process.memoryUsage.rss();
  let peak = idle;
  const sampler = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage.rss());
  }, RSS_SAMPLE_MS);
  const loop = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
  loop.enable();
  const cpuBefore = process.cpuUsage();
  const begin = performance.now();
  const result = await work();
  const seconds = (performance.now() - begin) / 1_000;
  const { user, system } = process.cpuUsage(cpuBefore);
  loop.disable();
  clearInterval(sampler);
  return {
    result,
    figures: {
      seconds,
      cpuSeconds: (user + system) / 1e6,
      rssAboveIdleBytes: peak - idle,
      // The histogram holds the time between two ticks of its timer, not how late they were.
      loopDelayP99Ms: Math.max(0, loop.percentile(99) / 1e6 - LOOP_RESOLUTION_MS),
    },
  };
}
