// Plays a plan: each transfer with its source, its faults and its caller, and then the end of the run.
import { setTimeout as sleep } from 'node:timers/promises';
import pLimit from 'p-limit';
import { checkAll, checkTransfer } from './invariants.js';
import { TRANSFER_CONCURRENCY, TRANSFER_MEMORY_BYTES } from './stage.js';
import { pathOf, toRequest } from './transfer-request.js';
import { digestsOf, endsOf, liesOf } from './verdicts.js';

const MiB = 1024 ** 2;
/** Beyond the part buffers: what sockets, statements and the garbage of a few hundred requests a second hold. */
const MEMORY_MARGIN_BYTES = 128 * MiB;
/** More than the engine streams at once: some always wait for a slot. */
const REQUESTS_AT_ONCE = 32;
/** Longer than any planned fault holds a transfer: what has not ended by then hangs. In ms. */
const TRANSFER_LIMIT_MS = 120_000;
const SOCKETS_LIMIT_MS = 5_000;
/** How long sources of the last transfers keep each slot busy: all must have begun by then. In ms. */
const LAST_HOLD_MS = 1_000;
/** More rounds than any left-over needs. */
const PURGE_ROUNDS = 5;

/** @returns what happened to each transfer, and the figures of the engine's process */
export async function play(stage, checks, plan, onEnd) {
  // Idle is a process that has worked before: its code is loaded, its connections are open.
  await playSmall(stage, 'first', 0);
  const idleBytes = await stage.engine.resetPeak();
  const limit = pLimit(REQUESTS_AT_ONCE);
  const outcomes = await Promise.all(
    plan.map((transfer) =>
      limit(async () => {
        const outcome = await playTransfer(stage, checks, transfer);
        onEnd();
        return outcome;
      }),
    ),
  );
  stage.proxy.clear();
  const peakBytes = await stage.engine.peakBytes();
  checkMemory(checks, { idleBytes, peakBytes });
  await checkSlots(stage, checks);
  await checkSockets(stage, checks);
  await purge(stage);
  await checkAll(stage, checks);
  const trouble = await stage.engine.end();
  checks.check("at the end: the engine's process ends by itself", trouble === undefined, () => ({ seen: trouble }));
  return { outcomes, aboveIdleBytes: peakBytes - idleBytes };
}

async function playTransfer(stage, checks, transfer) {
  const { source, proxy, engine, workspaceId, secretKey } = stage;
  const { number, behaviour, parameters, isHashExpected, faults } = transfer;
  const path = pathOf(transfer, workspaceId);
  const sourceUrl = source.urlOf(behaviour, parameters, { id: String(number) });
  const otherUrl = source.urlOf('honest-etag', {}, { id: `other-${number}` });
  const digests = await digestsOf(transfer);
  const sha256 = isHashExpected ? digests[0].sha256 : undefined;
  const rules = faults.map((fault) => ({ fault, rule: proxy.inject({ ...fault, key: path }) }));
  const request = toRequest(transfer, { workspaceId, sourceUrl, otherUrl, sha256, secretKey });
  const results = await inTime(engine.ask('transfer', request));
  for (const { rule } of rules) rule.remove();
  checks.check('a transfer ends in time', results !== undefined, () => ({
    number,
    seen: `not in ${TRANSFER_LIMIT_MS} ms`,
  }));
  if (results === undefined) return { transfer, end: 'HANGS', applied: [], lies: [], isSourceAsked: true };
  const applied = rules.flatMap(({ fault, rule }) => (rule.applied > 0 ? { ...fault, times: rule.applied } : []));
  const ends = endsOf(transfer, applied);
  const end = await checkTransfer(stage, checks, { transfer, path, results, ends, digests });
  // Faults of TLS come before a request.
  const isSourceAsked = source.requestsOf(sourceUrl).length > 0 || (end !== 'TRANSFER_CANCELLED' && ends.has(end));
  return { transfer, end, applied, isSourceAsked, lies: isSourceAsked ? liesOf(transfer, applied) : [] };
}

/** Undefined when it takes too long. */
async function inTime(answer) {
  const end = new AbortController();
  const late = sleep(TRANSFER_LIMIT_MS, undefined, { signal: end.signal }).catch(() => {}); // It ended before.
  try {
    return await Promise.race([answer, late]);
  } finally {
    end.abort();
  }
}

function checkMemory(checks, { idleBytes, peakBytes }) {
  const isWithin = peakBytes - idleBytes <= TRANSFER_MEMORY_BYTES + MEMORY_MARGIN_BYTES;
  const seen = `${Math.round((peakBytes - idleBytes) / MiB)} MiB above ${Math.round(idleBytes / MiB)} MiB`;
  checks.check('at the end: peak memory above idle within the byte budget + 128 MiB', isWithin, () => ({ seen }));
}

/** Every slot must take up one of as many transfers at once. */
async function checkSlots(stage, checks) {
  const { ends, begins } = await playSmall(stage, 'last', LAST_HOLD_MS);
  const areFree = Math.max(...begins) - Math.min(...begins) < LAST_HOLD_MS && ends.every((end) => end === 'DONE');
  checks.check('at the end: every slot is free', areFree, () => ({ seen: JSON.stringify({ ends, begins }) }));
  const held = await stage.engine.ask('heldBytes');
  checks.check('at the end: no part buffer is held', held === 0, () => ({ seen: `${held} bytes` }));
}

/** As many small transfers as there are slots, each held up at its source for a while: how they end, and when they began. */
async function playSmall({ source, engine, workspaceId, secretKey }, name, delayMs) {
  const numbers = Array.from({ length: TRANSFER_CONCURRENCY }, (_, index) => `${name}-${index + 1}`);
  const urls = numbers.map((id) => source.urlOf('slow-head', { sizeBytes: 1_000, delayMs }, { id }));
  const ends = await Promise.all(
    numbers.map(async (number, index) => {
      const sourceUrl = urls[index];
      const transfer = { number, caller: { kind: 'once' } };
      const request = toRequest(transfer, { workspaceId, sourceUrl, otherUrl: sourceUrl, secretKey });
      return (await inTime(engine.ask('transfer', request)))?.[0].status;
    }),
  );
  return { ends, begins: urls.map((url) => source.requestsOf(url)[0]?.atMs ?? Number.POSITIVE_INFINITY) };
}

async function checkSockets({ source }, checks) {
  await Promise.race([source.connectionsClosed(), sleep(SOCKETS_LIMIT_MS, undefined, { ref: false })]);
  const open = source.openConnections;
  checks.check('at the end: sockets to sources are closed', open === 0, () => ({ seen: `${open} are open` }));
}

/** Left-overs are looked at again after the longest time in which a request of theirs could land: here it passes at once. */
async function purge(stage) {
  for (let round = 0; round < PURGE_ROUNDS; round += 1) {
    await stage.query(
      "UPDATE core_storage_purge SET next_attempt_at = now(), created_at = created_at - interval '1 hour'",
    );
    await stage.engine.ask('purge');
  }
}
