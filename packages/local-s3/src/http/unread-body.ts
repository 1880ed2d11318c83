import type { IncomingMessage } from 'node:http';

const MAX_BYTES = 128 * 1024 ** 2;
const MAX_MS = 10_000;
const MAX_SILENCE_MS = 1000;

/**
 * Reads and drops what a refused client still sends: closing at once would reset the connection, and many clients look at the answer
 * only after their body. Ends with the body, with the connection, or when the client has had enough of our time.
 */
export function drainRequest(request: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    let bytes = 0;
    const done = (): void => {
      clearTimeout(deadline);
      clearTimeout(silence);
      request.off('data', count).off('end', done).off('close', done).off('error', done);
      resolve();
    };
    const count = (chunk: Buffer): void => {
      bytes += chunk.length;
      silence.refresh();
      if (bytes > MAX_BYTES) done();
    };
    const deadline = setTimeout(done, MAX_MS);
    const silence = setTimeout(done, MAX_SILENCE_MS);
    request.on('data', count).on('end', done).on('close', done).on('error', done);
    request.resume();
    if (request.complete || request.destroyed) done();
  });
}
