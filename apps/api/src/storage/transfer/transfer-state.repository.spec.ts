import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { RowLock } from '@s3-transfer/crash-stage';
import { takeAnything } from '../../../test/support/take-anything.js';
import { startTestStorage, type TestStorage } from '../../../test/support/test-storage.js';
import { TransferQueue } from './transfer-queue.js';
import { type Claim, TransferStateRepository } from './transfer-state.repository.js';

let storage: TestStorage;
let state: TransferStateRepository;
let workspaceId: string;

beforeAll(async () => {
  storage = await startTestStorage();
  state = storage.get(TransferStateRepository);
  workspaceId = await storage.database.createWorkspace();
});

afterAll(() => storage.stop());

/** A new row and the claim of its first try. */
async function claimNew() {
  const path = `recordings/${workspaceId}/${randomUUID()}.mp4`;
  const { id } = await storage.files.create({ workspaceId, type: 'recording-video', path, bucket: storage.bucket });
  const claim = await state.claim(id, 60_000);
  if (claim === null) throw new Error('the new row was not to be had');
  return { claim, path };
}

async function entriesOf(fileId: string) {
  return await storage.database.query<Record<string, unknown>>(
    'SELECT bucket, path, upload_id, attempts FROM core_storage_purge WHERE file_id = $1 ORDER BY upload_id',
    [fileId],
  );
}

/** As if the owner had died. */
async function endLease({ id }: Claim): Promise<void> {
  await storage.database.query("UPDATE core_storage_file SET lease_until = now() - interval '1 second' WHERE id = $1", [
    id,
  ]);
}

async function dieAndClaim(owner: Claim): Promise<Claim> {
  await endLease(owner);
  return (await state.claim(owner.id, 60_000)) as Claim;
}

async function attemptsOf({ id }: Claim) {
  return await storage.files.listAttempts({ workspaceId, id });
}

async function eventsOf({ id }: Claim) {
  return await storage.database.query<Record<string, unknown>>(
    'SELECT type, payload FROM core_outbox_event WHERE subject_id = $1',
    [id],
  );
}

/** Runs `task` while no event of the file can be noted. */
async function withoutOutbox({ id }: Claim, task: () => Promise<unknown>): Promise<void> {
  await storage.database.query(
    `ALTER TABLE core_outbox_event ADD CONSTRAINT refuses_one CHECK (subject_id <> '${id}') NOT VALID`,
  );
  try {
    await task();
  } finally {
    await storage.database.query('ALTER TABLE core_outbox_event DROP CONSTRAINT refuses_one');
  }
}

async function takeTickets(): Promise<string[]> {
  const queue = storage.get(TransferQueue);
  const tickets = await queue.take(takeAnything(1_000));
  await queue.complete(tickets.map(({ jobId }) => jobId));
  return tickets.map(({ fileId }) => fileId);
}

const begun = (uploadId: string) => ({ uploadId, partSizeBytes: 5, sourceVersion: null, isAnotherPossible: false });
const PART = { number: 1, sizeBytes: 5, etag: 'etag', digest: 'md5:abc' };
const failure = {
  transferError: 'SOURCE_TRUNCATED: it ended early',
  errorCode: 'SOURCE_TRUNCATED',
  keepUpload: true,
  isUploadUnknown: false,
};

describe('claim', () => {
  it('gives a row to one owner, and to another when its lease has run out', async () => {
    const { claim } = await claimNew();
    expect(await state.claim(claim.id, 60_000)).toBeNull();
    await endLease(claim);
    const next = await state.claim(claim.id, 60_000);
    expect(next).toMatchObject({ id: claim.id, attempts: 2 });
    expect(next?.leaseToken).not.toBe(claim.leaseToken);
  });

  it('writes down that the try of an owner that died is lost', async () => {
    const { claim } = await claimNew();
    expect(await attemptsOf(claim)).toMatchObject([{ number: 1, outcome: null, finishedAt: null }]);
    await endLease(claim);
    await state.claim(claim.id, 60_000);
    expect(await attemptsOf(claim)).toMatchObject([
      { number: 2, outcome: null },
      { number: 1, outcome: 'LOST', finishedAt: expect.any(Date) },
    ]);
  });

  it('gives no row before the time of its next try, except to end it', async () => {
    const { claim } = await claimNew();
    await state.requeue(claim, { delayMs: 60_000, failure, isCounted: true });
    expect(await state.claim(claim.id, 60_000)).toBeNull();
    expect(await state.requestCancel({ id: claim.id, workspaceId })).toBe(true);
    expect(await state.claim(claim.id, 60_000)).toMatchObject({ id: claim.id, isCancelled: true });
  });
});

