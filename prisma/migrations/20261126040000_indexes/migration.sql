-- So that no statement reads more rows because there are more of them (test/query-plans.e2e-spec.ts).

-- A workspace's files of one status or type, newest first.
CREATE INDEX "core_storage_file_workspace_id_transfer_status_created_at_i_idx" ON "core_storage_file"("workspace_id", "transfer_status", "created_at" DESC, "id" DESC);
CREATE INDEX "core_storage_file_workspace_id_type_created_at_id_idx" ON "core_storage_file"("workspace_id", "type", "created_at" DESC, "id" DESC);

-- Only the few rows that are not over, and without `lease_until`: what renews a lease changes no index any more.
DROP INDEX "core_storage_file_transfer_status_lease_until_idx";
CREATE INDEX "core_storage_file_waiting_idx" ON "core_storage_file"("transfer_status", "id")
    WHERE "transfer_status" IN ('PENDING', 'TRANSFERRING');

-- Deleted rows whose transfer is still to be ended: hardly ever one.
CREATE INDEX "core_storage_file_ending_idx" ON "core_storage_file"("id")
    WHERE "deleted_at" IS NOT NULL AND "transfer_status" IN ('PENDING', 'TRANSFERRING');

-- Only deleted rows; those whose removal has begun by themselves, because they are due whenever they were deleted.
DROP INDEX "core_storage_file_deleted_at_idx";
CREATE INDEX "core_storage_file_deleted_idx" ON "core_storage_file"("deleted_at", "id") WHERE "deleted_at" IS NOT NULL;
CREATE INDEX "core_storage_file_removal_idx" ON "core_storage_file"("deleted_at", "id")
    WHERE "deleted_at" IS NOT NULL AND "error_code" = 'FILE_DELETED';

-- Tries that are not over.
CREATE INDEX "core_storage_attempt_running_idx" ON "core_storage_attempt"("file_id") WHERE "finished_at" IS NULL;

CREATE INDEX "core_storage_purge_file_id_idx" ON "core_storage_purge"("file_id");

-- "IS NULL" in front gives an index no order for what stands behind it, so that all that was due had to be sorted.
DROP INDEX "core_outbox_event_given_up_at_dispatched_at_next_attempt_at_idx";
CREATE INDEX "core_outbox_event_due_idx" ON "core_outbox_event"("next_attempt_at")
    WHERE "given_up_at" IS NULL AND "dispatched_at" IS NULL;
CREATE INDEX "core_outbox_event_dispatched_idx" ON "core_outbox_event"("dispatched_at")
    WHERE "given_up_at" IS NULL AND "dispatched_at" IS NOT NULL;

-- The first few of each subscription, however many wait for one receiver.
DROP INDEX "core_webhook_delivery_status_next_attempt_at_idx";
CREATE INDEX "core_webhook_delivery_due_idx" ON "core_webhook_delivery"("subscription_id", "next_attempt_at")
    WHERE "status" = 'PENDING';
