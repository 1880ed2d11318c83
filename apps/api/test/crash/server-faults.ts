import type { RowLock } from '@s3-transfer/crash-stage';
import type { S3Operation } from '@s3-transfer/s3-faults';
import type { CrashFault } from './crash-fault.js';
import type { CrashPlay } from './crash-play.js';
import { LEASE_MS, PART_SIZE_BYTES } from './crash-product.js';

const STORE_KILLED = 'the store is killed, and started again';
const DATABASE_KILLED = 'PostgreSQL is killed, and started again';
const BETWEEN_PARTS = 2.4 * PART_SIZE_BYTES;
const CALLED_AGAIN = 'the call is made again';

/** The store dies when such a call has reached it. */
function storeKilledAt(
  operation: S3Operation,
  row: Omit<CrashFault, 'fault' | 'play' | 'ending'>,
  partNumber?: number,
): CrashFault {
  return {
    fault: STORE_KILLED,
    ending: 'DONE',
    ...row,
    async play(play) {
      await play.begin();
      await play.stage.proxy.waitForCall(
        (call) =>
          play.isOwn(call, operation) &&
          call.isForwarded &&
          (partNumber === undefined || call.partNumber === partNumber),
      );
      await play.stage.killStore();
      await play.stage.restartStore();
    },
  };
}

/** PostgreSQL dies while a statement waits to change the row, which therefore does not happen. */
function databaseKilledAt(
  stand: (play: CrashPlay) => Promise<RowLock>,
  row: Omit<CrashFault, 'fault' | 'play' | 'ending'>,
): CrashFault {
  return {
    fault: DATABASE_KILLED,
    ending: 'DONE',
    ...row,
    async play(play) {
      const lock = await stand(play);
      await play.stage.killPostgres();
      await lock.release();
      await play.stage.restartPostgres();
    },
  };
}

/** Something happens to PostgreSQL while the third part is being read. */
function betweenParts(
  row: Omit<CrashFault, 'instant' | 'play' | 'ending' | 'again'>,
  happen: (play: CrashPlay) => Promise<void>,
): CrashFault {
  return {
    ...row,
    instant: 'two parts are stored, and the third is being read',
    ending: 'DONE',
    again: 'in flight',
    async play(play) {
      await play.beginUpTo(BETWEEN_PARTS);
      await happen(play);
      play.letGo();
    },
  };
}

export const SERVER_FAULTS: readonly CrashFault[] = [
  storeKilledAt('CreateMultipartUpload', {
    instant: 'Create has reached it',
    again: 'in flight',
    why: 'another upload is begun; one that was made and not told is looked for and ended',
  }),
  storeKilledAt('UploadPart', { instant: 'the third part has reached it', again: 'nothing', why: CALLED_AGAIN }, 3),
  storeKilledAt('CompleteMultipartUpload', {
    instant: 'Complete has reached it',
    again: 'nothing',
    why: 'HEAD says whether the object was made; if not, Complete is sent again',
  }),
  {
    fault: STORE_KILLED,
    instant: 'Complete was carried out, and its answer lost',
    ending: 'DONE',
    again: 'nothing',
    why: 'HEAD shows the object',
    async play(play) {
      play.stage.proxy.inject({ fault: 'complete-answer-lost', key: play.path });
      await play.begin();
      await play.stage.proxy.waitForCall(
        (call) => call.key === play.path && call.fault === 'complete-answer-lost' && call.isOver,
      );
      await play.stage.killStore();
      await play.stage.restartStore();
    },
  },
  storeKilledAt('HeadObject', { instant: 'the object is looked at', again: 'nothing', why: CALLED_AGAIN }),
  {
    fault: 'the store is killed, and started again when the lease would have run out',
    instant: 'two parts are stored, and the third is being read',
    ending: 'DONE',
    again: 'in flight',
    why: 'the owner lives and renews its lease; calls are made again, and then the whole try',
    async play(play) {
      await play.beginUpTo(BETWEEN_PARTS);
      await play.stage.killStore();
      play.file.release();
      await play.pass(1.5 * LEASE_MS);
      await play.stage.restartStore();
    },
  },
  {
    fault: DATABASE_KILLED,
    instant: 'the row is claimed, and the first byte of the source awaited',
    ending: 'DONE',
    again: 'nothing',
    why: 'the owner goes on, or another does when the lease has run out',
    async play(play) {
      play.file.keepSilent();
      await play.begin();
      await play.file.asked();
      await play.stage.killPostgres();
      await play.stage.restartPostgres();
      play.letGo();
    },
  },
  betweenParts(
    { fault: DATABASE_KILLED, why: 'the owner renews its lease when it is back, or another goes on' },
    async ({ stage }) => {
      await stage.killPostgres();
      await stage.restartPostgres();
    },
  ),
  databaseKilledAt((play) => play.standStillBeforeComplete(), {
    instant: 'every part is stored, and `completing` is not committed',
    again: 'nothing',
    why: 'the stored parts are put together when it is back',
  }),
  {
    fault: DATABASE_KILLED,
    instant: 'Complete was carried out, and its answer not read',
    ending: 'DONE',
    again: 'nothing',
    why: 'the object is proven before the row says DONE',
    async play(play) {
      await play.slowAnswer('CompleteMultipartUpload');
      await play.stage.killPostgres();
      await play.stage.restartPostgres();
    },
  },
  databaseKilledAt((play) => play.standStillBeforeDone(), {
    instant: 'DONE is not committed',
    again: 'nothing',
    why: 'the object is found whole by whoever looks next',
  }),
  betweenParts(
    {
      fault: 'PostgreSQL is killed, and started again when the lease has run out',
      why: 'the owner stops by itself; whoever is first goes on',
    },
    async (play) => {
      await play.stage.killPostgres();
      await play.pass(1.5 * LEASE_MS);
      await play.stage.restartPostgres();
    },
  ),
  betweenParts({ fault: 'PostgreSQL is restarted in order', why: 'as after a kill' }, ({ stage }) =>
    stage.restartPostgres(),
  ),
  {
    fault: 'PostgreSQL is read-only for 2 s',
    instant: 'three parts are stored, and the fourth is being read',
    ending: 'DONE',
    again: 'in flight',
    why: 'the owner stops by itself and leaves the stored parts to whoever is first when it takes changes again',
    async play(play) {
      // More than is in flight: who throws the parts away reads too much again.
      await play.beginUpTo(3.4 * PART_SIZE_BYTES);
      await play.stage.query('ALTER DATABASE crash SET default_transaction_read_only = on');
      await play.stage.cutConnections();
      play.file.release();
      await play.pass(2_000);
      await play.stage.query('ALTER DATABASE crash RESET default_transaction_read_only', [], { isWriting: true });
      await play.stage.cutConnections();
      play.letGo();
    },
  },
  betweenParts(
    { fault: 'every connection to PostgreSQL is cut, three times', why: 'the product connects again' },
    async ({ stage }) => {
      for (let round = 0; round < 3; round += 1) await stage.cutConnections();
    },
  ),
];
