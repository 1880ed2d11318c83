// Chance that is the same in every run: numbers that follow from what a Draw is named by, and decks that come round.
import { createHash } from 'node:crypto';

export class Draw {
  #name;
  #count = 0;

  constructor(...name) {
    this.#name = name.join('/');
  }

  /** From 0 up to, but without, 1. */
  number() {
    this.#count += 1;
    return createHash('sha256').update(`${this.#name}/${this.#count}`).digest().readUInt32BE(0) / 2 ** 32;
  }

  /** A whole number, both ends included; `from` where they are the wrong way round. */
  integer(from, to) {
    return from + Math.floor(this.number() * Math.max(1, to - from + 1));
  }

  /** More of the small than of the large: the logarithm is drawn evenly. */
  size(from, to) {
    return Math.round(from * (to / from) ** this.number());
  }

  pick(list) {
    return list[this.integer(0, list.length - 1)];
  }

  shuffle(list) {
    return list
      .map((item) => ({ item, rank: this.number() }))
      .sort((a, b) => a.rank - b.rank)
      .map(({ item }) => item);
  }
}

/** Every card comes once before any comes again. */
export class Deck {
  #cards;
  #draw;
  #left = [];

  constructor(cards, draw) {
    this.#cards = cards;
    this.#draw = draw;
  }

  next() {
    if (this.#left.length === 0) this.#left = this.#draw.shuffle(this.#cards);
    return this.#left.pop();
  }
}
