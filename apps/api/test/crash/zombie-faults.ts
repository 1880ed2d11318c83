import { expect } from '@jest/globals';
import { LEASE_MS, PART_SIZE_BYTES, type ProductProcess } from '@s3-transfer/crash-stage';
import { type CrashFault, LOCAL_ALONE } from './crash-fault.js';
import type { CrashPlay } from './crash-play.js';
import { SMALL_BYTES, STORES_WITH_PUT } from './worker-faults.js';

const STOPPED = 'the worker sleeps past its lease (SIGSTOP) and wakes up';
/** What a worker logs that finds its row, or its connections, gone. */
const LOST = /the transfer failed/;
const HARMLESS = 'it has lost the row, and changes neither row nor object';

/** Wakes it when another has brought the file to its end, and gives it its time to do harm. */
async function wakeAfterEnd(play: CrashPlay, sleeper: ProductProcess): Promise<void> {
  // The system would go on to receive for one that sleeps.
  play.file.releaseOthers();
  play.letGo();
  const row = await play.ended();
  const object = await play.object();
  sleeper.signal('SIGCONT');
  await sleeper.printed(LOST);
  await play.quiet();
  expect(await play.row()).toEqual(row);
  expect(await play.object()).toEqual(object);
}

export const ZOMBIE_FAULTS: readonly CrashFault[] = [
  {
    fault: STOPPED,
    instant: 'two parts are stored, and the third is being read',
    ending: 'DONE',
    again: 'in flight',
    why: HARMLESS,
    async play(play) {
      await play.beginUpTo(2.4 * PART_SIZE_BYTES);
      await wakeAfterEnd(play, await play.stopOwner());
    },
  },
  {
    fault: STOPPED,
    instant: 'the store has a part, and its answer was not read',
    ending: 'DONE',
    again: 'in flight',
    why: HARMLESS,
    async play(play) {
      play.file.holdAt(3 * PART_SIZE_BYTES);
      await play.slowAnswer('UploadPart', 2);
      await wakeAfterEnd(play, await play.stopOwner());
    },
  },
  {
    fault: STOPPED,
    instant: '`completing` is committed, and Complete is what it sends next',
    ending: 'DONE',
    again: 'nothing',
    why: 'the upload that it knows is an object by now: its Complete makes nothing new',
    async play(play) {
      const lock = await play.standStillBeforeComplete();
      const sleeper = await play.stopOwner();
      await lock.release();
      await wakeAfterEnd(play, sleeper);
    },
  },
  {
    fault: STOPPED,
    instant: 'Complete was carried out, and its answer not read',
    ending: 'DONE',
    again: 'nothing',
    why: HARMLESS,
    async play(play) {
      await play.slowAnswer('CompleteMultipartUpload');
      await wakeAfterEnd(play, await play.stopOwner());
    },
  },
  {
    fault: STOPPED,
    instant: 'DONE is being committed',
    ending: 'DONE',
    again: 'nothing',
    why: 'the row takes DONE from its owner alone',
    async play(play) {
      const lock = await play.standStillBeforeDone();
      const sleeper = await play.stopOwner();
      await lock.releaseWithoutThem();
      await wakeAfterEnd(play, sleeper);
    },
  },
  {
    fault: STOPPED,
    instant: 'the PUT of a small file is what it sends next; the source changes meanwhile',
    ending: 'DONE',
    again: 'the file',
    sizeBytes: SMALL_BYTES,
    stores: STORES_WITH_PUT,
    why: 'a try never puts its bytes in the place of a later one',
    async play(play) {
      const lock = await play.standStillBeforeComplete();
      const sleeper = await play.stopOwner();
      await lock.release();
      play.file.replace();
      await wakeAfterEnd(play, sleeper);
    },
  },
  {
    fault: STOPPED,
    instant: 'two parts are stored; the file is deleted for good meanwhile',
    ending: 'deleted',
    again: 'nothing',
    why: 'its upload is gone: nothing that it sends can bring the object back',
    async play(play) {
      await play.beginUpTo(2.4 * PART_SIZE_BYTES);
      const sleeper = await play.stopOwner();
      await play.deleteFile(true);
      play.letGo();
      sleeper.signal('SIGCONT');
      await sleeper.printed(LOST);
      await play.quiet();
    },
  },
  {
    fault: 'the event loop of the worker is blocked for longer than its lease',
    stores: LOCAL_ALONE,
    instant: 'two parts are stored, and the third is being read',
    ending: 'DONE',
    again: 'in flight',
    why: HARMLESS,
    async play(play) {
      await play.beginUpTo(2.4 * PART_SIZE_BYTES);
      const owner = await play.owner();
      owner.signal('SIGUSR2');
      await owner.printed(/blocked/);
      await play.nextOwner(owner);
      play.file.releaseOthers();
      play.letGo();
      await play.ended();
      await play.quiet();
    },
  },
  {
    fault: 'the worker sleeps for half of its lease',
    stores: LOCAL_ALONE,
    instant: 'two parts are stored, and the third is being read',
    ending: 'DONE',
    again: 'nothing',
    why: 'it has the row still, and goes on',
    async play(play) {
      await play.beginUpTo(2.4 * PART_SIZE_BYTES);
      const sleeper = await play.stopOwner();
      await play.pass(LEASE_MS / 2);
      sleeper.signal('SIGCONT');
      play.letGo();
    },
  },
];
