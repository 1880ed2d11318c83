import { PART_SIZE_BYTES } from '@s3-transfer/crash-stage';
import { type CrashFault, LOCAL_ALONE, type PlayedStoreName } from './crash-fault.js';
import { type CrashPlay, IN_FLIGHT_BYTES } from './crash-play.js';
import { MAX_CRASHES } from './crash-product.js';

const KILLED = 'the worker is killed';
/** Fits into one PUT. */
export const SMALL_BYTES = 300_000;
/** Where a small file is one PUT: Swift refuses If-None-Match there, and gets it as an upload of one part. */
export const STORES_WITH_PUT: readonly PlayedStoreName[] = ['local-s3', 'ceph'];
/** Real servers put five parts together in some 20 to 100 ms. */
export const WHILE_COMPLETING_MS = [0, 10, 30];
/** Two parts are stored, and of the third a part is read. */
const BETWEEN_PARTS = 2.4 * PART_SIZE_BYTES;

/** The worker dies while it waits for the answer to a call of the store. */
function killedAt(
  call: Parameters<CrashPlay['standStill']>,
  row: Omit<CrashFault, 'fault' | 'play' | 'ending'>,
  sourceEndsAt = Number.POSITIVE_INFINITY,
): CrashFault {
  return {
    fault: KILLED,
    ending: 'DONE',
    ...row,
    async play(play) {
      // Else the sockets would take more of the file than the worker does.
      play.file.holdAt(sourceEndsAt);
      await play.standStill(...call);
      await play.killOwner();
    },
  };
}

/** The connection of the Complete under way ends with the worker. */
function killedWhileCompleting(agoMs: number): CrashFault {
  return {
    fault: KILLED,
    instant: `the store has Complete since ${agoMs} ms, and may be working on it`,
    ending: 'DONE',
    again: 'nothing',
    why: 'nothing is ended, and Complete is sent again only where HEAD shows no object',
    async play(play) {
      const owner = await play.beginUpToComplete(agoMs);
      await play.product.kill(owner);
      play.letGo();
    },
  };
}

