import { createHash, randomUUID } from 'node:crypto';
import { link, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { CorsRule } from '../cors-rules.js';
import { S3Error, systemErrorCode } from '../errors.js';
import type { WriteCondition } from '../http/conditions.js';
import { readSegments, type Segment, writeDataFile } from './data-file.js';
import { KeyedMutex } from './keyed-mutex.js';
import { mapConcurrently } from './map-concurrently.js';
import { readMetadata, writeMetadata } from './metadata-file.js';
import { MultipartUploads } from './multipart-uploads.js';
import { SortedIndex } from './sorted-index.js';
import { type ObjectMetadata, StoredObject } from './stored-object.js';

/** The content of bucket.json. */
export interface BucketMetadata {
  readonly name: string;
  readonly created: number;
  readonly corsRules?: readonly CorsRule[] | undefined;
  /** The XML as the client sent it. */
  readonly lifecycle?: string | undefined;
}

/** A version that is being read; call `release` when done, or its files stay for ever. */
export interface HeldObject {
  readonly metadata: ObjectMetadata;
  readonly read: (range: { start: number; end: number }) => AsyncGenerator<Buffer>;
  readonly release: () => Promise<void>;
}

/**
 * One bucket on the disk and its index in memory:
 *   bucket.json          name, CORS, lifecycle
 *   data/<uuid>          bytes of objects and parts; names are never used twice
 *   objects/<hash>.json  one per object: its key, headers and the data files that make it up
 *   uploads/<id>/        upload.json and one <number>.json per part
 * An object exists when its objects/ file does. Bytes are on the disk before that file is renamed into place, and bytes no longer
 * named are removed after it, so a crash leaves unnamed data files at the worst; `open` sweeps those.
 */
export class Bucket {
  readonly objects = new SortedIndex<StoredObject>();
  readonly uploads: MultipartUploads;
  readonly #publishing = new KeyedMutex();
  #publications = 0;
  #isDeleted = false;

  private constructor(
    readonly folder: string,
    private readonly temporaryFolder: string,
    private current: BucketMetadata,
  ) {
    this.uploads = new MultipartUploads(this, join(folder, 'uploads'));
  }

  static async create(folder: string, temporaryFolder: string, name: string): Promise<Bucket> {
    const metadata: BucketMetadata = { name, created: Date.now() };
    // Built aside and renamed, so that a folder below buckets/ is always a whole bucket.
    const building = join(temporaryFolder, randomUUID());
    for (const part of ['data', 'objects', 'uploads']) await mkdir(join(building, part), { recursive: true });
    await writeMetadata(temporaryFolder, join(building, 'bucket.json'), metadata);
    await rename(building, folder);
    return new Bucket(folder, temporaryFolder, metadata);
  }

  /** Reads a bucket back, ends what a crash has interrupted and removes data that nothing names. */
  static async open(folder: string, temporaryFolder: string): Promise<Bucket> {
    const metadata = await readMetadata<BucketMetadata>(join(folder, 'bucket.json'));
    if (!metadata) throw new Error(`${folder} holds no bucket.json: it is no bucket of this server.`);
    const bucket = new Bucket(folder, temporaryFolder, metadata);
    const files = await readdir(join(folder, 'objects'));
    const objects = await mapConcurrently(files, (file) => readMetadata<ObjectMetadata>(join(folder, 'objects', file)));
    bucket.objects.load(objects.flatMap((object) => (object ? [[object.key, bucket.#inMemory(object)]] : [])));
    await bucket.uploads.load();
    await bucket.#sweepData();
    return bucket;
  }

  get metadata(): BucketMetadata {
    return this.current;
  }

  async update(change: Partial<BucketMetadata>): Promise<void> {
    await this.#publishing.run('bucket', async () => {
      const next = { ...this.current, ...change };
      await this.writeMetadata(join(this.folder, 'bucket.json'), next);
      this.current = next;
    });
  }

  /**
   * Removes the bucket with its open uploads.
   * @throws S3Error BucketNotEmpty also while an object is being published
   */
  async delete(): Promise<void> {
    if (this.objects.size > 0 || this.#publications > 0) {
      throw new S3Error('BucketNotEmpty', 'The bucket you tried to delete is not empty', {
        BucketName: this.current.name,
      });
    }
    this.#isDeleted = true;
    const grave = join(this.temporaryFolder, randomUUID());
    await rename(this.folder, grave);
    await rm(grave, { recursive: true, force: true });
  }

  /** Streams bytes into a new data file; publish it or remove it. */
  async writeData(source: AsyncIterable<Buffer>): Promise<Segment> {
    this.#checkExists();
    const file = randomUUID();
    try {
      return { file, size: await writeDataFile(join(this.folder, 'data', file), source) };
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') this.#checkExists();
      throw error;
    }
  }

  async removeData(segments: readonly Segment[]): Promise<void> {
    for (const { file } of segments) await rm(join(this.folder, 'data', file), { force: true });
  }

  /** Gives the bytes of an object of any bucket second names in this one, without copying them. */
  async linkData(from: Bucket, segments: readonly Segment[]): Promise<Segment[]> {
    const links: Segment[] = [];
    try {
      for (const { file, size } of segments) {
        const copy = { file: randomUUID(), size };
        await link(join(from.folder, 'data', file), join(this.folder, 'data', copy.file));
        links.push(copy);
      }
    } catch (error) {
      await this.removeData(links);
      throw error;
    }
    return links;
  }

  /**
   * Makes `metadata` the object of its key, in one rename. On an error its data files are not removed: they are still the caller's.
   * @throws S3Error PreconditionFailed, NoSuchKey (condition), NoSuchBucket
   */
  async publish(metadata: ObjectMetadata, condition?: WriteCondition): Promise<void> {
    const previous = await this.#publishing.run(`object ${metadata.key}`, async () => {
      this.#checkExists();
      const replaced = this.objects.get(metadata.key);
      condition?.check(replaced?.metadata);
      this.#publications += 1;
      try {
        await this.writeMetadata(this.#objectPath(metadata.key), metadata);
        this.objects.set(metadata.key, this.#inMemory(metadata));
      } finally {
        this.#publications -= 1;
      }
      return replaced;
    });
    await previous?.retire();
  }

  /** Removes an object; a missing one is no error. */
  async deleteObject(key: string, condition?: WriteCondition): Promise<void> {
    const removed = await this.#publishing.run(`object ${key}`, async () => {
      const object = this.objects.get(key);
      condition?.check(object?.metadata);
      if (!object) return undefined;
      await rm(this.#objectPath(key), { force: true });
      this.objects.delete(key);
      return object;
    });
    await removed?.retire();
  }

  /** @throws S3Error NoSuchKey */
  hold(key: string): HeldObject {
    const object = this.objects.get(key);
    if (!object) throw new S3Error('NoSuchKey', 'The specified key does not exist.', { Key: key });
    const { metadata } = object;
    return {
      metadata,
      read: (range) => readSegments(join(this.folder, 'data'), metadata.segments, range),
      release: object.hold(),
    };
  }

  #inMemory(metadata: ObjectMetadata): StoredObject {
    return new StoredObject(metadata, (segments) => this.removeData(segments));
  }

  /** Keys are hashed: no key, whatever its characters, can name a file outside this folder. */
  #objectPath(key: string): string {
    return join(this.folder, 'objects', `${createHash('sha256').update(key).digest('hex')}.json`);
  }

  /** @throws S3Error NoSuchBucket when the folder has gone while the file was written */
  async writeMetadata(path: string, value: unknown): Promise<void> {
    try {
      await writeMetadata(this.temporaryFolder, path, value);
    } catch (error) {
      this.#checkExists();
      throw error;
    }
  }

  #checkExists(): void {
    if (this.#isDeleted) throw new S3Error('NoSuchBucket', 'The specified bucket does not exist');
  }

  async #sweepData(): Promise<void> {
    const named = new Set<string>(this.uploads.dataFiles());
    for (const { metadata } of this.objects.values()) for (const { file } of metadata.segments) named.add(file);
    const orphans = (await readdir(join(this.folder, 'data'))).filter((file) => !named.has(file));
    await this.removeData(orphans.map((file) => ({ file, size: 0 })));
  }
}
