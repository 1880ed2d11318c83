/** Runs the work of one name one after the other, in the order of the calls; different names run side by side. */
export class KeyedMutex {
  readonly #tails = new Map<string, Promise<void>>();

  async run<T>(name: string, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(name);
    const result = before ? before.then(work) : work();
    const tail = result.then(
      () => {},
      () => {}, // The caller gets the error from `result`; those who wait must not.
    );
    this.#tails.set(name, tail);
    try {
      return await result;
    } finally {
      if (this.#tails.get(name) === tail) this.#tails.delete(name);
    }
  }
}