describe('owners that die in a row', () => {
  it('are counted while none of them stores more than those before', async () => {
    const { claim } = await claimNew();
    expect(claim.crashes).toBe(0);
    expect(await dieAndClaim(claim)).toMatchObject({ crashes: 1 });
    const third = await dieAndClaim(claim);
    expect(third.crashes).toBe(2);
    await state.setUpload(third, begun('upload-1'));
    await state.addPart(third, 'upload-1', PART);
    expect(await dieAndClaim(claim)).toMatchObject({ crashes: 1 });
    const fifth = await dieAndClaim(claim);
    expect(fifth.crashes).toBe(2);
    // Begun anew, and not further than before.
    await state.setUpload(fifth, begun('upload-2'));
    await state.addPart(fifth, 'upload-2', PART);
    expect(await dieAndClaim(claim)).toMatchObject({ crashes: 3 });
  });

  it('are not counted where a try ended in between, nor where Complete may have been sent', async () => {
    const { claim } = await claimNew();
    const second = await dieAndClaim(claim);
    await state.requeue(second, { delayMs: 0, failure, isCounted: true });
    const third = (await state.claim(claim.id, 60_000)) as Claim;
    expect(third.crashes).toBe(0);
    await state.setCompleting(third, { size: 5, sha256: null, lengthVerified: true });
    expect(await dieAndClaim(claim)).toMatchObject({ crashes: 0 });
  });
});

describe('many owners at once', () => {
  it('get each their own row, and each write what became of it', async () => {
    const claimed = await Promise.all(Array.from({ length: 20 }, () => claimNew()));
    const claims = claimed.map(({ claim }) => claim);
    expect(new Set(claims.map(({ leaseToken }) => leaseToken)).size).toBe(20);
    const read = (index: number) => ({ size: index, sha256: `${index}`, lengthVerified: index % 2 === 0 });
    const written = await Promise.all(claims.map((claim, index) => state.setCompleting(claim, read(index))));
    expect(written).toEqual(claims.map(() => true));
    const ended = await Promise.all(
      claims.map((claim, index) => {
        const owner = index === 7 ? { ...claim, leaseToken: randomUUID() } : claim;
        const etag = index === 3 ? null : `etag ${index}`;
        return state.markDone(owner, { ...read(index), etag, sha256Origin: 'SOURCE', isLengthVerified: true });
      }),
    );
    expect(ended).toEqual(claims.map((_claim, index) => index !== 7));
    for (const [index, { id }] of claims.entries()) {
      expect(await state.find(id)).toMatchObject({
        transferStatus: index === 7 ? 'TRANSFERRING' : 'DONE',
        size: BigInt(index),
        sha256: `${index}`,
        etag: index === 7 || index === 3 ? null : `etag ${index}`,
        completing: index === 7,
      });
    }
  });

  it('do not wait for the one whose row somebody else has locked', async () => {
    const [locked, other] = [await claimNew(), await claimNew()];
    const lock = await RowLock.take(
      storage.database.url,
      'SELECT FROM core_storage_file WHERE id = $1 FOR NO KEY UPDATE',
      [locked.claim.id],
    );
    const read = { size: 1, sha256: null, lengthVerified: true };
    const late = state.setCompleting(locked.claim, read);
    expect(await state.setCompleting(other.claim, read)).toBe(true);
    await lock.blocks(/completing = true/);
    await lock.release();
    expect(await late).toBe(true);
  });
});

