import { randomUUID } from 'node:crypto';
import { DevelopmentWorkspaceRepository } from '../../src/cli/development-workspace.repository.js';
import { DatabaseRepository } from '../../src/health/database.repository.js';
import type { PrismaService } from '../../src/prisma/prisma.service.js';
import { RecordingRepository } from '../../src/recordings/recording.repository.js';
import { InventoryRepository } from '../../src/storage/cleanup/inventory.repository.js';
import { PurgeRepository } from '../../src/storage/cleanup/purge.repository.js';
import { RecordRepository } from '../../src/storage/cleanup/record.repository.js';
import { RetentionRepository } from '../../src/storage/cleanup/retention.repository.js';
import { EventOutboxRepository } from '../../src/storage/events/event-outbox.repository.js';
import { WebhookDeliveryRepository } from '../../src/storage/events/webhook-delivery.repository.js';
import { WebhookSubscriptionRepository } from '../../src/storage/events/webhook-subscription.repository.js';
import { type StorageFile, StorageFileRepository } from '../../src/storage/storage-file.repository.js';
import { HostPlaceRepository } from '../../src/storage/transfer/host-place.repository.js';
import type { TransferQueue } from '../../src/storage/transfer/transfer-queue.js';
import { type Claim, TransferStateRepository } from '../../src/storage/transfer/transfer-state.repository.js';
import { WorkspaceQuotaRepository } from '../../src/storage/transfer/workspace-quota.repository.js';
import { CROWD, idOf } from './crowded-database.js';

const LEASE_MS = 60_000;
const BUCKET = 'bucket';
/** Of the workspace that has half of everything. */
const workspaceId = idOf('workspace', 0);
const failure = {
  transferError: 'SOURCE_STATUS: the source answered 404',
  errorCode: 'SOURCE_STATUS',
  keepUpload: true,
  isUploadUnknown: true,
};
/** High enough for everything here, and low enough to be counted. */
const LIMITS = { filesPerDay: 1_000_000, bytesPerDay: 1e12, transferConcurrencyPerHostOverall: 2 };

/** Gives every method of every repository something to do on a crowded database, one after the other. */
export async function travel(
  prisma: PrismaService,
  queue: TransferQueue,
  watch: <Watched extends object>(watched: Watched) => Watched,
) {
  const files = watch(new StorageFileRepository(prisma));
  const state = watch(new TransferStateRepository(prisma, queue, LIMITS));
  const accept = (changes: { idempotencyKey?: string } = {}) => {
    const ticketOf = (id: string) => ({ fileId: id, workspaceId, host: null, delayMs: LEASE_MS });
    const id = randomUUID();
    const file = { id, workspaceId, type: 'journey', path: `files/${id}`, bucket: BUCKET, ...changes };
    return files.create(file, (transaction) => queue.send(transaction, ticketOf(id)));
  };
  const claimed = async () => {
    const file = await accept();
    const claim = await state.claim(file.id, LEASE_MS);
    if (claim === null) throw new Error(`${file.id} was not to be had`);
    return { file, claim };
  };
  await lookForFiles(files, accept);
  await transfer(state, claimed);
  await keepToLimits(prisma, watch(new WorkspaceQuotaRepository(prisma, LIMITS)));
  const { file } = await claimed();
  await watch(new HostPlaceRepository(prisma, queue, LIMITS)).within(file, 'media.example', async () => {});
  await endTransfers(state, claimed);
  await recover(state, claimed);
  await removeFiles(files, state, watch(new RetentionRepository(prisma)), accept);
  await purge(watch(new PurgeRepository(prisma)), state);
  await takeInventory(watch(new InventoryRepository(prisma)));
  await audit(watch(new RecordRepository(prisma)));
  await tellEvents(watch(new EventOutboxRepository(prisma)));
  await sendWebhooks(watch(new WebhookSubscriptionRepository(prisma)), watch(new WebhookDeliveryRepository(prisma)));
  await record(watch(new RecordingRepository(prisma)), idOf('file', CROWD - 1));
  await watch(new DevelopmentWorkspaceRepository(prisma)).ensure(workspaceId);
  await watch(new DatabaseRepository(prisma)).ping();
}

type Accept = (changes?: { idempotencyKey?: string }) => Promise<StorageFile>;
type Claimed = () => Promise<{ file: StorageFile; claim: Claim }>;

