import type { Checksum } from '../http/checksums.js';
import type { Segment } from './data-file.js';

/** Headers that S3 keeps with an object and gives back with it, by their lower-case names. */
export type KeptHeaders = Readonly<Record<string, string>>;

/** One version of an object, as its metadata file holds it. */
export interface ObjectMetadata {
  readonly key: string;
  readonly size: number;
  /** Without quotes. */
  readonly etag: string;
  /** In ms since 1970. */
  readonly lastModified: number;
  readonly headers: KeptHeaders;
  readonly segments: readonly Segment[];
  readonly checksum?: Checksum | undefined;
  /** The multipart upload that made it. */
  readonly uploadId?: string | undefined;
}

/** A version in memory. Its files stay on the disk until nobody reads them any more, also after a newer version took the key. */
export class StoredObject {
  #readers = 0;
  #retired = false;

  constructor(
    readonly metadata: ObjectMetadata,
    private readonly removeFiles: (segments: readonly Segment[]) => Promise<void>,
  ) {}

  /** Keeps the files until the returned function is called. */
  hold(): () => Promise<void> {
    this.#readers += 1;
    let released = false;
    return async () => {
      if (released) return;
      released = true;
      this.#readers -= 1;
      if (this.#retired && this.#readers === 0) await this.removeFiles(this.metadata.segments);
    };
  }

  /** To be called once the key no longer leads here. */
  async retire(): Promise<void> {
    this.#retired = true;
    if (this.#readers === 0) await this.removeFiles(this.metadata.segments);
  }
}
