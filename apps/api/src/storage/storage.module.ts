import { Module } from '@nestjs/common';
import { EnvironmentModule } from '../config/env.module.js';
import { PrismaModule } from '../prisma/prisma.module.js';
import { BucketAudit } from './cleanup/bucket-audit.js';
import { BucketWalk } from './cleanup/bucket-walk.js';
import { FileRemoval } from './cleanup/file-removal.js';
import { FindingRepair } from './cleanup/finding-repair.js';
import { InvariantAudit } from './cleanup/invariants.js';
import { InventoryRepository } from './cleanup/inventory.repository.js';
import { LeftOverRemoval } from './cleanup/left-over-removal.js';
import { PurgeRepository } from './cleanup/purge.repository.js';
import { PurgeWorker } from './cleanup/purge-worker.js';
import { Reconciliation } from './cleanup/reconciliation.js';
import { RecordRepository } from './cleanup/record.repository.js';
import { RetentionRepository } from './cleanup/retention.repository.js';
import { RetentionSweep } from './cleanup/retention-sweep.js';
import { FileDeletion } from './file-deletion.js';
import { FileLinks } from './file-links.js';
import { FileTransferService } from './file-transfer.service.js';
import { BucketSettings } from './s3/bucket-settings.js';
import { Presigner } from './s3/presigner.js';
import { S3Clients } from './s3/s3-clients.js';
import { StoreCapabilities } from './s3/store-capabilities.js';
import { StoreDoctor } from './s3/store-doctor.js';
import { StoreRetry } from './s3/store-retry.js';
import { S3Service } from './s3.service.js';
import { HostLookupModule } from './source/host-lookup.module.js';
import { SourceReader } from './source/source-reader.js';
import { storageOptionsProvider } from './storage.options.js';
import { StorageFileRepository } from './storage-file.repository.js';
import { HostPlaceRepository } from './transfer/host-place.repository.js';
import { ReadBack } from './transfer/read-back.js';
import { RetryPolicy } from './transfer/retry-policy.js';
import { RunningTransfers } from './transfer/running-transfers.js';
import { SourceOpener } from './transfer/source-opener.js';
import { SourceVault } from './transfer/source-vault.js';
import { TakeUp } from './transfer/take-up.js';
import { TransferControl } from './transfer/transfer-control.js';
import { TransferIntake } from './transfer/transfer-intake.js';
import { TransferQueue } from './transfer/transfer-queue.js';
import { TransferRunner } from './transfer/transfer-runner.js';
import { TransferStateRepository } from './transfer/transfer-state.repository.js';
import { TransferWorker } from './transfer/transfer-worker.js';
import { WorkspaceQuotaRepository } from './transfer/workspace-quota.repository.js';
import { BucketReader } from './upload/bucket-reader.js';
import { LeftOvers } from './upload/left-overs.js';
import { ObjectCleaner } from './upload/object-cleaner.js';
import { ObjectCompletion } from './upload/object-completion.js';
import { ObjectProof } from './upload/object-proof.js';
import { ObjectUploader } from './upload/object-uploader.js';
import { PartBufferPool } from './upload/part-buffer-pool.js';
import { PartSender } from './upload/part-sender.js';
import { StoredObjectReader } from './upload/stored-object-reader.js';
import { StreamUploader } from './upload/stream-uploader.js';
import { UploadOutcome } from './upload/upload-outcome.js';

/**
 * Files in an S3-compatible bucket, tracked in PostgreSQL. Import it only where S3_ENDPOINT is set.
 *
 * FileTransferService   a URL into the bucket, a presigned URL out of it: what features call
 * S3Service             the bucket alone: streams, presigned URLs, delete, head
 * StorageFileRepository rows of StorageFile, always within one workspace
 */
@Module({
  imports: [EnvironmentModule, PrismaModule, HostLookupModule],
  providers: [
    storageOptionsProvider,
    S3Clients,
    StoreRetry,
    StoreCapabilities,
    BucketSettings,
    StoreDoctor,
    Presigner,
    FileLinks,
    PartBufferPool,
    ObjectProof,
    ObjectCleaner,
    ObjectCompletion,
    PartSender,
    UploadOutcome,
    ObjectUploader,
    StoredObjectReader,
    LeftOvers,
    StreamUploader,
    SourceReader,
    TransferStateRepository,
    TransferQueue,
    HostPlaceRepository,
    WorkspaceQuotaRepository,
    TransferRunner,
    RetryPolicy,
    TakeUp,
    ReadBack,
    RunningTransfers,
    TransferWorker,
    TransferControl,
    SourceVault,
    SourceOpener,
    TransferIntake,
    FileRemoval,
    FileDeletion,
    PurgeRepository,
    LeftOverRemoval,
    RetentionRepository,
    RetentionSweep,
    PurgeWorker,
    BucketReader,
    InventoryRepository,
    BucketWalk,
    BucketAudit,
    Reconciliation,
    FindingRepair,
    RecordRepository,
    InvariantAudit,
    S3Service,
    FileTransferService,
    StorageFileRepository,
  ],
  exports: [S3Service, FileTransferService, StorageFileRepository],
})
export class StorageModule {}
