const MiB = 1024 * 1024;
/** What one connection fetches at a time while several read; smaller towards the end, so that all end together. */
export const SLICE_BYTES = 5 * MiB;
const MIN_SLICE_BYTES = MiB;

/** A buffer that a caller lent, and where in the file its bytes belong. */
interface Window {
  readonly buffer: Buffer;
  readonly start: number;
  readonly resolve: (count: number) => void;
  readonly reject: (error: Error) => void;
}

/** A run of bytes inside one window that one connection has taken over. Positions are those of the file. */
export interface Slice {
  window: Window;
  position: number;
  end: number;
}

export interface FileWatchers {
  /** Sees every byte, in order, once. */
  readonly onBytes?: (bytes: Buffer) => void;
  /** The file begins anew. */
  readonly onRestart?: () => void;
  /** Sees the first window before it is handed back; an error refuses the file. */
  readonly inspect?: (beginning: Buffer) => Promise<void>;
  /** Sees the length once the end is proven, before the last window is handed back. */
  readonly judgeLength?: (bytes: number) => void;
}

/**
 * Buffers over a file, in order, that connections fill side by side. Bytes are shown to `onBytes` as far as no slice
 * before them is open, and a buffer goes back to its owner when all of its bytes were shown.
 */
export class FileWindows {
  /** Of the file in bytes; null as long as only its end will tell. */
  length: number | null = null;
  private readonly windows: Window[] = [];
  /** Taken and not wholly shown, in the order of the file. */
  private readonly slices: Slice[] = [];
  private readonly leftSlices: Slice[] = [];
  private asked: number;
  private taken: number;
  private shown: number;
  private isHandedOut = false;
  private isEndProven = false;

  constructor(
    private readonly watchers: FileWatchers,
    private readonly onRefusal: (error: Error) => void,
    /** Where in the file the first buffer begins. */
    firstByte = 0,
  ) {
    this.asked = firstByte;
    this.taken = firstByte;
    this.shown = firstByte;
  }

  /** Resolves with the bytes that lie in `buffer`: all, or fewer at the proven end of the file. */
  add(buffer: Buffer): Promise<number> {
    return new Promise((resolve, reject) => {
      this.windows.push({ buffer, start: this.asked, resolve, reject });
      this.asked += buffer.length;
      this.handBack();
    });
  }

  /** Bytes of one buffer, as the caller lends them now. */
  get bufferBytes(): number {
    return this.windows[0]?.buffer.length ?? SLICE_BYTES;
  }

  /** Bytes that nobody has taken; null while the length is unknown. */
  get untakenBytes(): number | null {
    return this.length === null ? null : this.length - this.taken;
  }

  /** The end is proven, and every byte of the file was shown. */
  get isWhole(): boolean {
    return this.isEndProven && this.shown === this.length;
  }

  get bytesShown(): number {
    return this.shown;
  }

  /** The next run of bytes to read; undefined when no buffer is there for it, or no byte left. */
  take(sharers: number): Slice | undefined {
    return this.leftSlices.shift() ?? this.takeNext(sharers);
  }

  /** Leaves the rest of a slice to whoever takes next. */
  leave(slice: Slice): void {
    this.leftSlices.push(slice);
  }

  /** Nobody has taken bytes behind this slice. */
  isFrontMost(slice: Slice): boolean {
    return slice.end === this.taken;
  }

  /** Where the bytes of a slice belong, up to `end` of the file. */
  targetOf({ window, position }: Slice, end: number): Buffer {
    return window.buffer.subarray(position - window.start, end - window.start);
  }

  /** `bytes` more of the slice lie in its buffer. */
  advance(slice: Slice, bytes: number): void {
    slice.position += bytes;
    if (slice === this.slices[0]) this.show();
  }

  /** The length that a source announces before a byte of `slice` is read: nothing of the slice lies behind it. */
  announce(length: number | null, slice?: Slice): void {
    this.length = length;
    if (slice === undefined || length === null || slice.end <= length) return;
    slice.end = length;
    this.taken = length;
  }

  /** The file turned out to end where this slice has got to. */
  endAt(slice: Slice): void {
    slice.end = slice.position;
    this.taken = slice.position;
    this.length = slice.position;
    this.show();
  }

  /** Nothing can follow the last byte any more. */
  markEnd(): void {
    this.isEndProven = true;
    this.handBack();
  }

  /** Begins the file anew, with `slice` at its start. False, and nothing is changed, when a buffer was handed back. */
  restart(slice: Slice): boolean {
    const first = this.windows[0];
    if (this.isHandedOut || first === undefined) return false;
    Object.assign(slice, { window: first, position: 0, end: first.buffer.length });
    this.slices.splice(0, this.slices.length, slice);
    this.leftSlices.length = 0;
    this.taken = slice.end;
    this.shown = 0;
    this.length = null;
    this.isEndProven = false;
    this.watchers.onRestart?.();
    return true;
  }

  fail(reason: Error): void {
    for (const window of this.windows.splice(0)) window.reject(reason);
  }

  private takeNext(sharers: number): Slice | undefined {
    const { length, taken } = this;
    const window = this.windows.find(({ start, buffer }) => start + buffer.length > taken);
    if (window === undefined || (length !== null && taken >= length)) return undefined;
    let end = Math.min(window.start + window.buffer.length, length ?? Number.POSITIVE_INFINITY);
    if (sharers > 1 && length !== null) {
      const share = Math.ceil((length - taken) / sharers);
      end = Math.min(end, taken + Math.max(MIN_SLICE_BYTES, Math.min(SLICE_BYTES, share)));
    }
    const slice = { window, position: taken, end };
    this.taken = end;
    this.slices.push(slice);
    return slice;
  }

  private show(): void {
    for (let slice = this.slices[0]; slice !== undefined; slice = this.slices[0]) {
      const { window, position, end } = slice;
      if (position > this.shown) {
        this.watchers.onBytes?.(window.buffer.subarray(this.shown - window.start, position - window.start));
        this.shown = position;
      }
      if (position < end) break;
      this.slices.shift();
    }
    this.handBack();
  }

  private handBack(): void {
    for (let window = this.windows[0]; window !== undefined; window = this.windows[0]) {
      const windowEnd = window.start + window.buffer.length;
      const end = Math.min(windowEnd, this.length ?? Number.POSITIVE_INFINITY);
      const isLast = end < windowEnd;
      if (this.shown < end || (isLast && !this.isEndProven)) return;
      this.windows.shift();
      this.isHandedOut = true;
      void this.handOne(window, Math.max(0, end - window.start), isLast);
    }
  }

  private async handOne(window: Window, bytes: number, isLast: boolean): Promise<void> {
    const { inspect, judgeLength } = this.watchers;
    try {
      if (isLast) judgeLength?.(this.length ?? 0);
      if (window.start === 0 && bytes > 0) await inspect?.(window.buffer.subarray(0, bytes));
      window.resolve(bytes);
    } catch (error) {
      window.reject(error as Error);
      this.onRefusal(error as Error);
    }
  }
}
