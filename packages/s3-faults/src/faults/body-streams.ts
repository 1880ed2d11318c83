import { Transform } from 'node:stream';

export interface BodyLimit {
  readonly bytes: number;
  /** The announced length, if any. At least the last byte is held back, so that no whole body gets through. */
  readonly contentLength: number | undefined;
  /** Called when the limit or the end is reached. From then on nothing is read. */
  readonly onReached: () => unknown;
}

/** Passes the first bytes and stops reading. */
export function stopAfter({ bytes, contentLength, onReached }: BodyLimit): Transform {
  let left = Math.min(bytes, contentLength === undefined ? bytes : Math.max(0, contentLength - 1));
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      if (chunk.length <= left) {
        left -= chunk.length;
        done(null, chunk);
        return;
      }
      this.push(chunk.subarray(0, left));
      // `done` is never called: that is what stops the sender.
      onReached();
    },
    flush() {
      onReached();
    },
  });
}

/** Inverts the lowest bit of one byte; of the last one where the body is shorter. */
export function flipBit(offset: number, contentLength: number | undefined): Transform {
  const position = contentLength === undefined ? offset : Math.min(offset, contentLength - 1);
  let passed = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const index = position - passed;
      passed += chunk.length;
      if (index < 0 || index >= chunk.length) {
        done(null, chunk);
        return;
      }
      const flipped = Buffer.from(chunk);
      flipped[index] = (chunk[index] as number) ^ 1;
      done(null, flipped);
    },
  });
}

const SLICES_PER_SECOND = 20;

/** Lets `bytesPerSecond` through, in slices of a twentieth of a second. */
export function slowDown(bytesPerSecond: number): Transform {
  const sliceBytes = Math.max(1, Math.floor(bytesPerSecond / SLICES_PER_SECOND));
  let timer: NodeJS.Timeout | undefined;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const passSlice = (start: number): void => {
        if (start >= chunk.length) {
          done();
          return;
        }
        const slice = chunk.subarray(start, start + sliceBytes);
        this.push(slice);
        timer = setTimeout(passSlice, (slice.length / bytesPerSecond) * 1000, start + slice.length);
      };
      passSlice(0);
    },
    destroy(error, done) {
      clearTimeout(timer);
      done(error);
    },
  });
}
