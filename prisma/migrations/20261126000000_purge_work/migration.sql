-- A worker is at the entry until next_attempt_at. Transfers of other files do not begin at its path meanwhile.
ALTER TABLE "core_storage_purge" ADD COLUMN "removing" BOOLEAN NOT NULL DEFAULT false;
CREATE INDEX "core_storage_purge_bucket_path_idx" ON "core_storage_purge"("bucket", "path");
