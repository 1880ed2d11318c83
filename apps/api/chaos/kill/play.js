// Plays the rounds: transfers run, something is killed at a phase or at random, comes back, and every row comes to its end.
import { setTimeout as sleep } from 'node:timers/promises';
import { LEASE_MS } from '@s3-transfer/crash-stage';
import { livePhases } from './phases.js';

/** After the restart, beyond the lease, in which a row has its end; on a machine that is busy with other things, longer. */
const RECOVERY_MS = 15_000;
/** What undisturbed transfers take on a machine that has nothing else to do, with ease. */
const USUAL_CALM_MS = 3_000;
/** In which a row has it whose Complete may have been received. */
const COMPLETING_MS = 60_000;
const POLL_MS = 50;
/** How long an instant may take to come, on a busy machine. */
const INSTANT_LIMIT_MS = 60_000;
/** Longer than it takes to kill what an answer is held back for. */
const SLOW_ANSWER_MS = 1_000;
const CLOSING_MS = 300;
const DONE_STATEMENT = /transfer_status = 'DONE'/;
const CALLS = {
  create: 'CreateMultipartUpload',
  parts: 'UploadPart',
  completing: 'CompleteMultipartUpload',
  verify: 'GetObject',
  purge: 'DeleteObject',
};

/** @returns which phases the kill hit, and how long the rows that it hit took to recover, in ms */
export async function playRound(stage, checks, round) {
  const files = round.sizes.map((sizeBytes) => stage.newFile(sizeBytes));
  const paths = files.map(({ path }) => path);
  const requests = [];
  const request = (file) => {
    const asked = stage.request(file);
    asked.catch(() => {}); // It is awaited at the end of the round.
    requests.push(asked);
    return asked;
  };
  for (const file of files.slice(1)) request(file);
  const hits = await inTime(hit(stage, round, { target: files[0], paths, request }), round);
  for (const { path } of hits) {
    const file = stage.files.get(path);
    if (file !== undefined) file.kills += 1;
  }
  stage.proxy.clear();
  await sleep(round.downMs);
  await stage.restart(round.victim);
  const restartedAt = Date.now();
  await Promise.all(requests);
  const recoveries = await awaitEnds(stage, checks, { round, paths, hits, restartedAt });
  return { round, hits, recoveries };
}

async function inTime(work, { number, phase, victim }) {
  const end = new AbortController();
  const late = sleep(INSTANT_LIMIT_MS, undefined, { signal: end.signal }).then(() => {
    throw new Error(`round ${number}: the instant (${phase ?? 'any'}, ${victim}) did not come`);
  });
  late.catch(() => {}); // The instant came before.
  try {
    return await Promise.race([work, late]);
  } finally {
    end.abort();
  }
}

/** Kills what the round says, when it says so. */
async function hit(stage, round, { target, paths, request }) {
  const { phase, victim } = round;
  if (phase === 'row') return await hitRow(stage, { target, paths, request });
  if (phase === 'commit') return await hitCommit(stage, round, { target, paths, request });
  if (phase === 'purge') return await hitPurge(stage, round, { target, paths, request });
  request(target);
  if (phase === undefined) {
    // The API has its part in the first moment alone.
    await sleep(victim === 'api' ? round.afterMs / 10 : round.afterMs);
    const owner = victim === 'worker' ? await busiestOf(stage, paths) : undefined;
    return await killAndCount(stage, { victim, owner, paths });
  }
  await holdCall(stage, round, target);
  const owner = victim === 'worker' ? await ownerOf(stage, target.path) : undefined;
  return await killAndCount(stage, { victim, owner, paths, aimed: { path: target.path, phase } });
}

/** The row is inserted and not committed with its job when the API dies. */
async function hitRow(stage, { target, paths, request }) {
  const lock = await stage.crash.lock('SELECT FROM core_workspace WHERE id = $1 FOR UPDATE', [stage.workspaceId]);
  request(target);
  await lock.blocks(/core_storage_file/);
  const hits = await killAndCount(stage, { victim: 'api', paths, aimed: { path: target.path, phase: 'row' } });
  await lock.releaseWithoutThem();
  return hits;
}

/** The object is proven, and DONE about to be committed. */
async function hitCommit(stage, { victim, side }, { target, paths, request }) {
  const { path } = target;
  stage.proxy.inject({ fault: 'slow-answer', operation: 'HeadObject', key: path, parameters: { ms: SLOW_ANSWER_MS } });
  await request(target);
  await stage.proxy.waitForCall(({ key, operation }) => key === path && operation === 'HeadObject');
  const sql = 'SELECT FROM core_storage_file WHERE path = $1 FOR NO KEY UPDATE';
  const lock = await stage.crash.lock(sql, [path]);
  await lock.blocks(DONE_STATEMENT);
  const owner = victim === 'worker' ? await ownerOf(stage, path) : undefined;
  const hits = await killAndCount(stage, { victim, owner, paths, aimed: { path, phase: 'commit' } });
  if (victim === 'postgres' || side === 'after') await lock.release();
  else await lock.releaseWithoutThem();
  return hits;
}

