// The plan of a run: data alone, and the same for a seed in every run. The transfer of a number does not depend on how
// many there are, so that one alone can be run again.
import { BEHAVIOUR_NAMES, BEHAVIOURS } from '@s3-transfer/hostile-source';
import { FAULT_NAMES, FAULTS } from '@s3-transfer/s3-faults';
import { Deck, Draw } from './draw.js';
import { SOURCE_LIES, STORE_LIES } from './lies.js';
import { endsOfBehaviour, MOST_HOPS } from './verdicts.js';

const KiB = 1024;
const MiB = 1024 * KiB;
export const PART_SIZE_BYTES = 5 * MiB;
/** Enough for a lie of some bytes to be one, and for a resume on either side of a cut. */
const SMALLEST_FILE_BYTES = 100;
const LARGEST_FILE_BYTES = 11 * MiB;

/** Which side misbehaves, as often as it stands here. A misbehaving store alone has a source that keeps its word. */
const SIDES = [
  ...Array(8).fill('source'),
  ...Array(6).fill('store'),
  ...Array(4).fill('both'),
  ...Array(2).fill('none'),
];
/** What the caller does beside asking once. */
const CALLERS = [...Array(12).fill('once'), 'twice-at-once', 'twice-at-once', 'again', 'other-source', 'cancel'];

/** What a transfer asks of a store, by the shape it must have to ask it. A tiny file is read back whole: HEAD is asked of larger ones. */
const OPERATION_SHAPES = {
  PutObject: 'put',
  CreateMultipartUpload: 'parts',
  UploadPart: 'parts',
  CompleteMultipartUpload: 'parts',
  HeadObject: 'looked-at',
  GetObject: 'any',
  AbortMultipartUpload: 'parts',
  ListParts: 'parts',
  DeleteObject: 'looked-at',
};
/** What else must happen so that a clean-up comes at all. */
const CLEAN_UP_CAUSES = {
  AbortMultipartUpload: { fault: 'upload-id-unknown', operation: 'UploadPart' },
  ListParts: { fault: 'upload-id-unknown', operation: 'UploadPart' },
  DeleteObject: { fault: 'head-wrong-size', operation: 'HeadObject' },
};

/** Told apart from other refusals by their code, which stands in a body: an answer to HEAD has none. */
const SAID_IN_BODY = ['request-timeout', 'clock-skew'];

const USUAL_SIZE_BYTES = BEHAVIOURS['honest-etag'].example.sizeBytes;
const HONEST = BEHAVIOUR_NAMES.filter((name) => name.startsWith('honest-'));
/** Sources that bring every file, of any size, whatever they do. */
const GOOD = BEHAVIOUR_NAMES.filter((name) => isGood(name) && BEHAVIOURS[name].example.sizeBytes === USUAL_SIZE_BYTES);

function isGood(name) {
  const ends = endsOfBehaviour(name, { hasFreshLinks: false });
  return ends.size === 1 && ends.has('DONE') && !(name in SOURCE_LIES);
}

export function drawPlan(seed, count) {
  const deck = (name, cards) => new Deck(cards, new Draw(seed, name));
  const decks = {
    sides: deck('sides', SIDES),
    callers: deck('callers', CALLERS),
    behaviours: deck('behaviours', BEHAVIOUR_NAMES),
    goodSources: deck('good sources', GOOD),
    honestSources: deck('honest sources', HONEST),
    faults: faultDeck(seed, 'faults'),
    // Where both misbehave, one of them may end the transfer before the other is met: these are not counted on.
    behavioursOfBoth: deck('behaviours of both', BEHAVIOUR_NAMES),
    faultsOfBoth: faultDeck(seed, 'faults of both'),
  };
  return Array.from({ length: count }, (_, index) => drawTransfer(seed, index + 1, decks));
}

/** Of faults, each time with the next of the operations that it can happen to. */
function faultDeck(seed, name) {
  const faults = new Deck(FAULT_NAMES, new Draw(seed, name));
  const operations = Object.fromEntries(
    FAULT_NAMES.map((fault) => [fault, new Deck(operationsOf(fault), new Draw(seed, name, fault))]),
  );
  return {
    next() {
      const fault = faults.next();
      return { fault, operation: operations[fault].next() };
    },
  };
}

function operationsOf(fault) {
  const { operations } = FAULTS[fault];
  const isPossible = (operation) => operations.length === 0 || operations.includes(operation);
  const isSaid = (operation) => operation !== 'HeadObject' || !SAID_IN_BODY.includes(fault);
  return Object.keys(OPERATION_SHAPES).filter((operation) => isPossible(operation) && isSaid(operation));
}

