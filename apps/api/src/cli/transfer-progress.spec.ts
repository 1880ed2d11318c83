import { PassThrough } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from '@jest/globals';
import { showTransferProgress } from './transfer-progress.js';

it('writes at most a line every two seconds where there is no terminal', async () => {
  const output = new PassThrough();
  const progress = showTransferProgress(output as unknown as NodeJS.WriteStream);
  const until = performance.now() + 2_200;
  for (let bytes = 0; performance.now() < until; bytes += 1_024) {
    progress.update({ bytes, totalBytes: 1024 ** 4 });
    await delay(5);
  }
  progress.stop();
  expect(String(output.read())).toMatch(/^\d+\.\d KiB of 1\.0 TiB, \d+\.\d KiB\/s, \d+ h \d+ min left\n$/);
});