describe('renew', () => {
  it('tells the owner what others want of its row', async () => {
    const { claim } = await claimNew();
    expect(await state.renew(claim, 60_000)).toBe('held');
    await state.requestCancel({ id: claim.id, workspaceId });
    expect(await state.renew(claim, 60_000)).toBe('cancelled');
    await storage.files.softDelete({ id: claim.id, workspaceId });
    expect(await state.renew(claim, 60_000)).toBe('deleted');
  });
});

describe('requeue', () => {
  it('keeps the upload and its parts for the next owner, when they are left', async () => {
    const { claim } = await claimNew();
    await state.setUpload(claim, begun('upload-1'));
    await state.addPart(claim, 'upload-1', PART);
    expect(await state.requeue(claim, { delayMs: 0, failure, isCounted: true })).toBe(true);
    const next = await state.claim(claim.id, 60_000);
    expect(next).toMatchObject({ uploadId: 'upload-1', partSizeBytes: 5n, retries: 1 });
    expect(await state.listParts(next as Claim)).toEqual([PART]);
  });

  it('forgets them when nothing is left', async () => {
    const { claim } = await claimNew();
    await state.setUpload(claim, begun('upload-1'));
    await state.addPart(claim, 'upload-1', PART);
    await state.requeue(claim, { delayMs: 0, failure: { ...failure, keepUpload: false }, isCounted: true });
    expect(await state.claim(claim.id, 60_000)).toMatchObject({ uploadId: null });
    expect(await state.listParts({ ...claim, uploadId: 'upload-1' })).toEqual([]);
  });

  it('counts no try against a file that was handed over, and leaves a ticket for it', async () => {
    const { claim } = await claimNew();
    await state.requeue(claim, { delayMs: 0, failure, isCounted: false });
    expect(await state.find(claim.id)).toMatchObject({ transferStatus: 'PENDING', retries: 0, transferError: null });
    expect(await attemptsOf(claim)).toMatchObject([{ outcome: 'HANDED_OVER' }]);
    expect(await takeTickets()).toContain(claim.id);
  });
});

describe('recover', () => {
  it('leaves a ticket for a row whose owner died, and none for one whose owner lives', async () => {
    const [dead, living] = [await claimNew(), await claimNew()];
    await endLease(dead.claim);
    await state.recover();
    const tickets = await takeTickets();
    expect(tickets).toContain(dead.claim.id);
    expect(tickets).not.toContain(living.claim.id);
  });

  it('leaves a ticket for a row that is under way and was never leased, or is no longer', async () => {
    const id = randomUUID();
    await storage.database.query(
      `INSERT INTO core_storage_file (id, workspace_id, type, path, bucket, transfer_status)
       VALUES ($1, $2, 'recording-video', $3, $4, 'TRANSFERRING')`,
      [id, workspaceId, `recordings/${id}.mp4`, storage.bucket],
    );
    const { claim, path } = await claimNew();
    await endLease(claim);
    await storage.files.softDelete({ id: claim.id, workspaceId });
    const place = { fileId: claim.id, bucket: storage.bucket, path, uploadId: null };
    expect(await state.release((await state.claimForPurge(place, 60_000)) as Claim)).toBe(true);
    await storage.files.restore({ id: claim.id, workspaceId });
    await state.recover();
    expect(await takeTickets()).toEqual(expect.arrayContaining([id, claim.id]));
  });
});

