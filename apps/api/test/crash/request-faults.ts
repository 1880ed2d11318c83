import { expect } from '@jest/globals';
import { PART_SIZE_BYTES } from '@s3-transfer/crash-stage';
import { mintToken } from '../support/test-token.js';
import { type CrashFault, LOCAL_ALONE } from './crash-fault.js';
import type { CrashPlay } from './crash-play.js';

const API_KILLED = 'the API is killed';
const BETWEEN_PARTS = 2.4 * PART_SIZE_BYTES;
const PAUSED = 'two parts are stored, and the third is being read';

/** Asks the API for the transfer; what came of the request is for the test to find out. */
async function request(play: CrashPlay, url: string): Promise<Response> {
  const token = await mintToken({ workspaces: [play.workspaceId] });
  const { path, file } = play;
  return await fetch(`${url}/workspaces/${play.workspaceId}/files/imports`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ sourceUrl: file.url, path, type: 'recording-video', mimeType: 'video/mp4' }),
  });
}

export const REQUEST_FAULTS: readonly CrashFault[] = [
  {
    fault: API_KILLED,
    instant: 'the row is inserted, and not committed with its job',
    stores: LOCAL_ALONE,
    ending: 'no row',
    again: 'nothing',
    why: 'row and job are committed together, or not at all',
    async play(play) {
      const { api, url } = await play.product.startApi({ TRANSFER_WORKER: 'none' });
      const lock = await play.stage.lock('SELECT FROM core_workspace WHERE id = $1 FOR UPDATE', [play.workspaceId]);
      const asked = request(play, url).then(
        () => 'answered',
        () => 'lost',
      );
      await lock.blocks(/./);
      await api.kill();
      await lock.releaseWithoutThem();
      expect(await asked).toBe('lost');
    },
  },
  {
    fault: API_KILLED,
    instant: 'it has answered 202',
    ending: 'DONE',
    again: 'nothing',
    why: 'the job is in the database: a worker takes it',
    async play(play) {
      const { api, url } = await play.product.startApi({ TRANSFER_WORKER: 'none' });
      expect((await request(play, url)).status).toBe(202);
      await api.kill();
      await play.find();
    },
  },
  {
    fault: API_KILLED,
    instant: `it runs the transfer itself: ${PAUSED}`,
    stores: LOCAL_ALONE,
    ending: 'DONE',
    again: 'in flight',
    why: 'a worker goes on',
    async play(play) {
      await play.product.endWorkers();
      const { api, url } = await play.product.startApi({});
      play.file.holdAt(BETWEEN_PARTS);
      await request(play, url);
      await play.find();
      await play.file.sentUpTo(BETWEEN_PARTS);
      await play.stored(2);
      await api.kill();
      play.letGo();
      await play.product.mend();
    },
  },
  {
    fault: 'a job is delivered a second time',
    instant: PAUSED,
    stores: LOCAL_ALONE,
    ending: 'DONE',
    again: 'nothing',
    why: 'the second worker finds the row leased, and lets go',
    async play(play) {
      await play.beginUpTo(BETWEEN_PARTS);
      await play.deliverAgain();
      play.letGo();
    },
  },
  {
    fault: 'two workers have a job for the same row',
    instant: 'both claim it at once',
    stores: LOCAL_ALONE,
    ending: 'DONE',
    again: 'nothing',
    why: 'one UPDATE decides',
    async play(play) {
      await play.beginClaimedTwice();
    },
  },
  {
    fault: 'the transfer is cancelled',
    instant: PAUSED,
    ending: 'TRANSFER_CANCELLED',
    again: 'nothing',
    why: 'the owner learns of it with its next renewal, and cleans up',
    async play(play) {
      await play.beginUpTo(BETWEEN_PARTS);
      await play.cancel();
      await play.ended();
      play.letGo();
    },
  },
  {
    fault: 'the transfer is cancelled, and the worker is killed',
    instant: PAUSED,
    ending: 'TRANSFER_CANCELLED',
    again: 'nothing',
    why: 'the next owner ends what is there, and begins nothing',
    async play(play) {
      await play.beginUpTo(BETWEEN_PARTS);
      const owner = await play.owner();
      await play.cancel();
      await play.product.kill(owner);
      play.letGo();
    },
  },
  {
    fault: 'the transfer is cancelled',
    instant: 'Complete was carried out, and its answer not read',
    ending: 'DONE',
    again: 'nothing',
    why: 'the object is there, whole: it is too late to end it',
    async play(play) {
      await play.slowAnswer('CompleteMultipartUpload');
      await play.cancel();
    },
  },
  {
    fault: 'the file is deleted, softly',
    instant: PAUSED,
    ending: 'hidden',
    again: 'nothing',
    why: 'the owner learns of it with its next renewal, and cleans up',
    async play(play) {
      await play.beginUpTo(BETWEEN_PARTS);
      await play.deleteFile(false);
      await play.ended();
      play.letGo();
    },
  },
  {
    fault: 'the file is deleted for good',
    instant: PAUSED,
    ending: 'deleted',
    again: 'nothing',
    why: 'the owner lets go, and then everything is removed',
    async play(play) {
      await play.beginUpTo(BETWEEN_PARTS);
      await play.deleteFile(true);
      play.letGo();
    },
  },
  {
    fault: 'the file is deleted for good',
    instant: 'Complete was carried out, and its answer not read',
    ending: 'deleted',
    again: 'nothing',
    why: 'what Complete makes is removed with the row, or found in the purge table',
    async play(play) {
      await play.slowAnswer('CompleteMultipartUpload');
      await play.deleteFile(true);
    },
  },
  {
    fault: 'the file is deleted for good, and the worker is killed',
    instant: '`completing` is not committed',
    ending: 'deleted',
    again: 'nothing',
    why: 'the removal waits for the lease of the dead',
    async play(play) {
      const lock = await play.standStillBeforeComplete();
      await play.product.kill(await play.owner());
      await lock.releaseWithoutThem();
      await play.deleteFile(true);
      play.letGo();
    },
  },
  {
    fault: 'the workspace is deleted',
    instant: PAUSED,
    ending: 'deleted',
    again: 'nothing',
    why: 'a trigger writes what the cascade takes along into the purge table',
    async play(play) {
      await play.beginUpTo(BETWEEN_PARTS);
      await play.stage.query('DELETE FROM core_workspace WHERE id = $1', [play.workspaceId]);
      play.letGo();
    },
  },
  {
    fault: 'the worker is killed',
    instant: 'the row of a file was removed, and its object is about to be',
    ending: 'deleted',
    again: 'nothing',
    why: 'the purge entry is taken up by another when its minute is over',
    async play(play) {
      await play.begin();
      await play.ended();
      const call = await play.standStill('DeleteObject', 'before', {
        act: () => play.stage.query('DELETE FROM core_storage_file WHERE id = $1', [play.id]),
      });
      await play.killSenderOf(call);
      await play.stage.query('UPDATE core_storage_purge SET next_attempt_at = now() WHERE path = $1', [play.path]);
      play.letGo();
    },
  },
  {
    fault: 'the store is full for longer than a call is made again',
    instant: 'the first part is sent',
    stores: LOCAL_ALONE,
    ending: 'DONE',
    again: 'the file',
    why: 'the try failed, and another one follows',
    async play(play) {
      play.stage.proxy.inject({ fault: 'store-full', key: play.path, times: Number.POSITIVE_INFINITY });
      await play.begin();
      await play.retried();
      play.letGo();
    },
  },
  {
    fault: 'the source has lost the file, and the worker is killed',
    instant: PAUSED,
    ending: 'SOURCE_STATUS',
    again: 'nothing',
    why: 'what cannot be had is not waited for, and the stored parts are discarded',
    async play(play) {
      await play.beginUpTo(BETWEEN_PARTS);
      play.file.isGone = true;
      await play.killOwner();
    },
  },
  {
    fault: 'the source has another version, and the worker is killed',
    instant: PAUSED,
    ending: 'DONE',
    again: 'the file',
    why: 'parts of two versions make no file: the next owner starts over',
    async play(play) {
      await play.beginUpTo(BETWEEN_PARTS);
      play.file.replace();
      await play.killOwner();
    },
  },
  {
    fault: 'the source honours ranges no more, and the worker is killed',
    instant: PAUSED,
    stores: LOCAL_ALONE,
    ending: 'DONE',
    again: 'the file',
    why: 'it sends the whole file, or none: the next owner starts over',
    async play(play) {
      await play.beginUpTo(BETWEEN_PARTS);
      play.file.isHonouringRanges = false;
      await play.killOwner();
    },
  },
];
