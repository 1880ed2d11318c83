import { Injectable } from '@nestjs/common';
import { BucketReader, compareKeys, type ListedObject } from '../upload/bucket-reader.js';
import { InventoryRepository, type InventoryRow } from './inventory.repository.js';

/** What one key holds: an object, a row, or both. */
export interface WalkedKey {
  key: string;
  /** As the store listed it, which may have been a while before the row was read. */
  object?: ListedObject;
  row?: InventoryRow;
}

export interface WalkOptions {
  bucket: string;
  /** Keys up to this one are left out. */
  after?: string | undefined;
  graceMs: number;
  signal?: AbortSignal | undefined;
}

/** Walks a bucket and its rows side by side, in the order of the keys: a page of each is in memory. */
@Injectable()
export class BucketWalk {
  constructor(
    private readonly reader: BucketReader,
    private readonly inventory: InventoryRepository,
  ) {}

  /** Of several rows with one path, which must not be, each is given with the object. */
  async *keys({ bucket, after, graceMs, signal }: WalkOptions): AsyncGenerator<WalkedKey> {
    const objects = this.reader.listObjects({ bucket, after, signal });
    const rows = this.inventory.walkRows({ bucket, after, graceMs });
    let object = await next(objects);
    let row = await next(rows);
    let isObjectMatched = false;
    while (object !== undefined || row !== undefined) {
      signal?.throwIfAborted();
      const order = compare(object?.key, row?.path);
      if (order < 0 && object !== undefined) {
        if (!isObjectMatched) yield { key: object.key, object };
        object = await next(objects);
        isObjectMatched = false;
      } else if (row !== undefined) {
        isObjectMatched = order === 0;
        yield { key: row.path, row, ...(object !== undefined && isObjectMatched ? { object } : {}) };
        row = await next(rows);
      }
    }
  }
}

/** The end of a list comes after every key. */
function compare(key: string | undefined, path: string | undefined): number {
  if (key === undefined) return 1;
  return path === undefined ? -1 : compareKeys(key, path);
}

async function next<Item>(items: AsyncGenerator<Item>): Promise<Item | undefined> {
  const { value, done } = await items.next();
  return done === true ? undefined : value;
}