describe('an upload whose id its owner did not come to keep', () => {
  /** Announced by an owner that died. */
  async function announce(): Promise<Claim> {
    const { claim } = await claimNew();
    expect(await state.announceUpload(claim)).toBe(true);
    await endLease(claim);
    return claim;
  }
  const uploadsOf = async ({ id }: Claim) => (await entriesOf(id)).map(({ upload_id }) => upload_id);

  it('is known to every owner after that one, until the uploads that nobody knows are gone', async () => {
    const next = await dieAndClaim(await announce());
    expect(next).toMatchObject({ uploadId: null, isUploadUnknown: true });
    await state.requeue(next, { delayMs: 0, failure: { ...failure, isUploadUnknown: true }, isCounted: true });
    const third = (await state.claim(next.id, 60_000)) as Claim;
    expect(third.isUploadUnknown).toBe(true);
    await state.setUpload(third, { ...begun('upload-1'), isAnotherPossible: true });
    expect(await dieAndClaim(third)).toMatchObject({ uploadId: 'upload-1', isUploadUnknown: true });
    const fifth = await dieAndClaim(third);
    await state.forgetUnknownUploads(fifth);
    expect(await dieAndClaim(fifth)).toMatchObject({ uploadId: 'upload-1', isUploadUnknown: false });
  });

  it('is not there when the store began one and every answer of it was read', async () => {
    const next = await dieAndClaim(await announce());
    await state.setUpload(next, begun('upload-1'));
    expect(await dieAndClaim(next)).toMatchObject({ uploadId: 'upload-1', isUploadUnknown: false });
  });

  it('is looked for when the row fails, beside the one that is known', async () => {
    const next = await dieAndClaim(await announce());
    await state.setUpload(next, begun('upload-1'));
    await state.markFailed(next, { ...failure, isUploadUnknown: true });
    expect(await uploadsOf(next)).toEqual(['upload-1', null]);
    expect(await state.find(next.id)).toMatchObject({ uploadUnknown: false });
  });

  it('is looked for when the row was deleted, softly or for good', async () => {
    const [hidden, gone] = [await announce(), await announce()];
    for (const { id } of [hidden, gone]) {
      await storage.database.query("UPDATE core_storage_file SET upload_id = 'upload-1' WHERE id = $1", [id]);
    }
    await storage.files.softDelete({ id: hidden.id, workspaceId });
    await state.recover();
    await storage.files.hardDelete({ id: gone.id, workspaceId });
    expect([await uploadsOf(hidden), await uploadsOf(gone)]).toEqual([
      ['upload-1', null],
      ['upload-1', null],
    ]);
  });

  it("is the purge worker's when another has the row by the time that its id is there", async () => {
    const { claim } = await claimNew();
    const next = await dieAndClaim(claim);
    expect(await state.announceUpload(claim)).toBe(false);
    expect(await state.setUpload(claim, begun('upload-late'))).toBe(false);
    expect(await uploadsOf(next)).toEqual(['upload-late']);
    expect(await state.find(next.id)).toMatchObject({ uploadId: null });
  });
});

