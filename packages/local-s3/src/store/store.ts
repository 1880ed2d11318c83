import { mkdir, readdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { S3Error, systemErrorCode } from '../errors.js';
import { Bucket } from './bucket.js';
import { lockFolder } from './folder-lock.js';
import { KeyedMutex } from './keyed-mutex.js';
import { compareUtf8 } from './utf8-order.js';

/** All buckets below one data folder. One process at a time can have it open. */
export class Store {
  readonly #buckets = new Map<string, Bucket>();
  readonly #changes = new KeyedMutex();

  private constructor(
    private readonly folder: string,
    private readonly unlock: () => Promise<void>,
  ) {}

  /** @throws Error when the folder cannot be written, or is in use by another server */
  static async open(dataDir: string): Promise<Store> {
    const folder = resolve(dataDir);
    try {
      for (const part of ['buckets', 'tmp']) await mkdir(join(folder, part), { recursive: true });
      await rm(join(folder, 'tmp', 'probe'), { recursive: true, force: true });
      await mkdir(join(folder, 'tmp', 'probe'));
    } catch (cause) {
      throw new Error(`The data folder ${folder} is not writable (${systemErrorCode(cause) ?? String(cause)}).`, {
        cause,
      });
    }
    const unlock = await lockFolder(folder);
    try {
      const store = new Store(folder, unlock);
      await rm(join(folder, 'tmp'), { recursive: true, force: true });
      await mkdir(join(folder, 'tmp'));
      for (const name of await readdir(join(folder, 'buckets'))) {
        store.#buckets.set(name, await Bucket.open(join(folder, 'buckets', name), join(folder, 'tmp')));
      }
      return store;
    } catch (error) {
      await unlock();
      throw error;
    }
  }

  list(): Bucket[] {
    return [...this.#buckets.values()].sort((a, b) => compareUtf8(a.metadata.name, b.metadata.name));
  }

  find(name: string): Bucket | undefined {
    return this.#buckets.get(name);
  }

  /** @throws S3Error InvalidBucketName, NoSuchBucket */
  get(name: string): Bucket {
    checkBucketName(name);
    const bucket = this.#buckets.get(name);
    if (!bucket) throw new S3Error('NoSuchBucket', 'The specified bucket does not exist', { BucketName: name });
    return bucket;
  }

  /** Makes a bucket; false when it exists already. */
  async create(name: string): Promise<boolean> {
    checkBucketName(name);
    return this.#changes.run(name, async () => {
      if (this.#buckets.has(name)) return false;
      this.#buckets.set(name, await Bucket.create(join(this.folder, 'buckets', name), join(this.folder, 'tmp'), name));
      return true;
    });
  }

  /** @throws S3Error NoSuchBucket, BucketNotEmpty */
  async delete(name: string): Promise<void> {
    await this.#changes.run(name, async () => {
      await this.get(name).delete();
      this.#buckets.delete(name);
    });
  }

  /** Lets another server have the folder. Call it when no request is running any more. */
  close(): Promise<void> {
    return this.unlock();
  }
}

/** The rules for general purpose buckets (S3 user guide, bucket naming rules). Such a name is also safe as a folder's name. */
function checkBucketName(name: string): void {
  const isValid = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name) && !name.includes('..') && !/^[\d.]+$/.test(name);
  if (!isValid) throw new S3Error('InvalidBucketName', 'The specified bucket is not valid.', { BucketName: name });
}
