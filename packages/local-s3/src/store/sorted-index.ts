import { compareUtf8, lowerBound } from './utf8-order.js';

/** A map whose keys can be read in the order of S3 lists. */
export class SortedIndex<Value> {
  readonly #values = new Map<string, Value>();
  #keys: string[] = [];

  get size(): number {
    return this.#values.size;
  }

  /** All keys, in order. Do not keep it over an await: it changes in place. */
  get keys(): readonly string[] {
    return this.#keys;
  }

  get(key: string): Value | undefined {
    return this.#values.get(key);
  }

  set(key: string, value: Value): void {
    if (!this.#values.has(key)) this.#keys.splice(lowerBound(this.#keys, key), 0, key);
    this.#values.set(key, value);
  }

  delete(key: string): void {
    if (this.#values.delete(key)) this.#keys.splice(lowerBound(this.#keys, key), 1);
  }

  values(): Iterable<Value> {
    return this.#values.values();
  }

  /** Fills an empty index; one sort instead of one search for each key. */
  load(entries: Iterable<readonly [string, Value]>): void {
    for (const [key, value] of entries) this.#values.set(key, value);
    this.#keys = [...this.#values.keys()].sort(compareUtf8);
  }
}