describe('markFailed', () => {
  it('writes down what may be left, with the row', async () => {
    const { claim, path } = await claimNew();
    await state.setUpload(claim, begun('upload-1'));
    expect(await state.markFailed(claim, failure)).toBe(true);
    expect(await state.find(claim.id)).toMatchObject({
      transferStatus: 'FAILED',
      transferError: failure.transferError,
      uploadId: 'upload-1',
      leaseToken: null,
      leaseUntil: null,
      finishedAt: expect.any(Date),
    });
    expect(await entriesOf(claim.id)).toEqual([{ bucket: storage.bucket, path, upload_id: 'upload-1', attempts: 0 }]);
  });

  it('tells of it once, or is not FAILED', async () => {
    const { claim } = await claimNew();
    await withoutOutbox(claim, () => expect(state.markFailed(claim, failure)).rejects.toThrow(/refuses_one/));
    expect(await state.find(claim.id)).toMatchObject({ transferStatus: 'TRANSFERRING' });
    await state.markFailed(claim, failure);
    expect(await state.markFailed(claim, failure)).toBe(false);
    expect(await eventsOf(claim)).toMatchObject([
      { type: 'storage.file.failed', payload: { fileId: claim.id, errorCode: failure.errorCode } },
    ]);
  });

  it('makes no entry when nothing is left', async () => {
    const { claim } = await claimNew();
    await state.setUpload(claim, begun('upload-1'));
    expect(await state.markFailed(claim, { ...failure, keepUpload: false })).toBe(true);
    expect(await state.find(claim.id)).toMatchObject({ transferStatus: 'FAILED', uploadId: null });
    expect(await entriesOf(claim.id)).toEqual([]);
  });

  it.each([['upload-1'], [null]])(
    'starts the entry of upload %s anew when the next try leaves it too',
    async (upload) => {
      const { claim } = await claimNew();
      if (upload !== null) await state.setUpload(claim, begun(upload));
      await state.markFailed(claim, failure);
      await storage.database.query('UPDATE core_storage_purge SET attempts = 7 WHERE file_id = $1', [claim.id]);
      await state.reopen({ id: claim.id, workspaceId }, { delayMs: 0 });
      const next = await state.claim(claim.id, 60_000);
      if (next === null) throw new Error('the failed row was not to be had');
      await state.markFailed(next, failure);
      expect(await entriesOf(claim.id)).toMatchObject([{ upload_id: upload, attempts: 0 }]);
    },
  );

  it('changes nothing for an owner whose lease another took', async () => {
    const { claim } = await claimNew();
    const stale = { ...claim, leaseToken: randomUUID() };
    expect(await state.markFailed(stale, failure)).toBe(false);
    expect(await state.find(claim.id)).toMatchObject({ transferStatus: 'TRANSFERRING' });
    expect(await entriesOf(claim.id)).toEqual([]);
  });
});

describe('markDone', () => {
  const object = {
    size: 5_000_000_000_000,
    etag: 'etag',
    sha256: 'sha256',
    sha256Origin: 'SOURCE' as const,
    isLengthVerified: true,
  };

  it('tells of it once, or is not DONE', async () => {
    const { claim } = await claimNew();
    await withoutOutbox(claim, () => expect(state.markDone(claim, object)).rejects.toThrow(/refuses_one/));
    expect(await state.find(claim.id)).toMatchObject({ transferStatus: 'TRANSFERRING' });
    await state.markDone(claim, object);
    expect(await state.markDone(claim, object)).toBe(false);
    expect(await eventsOf(claim)).toMatchObject([
      { type: 'storage.file.done', payload: { fileId: claim.id, size: '5000000000000' } },
    ]);
  });

  it('forgets where the file came from', async () => {
    const { claim } = await claimNew();
    await storage.database.query("UPDATE core_storage_file SET source_sealed = 'sealed' WHERE id = $1", [claim.id]);
    await state.markDone(claim, object);
    expect(await state.find(claim.id)).toMatchObject({ transferStatus: 'DONE', sourceSealed: null });
  });

  it('ends the entry of the upload that made the object, and of no other', async () => {
    const { claim } = await claimNew();
    for (const upload of ['upload-1', 'upload-2']) {
      await storage.database.query(
        'INSERT INTO core_storage_purge (bucket, path, file_id, upload_id) SELECT bucket, path, id, $2 FROM core_storage_file WHERE id = $1',
        [claim.id, upload],
      );
    }
    await state.setUpload(claim, begun('upload-2'));
    expect(await state.markDone(claim, object)).toBe(true);
    expect(await state.find(claim.id)).toMatchObject({
      transferStatus: 'DONE',
      size: BigInt(object.size),
      etag: 'etag',
      sha256: 'sha256',
      uploadId: null,
      leaseToken: null,
      finishedAt: expect.any(Date),
    });
    expect(await entriesOf(claim.id)).toMatchObject([{ upload_id: 'upload-1' }]);
  });

  it('changes nothing for an owner whose lease another took', async () => {
    const { claim } = await claimNew();
    expect(await state.markDone({ ...claim, leaseToken: randomUUID() }, object)).toBe(false);
    expect(await state.find(claim.id)).toMatchObject({ transferStatus: 'TRANSFERRING', size: null });
  });
});

