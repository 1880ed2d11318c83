-- Progress of a transfer, and whether anything but the close of a connection proved the end of its source.
ALTER TABLE "core_storage_file"
    ADD COLUMN "bytes_transferred" BIGINT,
    ADD COLUMN "total_bytes" BIGINT,
    ADD COLUMN "length_verified" BOOLEAN;

-- What a failed clean-up left in a bucket. No foreign key: an entry outlives the row that it came from.
CREATE TABLE "core_storage_purge" (
    "id" UUID NOT NULL DEFAULT gen_random_uuid(),
    "bucket" TEXT NOT NULL,
    "path" TEXT NOT NULL,
    "file_id" UUID NOT NULL,
    "upload_id" TEXT,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "last_error" TEXT,
    -- A worker is at the entry until next_attempt_at. Transfers of other files do not begin at its path meanwhile.
    "removing" BOOLEAN NOT NULL DEFAULT false,
    "next_attempt_at" TIMESTAMPTZ(3) NOT NULL DEFAULT now(),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT now(),

    CONSTRAINT "core_storage_purge_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "core_storage_purge_next_attempt_at_idx" ON "core_storage_purge"("next_attempt_at");
CREATE INDEX "core_storage_purge_bucket_path_idx" ON "core_storage_purge"("bucket", "path");