async function lookForFiles(files: StorageFileRepository, accept: Accept) {
  const file = await accept({ idempotencyKey: 'journey' });
  const { id, path } = file;
  await files.findById({ workspaceId, id });
  await files.findByIdempotencyKey(workspaceId, 'journey');
  await files.findByPath({ workspaceId, bucket: BUCKET, path });
  await files.findByIdsOrPaths({
    workspaceId,
    bucket: BUCKET,
    ids: [id, idOf('file', 2)],
    paths: [path, 'files/none'],
  });
  await files.listAttempts({ workspaceId, id: idOf('file', 2_000) });
  const middle = await files.findById({ workspaceId, id: idOf('file', CROWD - 2_000) });
  const cursor = Buffer.from(`${middle?.createdAt.toISOString()}_${middle?.id}`).toString('base64url');
  const filters = [
    {},
    { status: 'PENDING' as const },
    { status: 'FAILED' as const },
    { status: 'DONE' as const },
    { type: 'avatar' },
    { type: 'journey' },
    { type: 'none' },
    { type: 'avatar', status: 'FAILED' as const },
    { type: 'none', status: 'DONE' as const },
  ];
  for (const filter of filters) {
    await files.list({ workspaceId, limit: 100, ...filter });
    await files.list({ workspaceId, limit: 100, cursor, ...filter });
  }
}

async function transfer(state: TransferStateRepository, claimed: Claimed) {
  const { file, claim } = await claimed();
  await state.find(file.id);
  await state.findAll([file.id, idOf('file', 3)]);
  await state.renew(claim, LEASE_MS, { bytes: 10, totalBytes: 20 });
  await state.announceUpload(claim);
  const sourceVersion = { length: 20, etag: '"1"', lastModified: null, contentEncoding: null };
  await state.setUpload(claim, { uploadId: 'one', partSizeBytes: 10, sourceVersion, isAnotherPossible: true });
  await state.addPart(claim, 'one', { number: 1, sizeBytes: 10, etag: '"1"', digest: 'crc32:AAAA' });
  await state.listParts({ ...claim, uploadId: 'one' });
  await state.noteResumption(claim, 10);
  await state.forgetUnknownUploads(claim);
  await state.detachUpload(claim);
  await state.forgetDetached(claim, 'one');
  await state.setUpload(claim, { uploadId: 'two', partSizeBytes: 10, sourceVersion, isAnotherPossible: false });
  await state.setCompleting(claim, { size: 20, sha256: null, lengthVerified: true });
  const stored = { size: 20, etag: '"2"', sha256: null, sha256Origin: null, isLengthVerified: true };
  await state.markDone(claim, stored);
}

async function keepToLimits(prisma: PrismaService, quotas: WorkspaceQuotaRepository) {
  await prisma.transaction((transaction) => quotas.countFile(transaction, workspaceId));
  await quotas.allowance(workspaceId);
  await quotas.read(workspaceId);
}

async function endTransfers(state: TransferStateRepository, claimed: Claimed) {
  const failed = await claimed();
  await state.renewRequest(failed.file, { request: {} });
  await state.markFailed(failed.claim, failure);
  await state.reopen(failed.file, { delayMs: LEASE_MS, request: { request: {} } });
  const waiting = await claimed();
  await state.requeue(waiting.claim, { delayMs: LEASE_MS, failure, isCounted: true });
  await state.requestCancel(waiting.file);
  const released = await claimed();
  await state.release(released.claim);
  const cleaned = await claimed();
  await state.releaseCleaned(cleaned.claim);
  const removed = await claimed();
  await state.remove(removed.claim);
}

async function recover(state: TransferStateRepository, claimed: Claimed) {
  await claimed();
  await state.recover();
  await state.recover(); // Nothing is left to be done: what most rounds find.
}

async function removeFiles(
  files: StorageFileRepository,
  state: TransferStateRepository,
  retention: RetentionRepository,
  accept: Accept,
) {
  const deleted = await accept();
  await files.softDelete(deleted);
  await files.restore(deleted);
  await files.softDelete(deleted);
  await state.claimForRemoval(deleted, LEASE_MS);
  const { id } = await accept();
  await files.hardDelete({ workspaceId, id });
  await files.restore({ workspaceId, id }).catch(() => {}); // FILE_PURGED, as the event says.
  const expired = await retention.takeExpired({ retentionDays: 30, leaseMs: LEASE_MS, after: null });
  await retention.takeExpired({ retentionDays: 30, leaseMs: LEASE_MS, after: expired });
  await retention.takeExpired({ retentionDays: 3_650, leaseMs: LEASE_MS, after: null });
  await retention.takeExpired({ retentionDays: 0, leaseMs: LEASE_MS, after: null });
  await retention.forgetRemoved(365, 1_000);
  await retention.forgetRemoved(3_650, 1_000);
  await retention.forgetUsage(31, 1_000);
  await retention.forgetUsage(3_650, 1_000);
}

async function purge(purges: PurgeRepository, state: TransferStateRepository) {
  const entry = await purges.take(LEASE_MS);
  const next = await purges.take(LEASE_MS);
  if (entry === null || next === null) throw new Error('the crowd has entries that are due');
  await purges.findHolder(entry);
  await purges.postpone(entry, { delayMs: LEASE_MS, lastError: null });
  await purges.end(next);
  await purges.note({ bucket: BUCKET, path: 'files/none', fileId: idOf('file', 600), uploadId: 'none' });
  const file = await state.find(idOf('file', 600));
  await state.claimForPurge(
    { fileId: idOf('file', 600), bucket: BUCKET, path: file?.path ?? '', uploadId: null },
    LEASE_MS,
  );
}