describe('an owner whose lease another took', () => {
  it('changes nothing of the row, whatever it writes', async () => {
    const { claim } = await claimNew();
    await state.setUpload(claim, begun('upload-of-the-new-owner'));
    const before = await state.find(claim.id);
    const stale = { ...claim, leaseToken: randomUUID() };
    expect(await state.renew(stale, 60_000)).toBe('lost');
    expect(await state.setUpload(stale, begun('upload-of-the-old-owner'))).toBe(false);
    expect(await state.detachUpload(stale)).toBe(false);
    expect(await state.addPart(stale, 'upload-of-the-new-owner', PART)).toBe(false);
    expect(await state.requeue(stale, { delayMs: 0, failure, isCounted: true })).toBe(false);
    expect(await state.setCompleting(stale, { size: 5, sha256: 'sha256', lengthVerified: true })).toBe(false);
    expect(await state.markFailed(stale, { ...failure, keepUpload: false })).toBe(false);
    expect(await state.releaseCleaned(stale)).toBe(false);
    expect(await state.release(stale)).toBe(false);
    expect(await state.remove(stale)).toBe(false);
    expect(await state.find(claim.id)).toEqual(before);
  });
});

describe('recover', () => {
  const ticketsOf = async (fileId: string) =>
    await storage.database.query('SELECT FROM pgboss.job WHERE singleton_key = $1', [fileId]);
  const letTimePass = (fileId: string) =>
    storage.database.query("UPDATE core_storage_file SET updated_at = updated_at - interval '1 minute' WHERE id = $1", [
      fileId,
    ]);
  const createWaiting = async () => {
    const path = `recordings/${workspaceId}/${randomUUID()}.mp4`;
    const { id } = await storage.files.create({ workspaceId, type: 'recording-video', path, bucket: storage.bucket });
    return id;
  };

  it('sends a ticket for a row that waits and has lost its own', async () => {
    const id = await createWaiting();
    await state.recover();
    expect(await ticketsOf(id)).toHaveLength(0); // It may be on its way.
    await letTimePass(id);
    expect(await state.recover()).toBeGreaterThan(0);
    expect(await ticketsOf(id)).toHaveLength(1);
    await state.recover();
    expect(await ticketsOf(id)).toHaveLength(1);
  });

  it('comes to a row behind more than it looks at in one go', async () => {
    await storage.database.query(
      `INSERT INTO core_storage_file (id, workspace_id, type, path, bucket, updated_at)
       SELECT lpad(number::text, 32, '0')::uuid, $1, 'recording-video', 'recordings/' || number, $2, now()
       FROM generate_series(1, 1000) AS number`,
      [workspaceId, storage.bucket],
    );
    const id = await createWaiting();
    await letTimePass(id);
    await state.recover();
    expect(await ticketsOf(id)).toHaveLength(0);
    await state.recover();
    expect(await ticketsOf(id)).toHaveLength(1);
    await storage.database.query(
      "DELETE FROM core_storage_file WHERE path LIKE 'recordings/%' AND path NOT LIKE '%.mp4'",
    );
  });

  it('sends another one for a row whose ticket a worker took and never told of again', async () => {
    const id = await createWaiting();
    await letTimePass(id);
    await state.recover();
    const take = (ago: string) =>
      storage.database.query(
        `UPDATE pgboss.job SET state = 'active', started_on = now() - $2::interval, heartbeat_on = NULL WHERE singleton_key = $1`,
        [id, ago],
      );
    await take('5 seconds');
    await state.recover();
    expect(await ticketsOf(id)).toHaveLength(1);
    await take('1 minute');
    await state.recover();
    expect(await ticketsOf(id)).toHaveLength(2);
  });

  it('lets a row wait for its next try', async () => {
    const { claim } = await claimNew();
    await state.requeue(claim, { delayMs: 60_000, failure, isCounted: true });
    await storage.database.query('DELETE FROM pgboss.job WHERE singleton_key = $1', [claim.id]);
    await letTimePass(claim.id);
    await state.recover();
    expect(await ticketsOf(claim.id)).toHaveLength(0);
  });
});
