import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { RowLock } from '@s3-transfer/crash-stage';
import { startTestStorage, type TestStorage } from '../../../test/support/test-storage.js';
import { DatabaseUnavailableError } from '../../prisma/database-error.js';
import { LeaseKeeper } from './lease-keeper.js';
import { ProgressMeter } from './progress-meter.js';
import { type Claim, TransferStateRepository } from './transfer-state.repository.js';

/** Renewed three times while it lasts. */
const LEASE_MS = 1_500;

let storage: TestStorage;
let state: TransferStateRepository;
let workspaceId: string;

beforeAll(async () => {
  storage = await startTestStorage();
  state = storage.get(TransferStateRepository);
  workspaceId = await storage.database.createWorkspace();
});

afterAll(() => storage.stop());

async function claimNew(): Promise<Claim> {
  const path = `recordings/${workspaceId}/${randomUUID()}.mp4`;
  const { id } = await storage.files.create({ workspaceId, type: 'recording-video', path, bucket: storage.bucket });
  const claim = await state.claim(id, LEASE_MS);
  if (claim === null) throw new Error('the new row was not to be had');
  return claim;
}

/** The error that ends a transfer after another process did `change` to its row. */
async function endAfter(change: (claim: Claim) => Promise<unknown>): Promise<unknown> {
  const claim = await claimNew();
  const lease = new LeaseKeeper({ state, claim, leaseMs: LEASE_MS, meter: new ProgressMeter() }, AbortSignal.any([]));
  try {
    await change(claim);
    if (!lease.signal.aborted) await once(lease.signal, 'abort');
    return lease.signal.reason;
  } finally {
    lease.end();
  }
}

describe('a transfer under way is ended by another process', () => {
  it('that cancels it', async () => {
    const reason = await endAfter(({ id }) => state.requestCancel({ id, workspaceId }));
    expect(reason).toMatchObject({ code: 'TRANSFER_CANCELLED', message: 'the transfer was cancelled' });
  });

  it('that deletes its file', async () => {
    const reason = await endAfter(({ id }) => storage.files.softDelete({ id, workspaceId }));
    expect(reason).toMatchObject({ code: 'TRANSFER_CANCELLED', message: 'the file was deleted' });
  });

  it('that took its row', async () => {
    const reason = await endAfter(({ id }) =>
      storage.database.query('UPDATE core_storage_file SET lease_token = gen_random_uuid() WHERE id = $1', [id]),
    );
    expect(reason).toMatchObject({ code: 'TRANSFER_LOST' });
  });
});

describe('a renewal that gets no answer', () => {
  it('ends the transfer before its lease has run out, and not only with an answer', async () => {
    const claim = await claimNew();
    const lock = await RowLock.take(
      storage.database.url,
      'SELECT FROM core_storage_file WHERE id = $1 FOR NO KEY UPDATE',
      [claim.id],
    );
    const lease = new LeaseKeeper({ state, claim, leaseMs: LEASE_MS, meter: new ProgressMeter() }, AbortSignal.any([]));
    try {
      if (!lease.signal.aborted) await once(lease.signal, 'abort');
      expect(lease.signal.reason).toBeInstanceOf(DatabaseUnavailableError);
    } finally {
      lease.end();
      await lock.release();
    }
  });
});

describe('who is about to remove or make an object', () => {
  it('may while it has the row, whatever others want of it, and not when another has it', async () => {
    const claim = await claimNew();
    const lease = new LeaseKeeper({ state, claim, leaseMs: LEASE_MS, meter: new ProgressMeter() }, AbortSignal.any([]));
    try {
      await state.requestCancel({ id: claim.id, workspaceId });
      await lease.assertHeld();
      await storage.database.query('UPDATE core_storage_file SET lease_token = gen_random_uuid() WHERE id = $1', [
        claim.id,
      ]);
      await expect(lease.assertHeld()).rejects.toMatchObject({ code: 'TRANSFER_LOST' });
    } finally {
      lease.end();
    }
  });
});