/** The row of a file is removed, and the purge worker about to remove its object. */
async function hitPurge(stage, round, { target, paths, request }) {
  const { victim } = round;
  const { path } = target;
  await request(target);
  await stage.crash.until(
    { sql: 'SELECT transfer_status AS status FROM core_storage_file WHERE path = $1', parameters: [path] },
    ([row]) => row?.status === 'DONE',
  );
  stage.files.get(path).isRemoved = true;
  const held = holdCall(stage, round, target);
  await stage.crash.query('DELETE FROM core_storage_file WHERE path = $1', [path]);
  const call = await held;
  const aimed = { path, phase: 'purge' };
  if (victim !== 'worker') return await killAndCount(stage, { victim, paths, aimed });
  // Nothing says which of them it is: the call ends with its own.
  const hits = [];
  for (const owner of stage.workers) {
    hits.push(...(await killAndCount(stage, { victim, owner, paths, aimed: hits.length === 0 ? aimed : undefined })));
    if (await isOverSoon(stage, call)) break;
  }
  return hits;
}

/** The system closes the connections of a process that was killed. */
async function isOverSoon(stage, call) {
  const end = new AbortController();
  const late = sleep(CLOSING_MS, undefined, { signal: end.signal }).catch(() => {}); // It was over before.
  await Promise.race([stage.proxy.waitForCall((other) => other === call && other.isOver), late]);
  end.abort();
  return call.isOver;
}

/** A call of the phase stands still, or is slow where its sender is not what dies. */
async function holdCall(stage, { phase, victim, side }, { path }) {
  const operation = CALLS[phase];
  const holding = side === 'before' ? 'black-hole-before-forward' : 'black-hole-after-forward';
  const seen = stage.proxy.calls.length;
  const fault = victim === 'worker' ? holding : 'slow-answer';
  const parameters = victim === 'worker' ? {} : { ms: SLOW_ANSWER_MS };
  stage.proxy.inject({ fault, operation, key: path, parameters });
  return await stage.proxy.waitForCall((call) => {
    const isNew = stage.proxy.calls.indexOf(call) >= seen;
    const isReached = side === 'before' || call.storeStatus !== undefined;
    return isNew && call.key === path && call.fault === fault && isReached;
  });
}

/** @param aimed a row whose phase is known better than it can be seen */
async function killAndCount(stage, { victim, owner, paths, aimed }) {
  const live = await livePhases(stage, paths);
  const unknown = victim === 'api' ? await pathsWithoutRow(stage, paths) : [];
  const isHit = ({ phase, ownerPid }) => {
    if (victim === 'worker') return ownerPid === owner.pid;
    return victim !== 'api' || phase === 'row';
  };
  await stage.kill(victim, owner);
  const others = [...live, ...unknown.map((path) => ({ path, phase: 'row' }))].filter(
    (row) => row.path !== aimed?.path && isHit(row),
  );
  return [...(aimed === undefined ? [] : [aimed]), ...others].map((row) => ({ ...row, victim }));
}

/** Requests that the API has not answered. */
async function pathsWithoutRow(stage, paths) {
  const rows = await stage.crash.query('SELECT path FROM core_storage_file WHERE path = ANY($1)', [paths]);
  return paths.filter((path) => !rows.some((row) => row.path === path));
}

/** The worker that has most of the rows. */
async function busiestOf(stage, paths) {
  const live = await livePhases(stage, paths);
  const rowsOf = ({ pid }) => live.filter(({ ownerPid }) => ownerPid === pid).length;
  return stage.workers.reduce((busiest, worker) => (rowsOf(worker) > rowsOf(busiest) ? worker : busiest));
}

async function ownerOf(stage, path) {
  const [{ pid }] = await stage.crash.query(
    `SELECT substring(attempt.worker FROM '(\\d+)$')::int AS pid
     FROM core_storage_attempt AS attempt JOIN core_storage_file AS file ON file.id = attempt.file_id
     WHERE file.path = $1 ORDER BY attempt.number DESC LIMIT 1`,
    [path],
  );
  return stage.workers.find((worker) => worker.pid === pid);
}

/** Every row DONE or FAILED, each in its time. */
async function awaitEnds(stage, checks, { round, paths, hits, restartedAt }) {
  const expected = paths.filter((path) => !stage.files.get(path).isRemoved);
  const slowness = Math.max(1, stage.calmMs / USUAL_CALM_MS);
  const waiting = new Map(expected.map((path) => [path, limitOf(path, hits) * slowness]));
  const recoveries = [];
  while (waiting.size > 0) {
    const rows = await stage.crash.query(
      'SELECT path, transfer_status AS status, transfer_error AS error FROM core_storage_file WHERE path = ANY($1)',
      [[...waiting.keys()]],
    );
    const tookMs = Date.now() - restartedAt;
    for (const { path, status, error } of rows) {
      if (!['DONE', 'FAILED'].includes(status)) continue;
      waiting.delete(path);
      if (hits.some((found) => found.path === path)) recoveries.push({ path, tookMs });
      checks.check('a transfer whose source and store are honest is DONE', status === 'DONE', () => ({
        seen: `round ${round.number}: ${path}: ${error}`,
      }));
    }
    for (const [path, limitMs] of waiting) {
      if (tookMs <= limitMs) continue;
      waiting.delete(path);
      const row = rows.find((found) => found.path === path);
      checks.check('every row has its end in time', false, () => ({
        seen: `round ${round.number}: ${path} is ${row?.status}`,
        row,
      }));
    }
    if (waiting.size > 0) await sleep(POLL_MS);
  }
  checks.check('every row has its end in time', true);
  return recoveries;
}

function limitOf(path, hits) {
  const phases = hits.filter((found) => found.path === path).map(({ phase }) => phase);
  const isCompleting = phases.some((phase) => phase === 'completing' || phase === 'verify' || phase === 'commit');
  return isCompleting ? COMPLETING_MS : LEASE_MS + RECOVERY_MS;
}