async function takeInventory(inventory: InventoryRepository) {
  const first = await inventory.walkRows({ bucket: BUCKET, graceMs: 0 }).next();
  const rows = inventory.walkRows({ bucket: BUCKET, after: 'files/e', graceMs: 0 });
  for (let row = 0; row < 1_200; row += 1) await rows.next();
  for (const number of [0, 301, 5_000]) await inventory.findRow(idOf('file', number), 0);
  await inventory.hasStayed(first.value, 0);
  const upload = { bucket: BUCKET, key: first.value.path, uploadId: 'upload' };
  await inventory.findRowAt({ bucket: BUCKET, path: upload.key }, 0);
  await inventory.isUploadNoted(upload);
  await inventory.findOwnerOfUpload(upload);
  await inventory.isObjectNoted({ ...upload, fileId: first.value.id });
  await inventory.wasRemoved(first.value.id);
}

async function audit(records: RecordRepository) {
  await records.findBuckets();
  await records.findSecrets(['an-access-key']);
  await records.findStrangers();
  await records.findRivals();
  await records.findRisen();
  await records.findOverdueFiles(30, LEASE_MS);
  await records.findOverdueEntries(LEASE_MS);
  await records.isPathUnique();
  await records.isRemovalNoted();
}

async function tellEvents(outbox: EventOutboxRepository) {
  const exceptShares = [{ workspaceId, type: 'storage.file.deleted' }];
  const held = await outbox.take({ leaseMs: LEASE_MS, limit: 50, exceptTypes: ['recording.ready'], exceptShares });
  const [told, failed, ...others] = held;
  if (told === undefined || failed === undefined) throw new Error('the crowd has events that are due');
  await outbox.renew(held, LEASE_MS);
  await outbox.markDispatched([told.id]);
  await outbox.postpone(failed, 'a listener failed');
  await outbox.release(others);
  await outbox.removeDispatched(30, 1_000);
  await outbox.removeDispatched(3_650, 1_000);
}

async function sendWebhooks(subscriptions: WebhookSubscriptionRepository, deliveries: WebhookDeliveryRepository) {
  const id = randomUUID();
  const sealed = Buffer.from('sealed');
  const row = { workspaceId, id, url: 'https://receiver.example/', urlSealed: sealed, secretSealed: sealed };
  await subscriptions.delete({ workspaceId, id: idOf('subscription', 200) });
  await subscriptions.list(workspaceId);
  await subscriptions.create({ ...row, workspaceId: idOf('workspace', 199), eventTypes: [] }).catch(() => {}); // The limit.
  await subscriptions.find({ workspaceId, id: idOf('subscription', 0) });
  for (const isActive of [false, true]) {
    await subscriptions.setActive({ workspaceId, id: idOf('subscription', 0) }, isActive);
  }
  await subscriptions.rotateSecret(
    { workspaceId, id: idOf('subscription', 0) },
    { secretSealed: sealed, urlSealed: sealed },
  );
  const [delivered, failed, released] = await deliveries.take({
    leaseMs: LEASE_MS,
    limit: 16,
    perSubscription: { limit: 4, underWay: new Map([[id, 1]]) },
    perWorkspace: { limit: 8, underWay: new Map([[workspaceId, 1]]) },
  });
  if (delivered === undefined || failed === undefined || released === undefined) throw new Error('none is due');
  await deliveries.markDelivered(delivered, 204);
  await deliveries.postpone(failed, { responseStatus: 500, lastError: 'answered 500', retryAfterMs: 0 });
  await deliveries.release(released);
  const { nextCursor } = await deliveries.list(idOf('subscription', 0), { limit: 100 });
  await deliveries.list(idOf('subscription', 0), { limit: 100, cursor: nextCursor });
  await deliveries.find({ subscriptionId: idOf('subscription', 0), id: idOf('delivery', 2_000) });
  await deliveries.replay({ id: idOf('delivery', 2_000) });
  await deliveries.replay({ eventId: idOf('event', 2_002) });
  await deliveries.removeFinished(30, 1_000);
  await deliveries.removeFinished(3_650, 1_000);
}

async function record(recordings: RecordingRepository, videoFileId: string) {
  const { id } = await recordings.create({ workspaceId, externalVideoUrl: 'https://media.example/journey' });
  await recordings.findById(id);
  await recordings.findInWorkspace({ workspaceId, id });
  await recordings.linkVideo({ workspaceId, id, videoFileId: idOf('file', CROWD - 2) });
  await recordings.update(idOf('recording', 2_000), { videoFileId });
  const { nextCursor } = await recordings.listInWorkspace(workspaceId, { limit: 100 });
  await recordings.listInWorkspace(workspaceId, { limit: 100, cursor: nextCursor });
}
