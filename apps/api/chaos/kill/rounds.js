// What each round of a kill run does, drawn from the seed: the same seed is the same plan.
import { Deck, Draw } from '../draw.js';

const KiB = 1024;
const MiB = 1024 * KiB;
const SMALLEST_FILE_BYTES = 200 * KiB;
const LARGEST_FILE_BYTES = 24 * MiB;
/** Of an aimed kill, so that its transfer comes to every phase that has parts. */
const LEAST_BYTES_OF_PARTS = 6 * MiB;
const MOST_FILES = 4;
/** Transfers of a round take about a second: a kill at random comes before, within or after them. */
const LATEST_KILL_MS = 1_200;
const LONGEST_DOWN_MS = 400;

/** What a row can be at, and what can die then. */
export const PHASES = {
  row: ['api'],
  create: ['worker', 'store', 'postgres'],
  parts: ['worker', 'store', 'postgres'],
  completing: ['worker', 'store', 'postgres'],
  verify: ['worker', 'store', 'postgres'],
  commit: ['worker', 'postgres'],
  purge: ['worker', 'store', 'postgres'],
};
export const PHASE_NAMES = Object.keys(PHASES);
const VICTIMS = ['worker', 'store', 'postgres', 'api'];

/** Every second round is aimed, and all phases come before any comes again; the others hit what they hit. */
export function drawRounds(seed, count) {
  const deck = (name, cards) => new Deck(cards, new Draw(seed, 'kill', name));
  const phases = deck('phases', PHASE_NAMES);
  const victims = deck('victims', VICTIMS);
  const victimsOf = Object.fromEntries(PHASE_NAMES.map((name) => [name, deck(name, PHASES[name])]));
  return Array.from({ length: count }, (_, index) => {
    const draw = new Draw(seed, 'round', index + 1);
    const phase = index % 2 === 0 ? phases.next() : undefined;
    const sizes = Array.from({ length: draw.integer(2, MOST_FILES) }, () =>
      draw.size(SMALLEST_FILE_BYTES, LARGEST_FILE_BYTES),
    );
    if (phase !== undefined) sizes[0] = draw.size(LEAST_BYTES_OF_PARTS, LARGEST_FILE_BYTES);
    return {
      number: index + 1,
      phase,
      victim: phase === undefined ? victims.next() : victimsOf[phase].next(),
      // Of a call or a commit: before it, or after it and before its answer.
      side: draw.pick(['before', 'after']),
      sizes,
      afterMs: draw.integer(0, LATEST_KILL_MS),
      downMs: draw.integer(0, LONGEST_DOWN_MS),
    };
  });
}