function drawTransfer(seed, number, decks) {
  const draw = new Draw(seed, 'transfer', number);
  const side = decks.sides.next();
  const card = { store: decks.faults, both: decks.faultsOfBoth }[side]?.next();
  const behaviour = drawBehaviour(side, decks);
  const shape = card === undefined ? 'any' : OPERATION_SHAPES[card.operation];
  const parameters = drawParameters(draw, behaviour, drawSize(draw, behaviour, { shape, side }));
  return {
    number,
    side,
    behaviour,
    parameters,
    isHashExpected: SOURCE_LIES[behaviour]?.isHashNeeded === true || draw.number() < 0.5,
    hasFreshLinks: draw.number() < 0.5,
    faults: card === undefined ? [] : drawFaults(draw, card, parameters.sizeBytes),
    caller: drawCaller(draw, side, decks.callers.next()),
  };
}

function drawBehaviour(side, decks) {
  const { behaviours, goodSources, behavioursOfBoth, honestSources } = decks;
  return { source: behaviours, store: goodSources, both: behavioursOfBoth, none: honestSources }[side].next();
}

function drawSize(draw, behaviour, { shape, side }) {
  const { sizeBytes } = BEHAVIOURS[behaviour].example;
  // An example of another size than the usual one is meant so.
  if (sizeBytes !== USUAL_SIZE_BYTES) return sizeBytes;
  // Sent for ever in chunks of its size: a tiny file would take minutes to become too large.
  const leastBytes = behaviour === 'endless-chunked' ? 100 * KiB : SMALLEST_FILE_BYTES;
  if (shape === 'parts') return draw.size(PART_SIZE_BYTES + 64 * KiB, LARGEST_FILE_BYTES);
  if (shape === 'put') return draw.size(leastBytes, 4 * MiB);
  if (side === 'none' && draw.number() < 0.3) {
    return draw.pick([0, 1, PART_SIZE_BYTES - 1, PART_SIZE_BYTES, PART_SIZE_BYTES + 1]);
  }
  if (draw.number() < 0.15) return draw.size(PART_SIZE_BYTES, LARGEST_FILE_BYTES);
  return draw.size(shape === 'looked-at' ? 65 * KiB : leastBytes, 512 * KiB);
}

/** A parameter that is not here keeps the value of the example. */
function drawParameters(draw, behaviour, sizeBytes) {
  const { example } = BEHAVIOURS[behaviour];
  // A third at least: a source that breaks off after fewer bytes, every time, is given up.
  const share = () => Math.ceil(sizeBytes * (0.34 + 0.5 * draw.number()));
  const few = () => draw.integer(1, Math.min(1_000, Math.floor(sizeBytes / 10)));
  const drawn = {
    sizeBytes: () => sizeBytes,
    seed: () => draw.integer(1, 1e6),
    cutAfterBytes: share,
    everyBytes: share,
    surplusBytes: few,
    missingBytes: few,
    shiftBytes: few,
    times: () => draw.integer(1, 2),
    hops: () => draw.integer(1, MOST_HOPS),
    target: () => draw.integer(0, 99),
  };
  return Object.fromEntries(Object.entries(example).map(([name, value]) => [name, drawn[name]?.() ?? value]));
}

/**
 * Silence costs its whole time limit, a lie that is told again and again may be taken for the truth, and a store that is
 * down is so for all transfers that are under way.
 */
function isToldOnce(fault) {
  return fault.startsWith('black-hole') || fault === 'refuse-connections' || fault in STORE_LIES;
}

function drawFaults(draw, { fault, operation }, sizeBytes) {
  const cause = CLEAN_UP_CAUSES[operation];
  return [
    ...(cause === undefined ? [] : [{ ...cause, times: 1, parameters: {} }]),
    {
      fault,
      operation,
      ...(operation === 'UploadPart' ? { partNumber: draw.integer(1, Math.ceil(sizeBytes / PART_SIZE_BYTES)) } : {}),
      times: isToldOnce(fault) ? 1 : draw.pick([1, 1, 1, 2, 3]),
      parameters: drawFaultParameters(draw, fault, sizeBytes),
    },
  ];
}

function drawFaultParameters(draw, fault, sizeBytes) {
  const drawn = {
    bytes: (value) => (value > KiB ? draw.integer(1, Math.min(sizeBytes, PART_SIZE_BYTES) - 1) : value),
    offset: () => draw.integer(0, 1_000),
    ms: () => draw.integer(20, 300),
    everyMs: () => 20,
    bytesPerSecond: () => 4 * MiB,
    retryAfterSeconds: () => draw.integer(0, 1),
    status: (value) => draw.pick(value === 404 ? [404, 409] : [403, 500, 503]),
    isCarriedOut: () => draw.number() < 0.5,
    addedBytes: () => draw.pick([-1, 1, 1_000]),
  };
  const { parameters } = FAULTS[fault];
  return Object.fromEntries(Object.entries(parameters).map(([name, value]) => [name, drawn[name]?.(value) ?? value]));
}

/** A cancel could come before what the transfer is there for: it is for those that are not counted on. */
function drawCaller(draw, side, kind) {
  if (kind !== 'cancel') return { kind };
  return ['both', 'none'].includes(side) ? { kind, afterMs: draw.integer(0, 300) } : { kind: 'once' };
}