export const WORKER_FAULTS: readonly CrashFault[] = [
  {
    fault: KILLED,
    instant: 'it has claimed the row, and waits for the first byte of the source',
    ending: 'DONE',
    again: 'nothing',
    why: 'another takes the row when the lease has run out',
    async play(play) {
      play.file.keepSilent();
      await play.begin();
      await play.file.asked();
      await play.killOwner();
    },
  },
  killedAt(
    ['CreateMultipartUpload', 'before'],
    {
      instant: 'Create is on its way to the store',
      again: 'in flight',
      why: 'the next owner begins an upload',
    },
    IN_FLIGHT_BYTES,
  ),
  killedAt(
    ['CreateMultipartUpload', 'after'],
    {
      instant: 'the store has begun the upload, and its id is not kept',
      again: 'in flight',
      why: 'the next owner begins another, and the one that nobody knows is looked for and ended',
    },
    IN_FLIGHT_BYTES,
  ),
  {
    fault: `${KILLED}, and the transfer cancelled before another takes it up`,
    instant: 'the store has begun the upload, and its id is not kept',
    ending: 'TRANSFER_CANCELLED',
    again: 'in flight',
    why: 'the row says that an upload may have been begun: its end leaves an entry by which the store is asked for it',
    async play(play) {
      play.file.holdAt(IN_FLIGHT_BYTES);
      await play.standStill('CreateMultipartUpload', 'after');
      await play.killOwner();
      await play.cancel();
    },
  },
  killedAt(
    ['UploadPart', 'before', { partNumber: 1 }],
    {
      instant: 'the id of the upload is kept, and its first part is on its way',
      again: 'in flight',
      why: 'the next owner goes on with the upload',
    },
    IN_FLIGHT_BYTES,
  ),
  {
    fault: KILLED,
    instant: 'the store has the second part, and its answer was not read',
    ending: 'DONE',
    again: 'in flight',
    why: 'the store is asked for the parts that it has',
    async play(play) {
      play.file.holdAt(PART_SIZE_BYTES + IN_FLIGHT_BYTES);
      await play.standStill('UploadPart', 'after', { partNumber: 2 });
      await play.keptFirstPart(); // Its answer may come later than that of the second.
      await play.killOwner();
    },
  },
  {
    fault: KILLED,
    instant: 'two parts are stored, and the third is being read',
    ending: 'DONE',
    again: 'in flight',
    why: 'the next owner asks the source for what is not stored',
    async play(play) {
      await play.beginUpTo(BETWEEN_PARTS);
      await play.killOwner();
    },
  },
  {
    fault: KILLED,
    instant: 'two parts are stored, and the third is being read, with the lease of 30 s that is the default',
    ending: 'DONE',
    again: 'in flight',
    why: 'as with a short lease, only later',
    stores: LOCAL_ALONE,
    leaseSeconds: 30,
    async play(play) {
      await play.beginUpTo(BETWEEN_PARTS);
      await play.killOwner();
    },
  },
  {
    fault: 'two workers are killed, one after the other',
    instant: 'two parts are stored; and when the next owner has stored one more',
    ending: 'DONE',
    again: 'in flight',
    why: 'each owner goes on where the one before was',
    async play(play) {
      await play.beginUpTo(BETWEEN_PARTS);
      const first = await play.owner();
      await play.product.kill(first);
      play.file.holdAt(3.4 * PART_SIZE_BYTES);
      await play.nextOwner(first);
      await play.product.mend();
      await play.file.sentUpTo(3.4 * PART_SIZE_BYTES);
      await play.stored(3);
      await play.killOwner();
    },
  },
  {
    fault: KILLED,
    instant: 'every part is stored, and `completing` is not committed',
    ending: 'DONE',
    again: 'nothing',
    why: 'Complete was not sent: the next owner puts the stored parts together',
    async play(play) {
      const lock = await play.standStillBeforeComplete();
      await play.product.kill(await play.owner());
      await lock.releaseWithoutThem();
      play.letGo();
    },
  },
  {
    fault: KILLED,
    instant: '`completing` is committed, and the worker does not know it',
    ending: 'DONE',
    again: 'nothing',
    why: 'Complete was not sent, but may have been: HEAD first, then Complete',
    async play(play) {
      const lock = await play.standStillBeforeComplete();
      await play.product.kill(await play.owner());
      await lock.release();
      play.letGo();
    },
  },
  killedAt(['CompleteMultipartUpload', 'before'], {
    instant: 'Complete is on its way to the store',
    again: 'nothing',
    why: 'HEAD shows no object: the next owner sends Complete again',
  }),
  ...WHILE_COMPLETING_MS.map((agoMs) => killedWhileCompleting(agoMs)),
  killedAt(['CompleteMultipartUpload', 'after'], {
    instant: 'the store has made the object, and its answer was not read',
    again: 'nothing',
    why: 'HEAD shows the object with the token of this file: neither Complete nor Abort is sent again',
  }),
  {
    fault: KILLED,
    instant: 'the object is made, and being looked at',
    ending: 'DONE',
    again: 'nothing',
    why: 'the next owner looks again',
    async play(play) {
      // Only then: where Complete would overwrite without a word, another look goes before it.
      await play.slowAnswer('CompleteMultipartUpload');
      await play.standStill('HeadObject', 'before', { act: async () => {} });
      await play.killOwner();
    },
  },
  killedAt(['GetObject', 'before'], {
    instant: 'the object is made, and its first byte being read',
    again: 'nothing',
    why: 'the next owner reads again',
  }),
  {
    fault: KILLED,
    instant: 'DONE is not committed',
    ending: 'DONE',
    again: 'nothing',
    why: 'the next owner finds the object whole',
    async play(play) {
      const lock = await play.standStillBeforeDone();
      await play.product.kill(await play.owner());
      await lock.releaseWithoutThem();
      play.letGo();
    },
  },
  {
    fault: KILLED,
    instant: 'DONE is being committed, and the worker does not know it',
    ending: 'DONE',
    again: 'nothing',
    why: 'the row says all there is to know',
    async play(play) {
      const lock = await play.standStillBeforeDone();
      await play.product.kill(await play.owner());
      await lock.release();
      play.letGo();
    },
  },
  {
    fault: KILLED,
    instant: 'DONE is committed, and its job not acknowledged',
    ending: 'DONE',
    again: 'nothing',
    why: 'the job comes again, and finds nothing to do',
    async play(play) {
      await play.beginUpTo(BETWEEN_PARTS);
      const owner = await play.owner();
      const lock = await play.lockJob();
      play.file.release();
      await play.ended();
      await lock.blocks(/job/);
      await play.product.kill(owner);
      await lock.releaseWithoutThem();
      await play.deliverAgain();
    },
  },
  killedAt(['PutObject', 'before'], {
    instant: 'a small file is on its way to the store',
    sizeBytes: SMALL_BYTES,
    stores: STORES_WITH_PUT,
    again: 'the file',
    why: 'nothing is stored: the next owner begins anew',
  }),
  killedAt(['PutObject', 'after'], {
    instant: 'the store has a small file, and its answer was not read',
    sizeBytes: SMALL_BYTES,
    stores: STORES_WITH_PUT,
    again: 'nothing',
    why: 'HEAD shows the object with the token of this file',
  }),
  {
    fault: 'each worker that runs the transfer dies of it, whoever takes it up',
    stores: LOCAL_ALONE,
    instant: 'two parts are stored, and the third is about to be sent',
    ending: 'TRANSFER_CRASHED',
    again: 'the file',
    why: `${MAX_CRASHES} deaths in a row without one more byte stored are enough: others have work to do as well`,
    play: (play) => play.beginPoisoned(),
  },
  {
    fault: 'the worker is asked to stop (SIGTERM)',
    instant: 'two parts are stored, and the third is being read',
    ending: 'DONE',
    again: 'in flight',
    why: 'it hands the row over, and another goes on at once',
    async play(play) {
      await play.beginUpTo(BETWEEN_PARTS);
      const owner = await play.owner();
      await owner.end(20_000);
      play.letGo();
    },
  },
];
