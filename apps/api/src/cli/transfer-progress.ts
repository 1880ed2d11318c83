import { SingleBar } from 'cli-progress';
import { formatBytes, formatSeconds } from './byte-text.js';

/** Between two lines where there is no terminal to draw on. */
const LINE_EVERY_MS = 2_000;
/** Before that the rate of the first bytes says nothing of the rest. */
const STEADY_AFTER_S = 1;
const BAR_WIDTH = 24;

export interface TransferProgressView {
  update(progress: { bytes: number; totalBytes: number | null }): void;
  /** Leaves the terminal as it was; call it in any case. */
  stop(): void;
}

/** Shows how far a transfer is on stderr: a bar on a terminal, a line every two seconds elsewhere. */
export function showTransferProgress(output: NodeJS.WriteStream = process.stderr): TransferProgressView {
  let startedAt: number | undefined;
  const describe = (bytes: number, totalBytes: number | null) => {
    const total = totalBytes === null ? '' : ` of ${formatBytes(totalBytes)}`;
    const seconds = (performance.now() - (startedAt ?? 0)) / 1_000;
    if (seconds < STEADY_AFTER_S) return `${formatBytes(bytes)}${total}`;
    const rate = bytes / seconds;
    const left = totalBytes === null ? '' : `, ${formatSeconds((totalBytes - bytes) / rate)} left`;
    return `${formatBytes(bytes)}${total}, ${formatBytes(rate)}/s${left}`;
  };
  const view = output.isTTY ? drawBar(output, describe) : writeLines(output, describe);
  return {
    update(progress) {
      startedAt ??= performance.now();
      view.update(progress);
    },
    stop: () => view.stop(),
  };
}

type Describe = (bytes: number, totalBytes: number | null) => string;

function drawBar(output: NodeJS.WriteStream, describe: Describe): TransferProgressView {
  const bar = new SingleBar({
    stream: output,
    // Without a length there is nothing to fill: figures alone.
    format: (_options, { total, value }, { text, isLengthKnown }: { text: string; isLengthKnown: boolean }) => {
      const filled = Math.round((isLengthKnown ? value / total : 0) * BAR_WIDTH);
      const percent = `${Math.floor((value / total) * 100)}`.padStart(3);
      return isLengthKnown ? `${'█'.repeat(filled)}${'░'.repeat(BAR_WIDTH - filled)} ${percent} %  ${text}` : text;
    },
    hideCursor: true,
    clearOnComplete: true,
    // Its own handling of Ctrl-C would end the bar only; the command stops it.
    gracefulExit: false,
  });
  let isDrawn = false;
  return {
    update({ bytes, totalBytes }) {
      const payload = { text: describe(bytes, totalBytes), isLengthKnown: totalBytes !== null };
      if (!isDrawn) bar.start(totalBytes ?? Number.MAX_SAFE_INTEGER, bytes, payload);
      else bar.update(bytes, payload);
      isDrawn = true;
    },
    stop() {
      if (isDrawn) bar.stop();
    },
  };
}

function writeLines(output: NodeJS.WriteStream, describe: Describe): TransferProgressView {
  let lastAt = performance.now();
  return {
    update({ bytes, totalBytes }) {
      if (performance.now() - lastAt < LINE_EVERY_MS) return;
      lastAt = performance.now();
      output.write(`${describe(bytes, totalBytes)}\n`);
    },
    stop() {},
  };
}
