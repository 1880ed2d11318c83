// SHA-256 of an object whose parts arrive side by side: what comes too early is held until its turn.
import { createHash } from 'node:crypto';

export class OrderedDigest {
  #hash = createHash('sha256');
  #next = 1;
  #begun = new Set();
  #ended = new Set();
  #held = new Map();
  #isSpoilt = false;

  begin(part) {
    // What was hashed of the first sending cannot be taken back.
    if (this.#begun.has(part)) this.#isSpoilt = true;
    this.#begun.add(part);
    this.#held.set(part, []);
  }

  add(part, chunk) {
    if (part === this.#next) this.#hash.update(chunk);
    else this.#held.get(part)?.push(chunk);
  }

  end(part) {
    this.#ended.add(part);
    while (this.#ended.has(this.#next)) {
      this.#held.delete(this.#next);
      this.#next += 1;
      for (const chunk of this.#held.get(this.#next) ?? []) this.#hash.update(chunk);
      this.#held.set(this.#next, []);
    }
  }

  /** Null when a part is missing, beyond `count`, or was sent twice. */
  ofParts(count) {
    return this.#isSpoilt || this.#next !== count + 1 ? null : this.#hash.digest('hex');
  }
}
