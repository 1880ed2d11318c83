-- What a transfer needs to be taken up by any process: where its bytes come from (encrypted), what was asked for, how far it is.
CREATE TYPE "ChecksumOrigin" AS ENUM ('SOURCE', 'STORED');

ALTER TABLE "core_storage_file"
    ADD COLUMN "source_sealed" BYTEA,
    ADD COLUMN "request" JSONB,
    ADD COLUMN "created_by" TEXT,
    ADD COLUMN "idempotency_key" TEXT,
    ADD COLUMN "sha256_origin" "ChecksumOrigin",
    ADD COLUMN "upload_attempt" INTEGER,
    ADD COLUMN "part_size_bytes" BIGINT,
    ADD COLUMN "source_version" JSONB,
    ADD COLUMN "retries" INTEGER NOT NULL DEFAULT 0,
    ADD COLUMN "next_attempt_at" TIMESTAMPTZ(3),
    ADD COLUMN "error_code" TEXT,
    ADD COLUMN "cancel_requested_at" TIMESTAMPTZ(3),
    -- Owners that died in a row without storing more than those before: a file that ends its process each time is given up.
    ADD COLUMN "crashes" INTEGER NOT NULL DEFAULT 0,
    ADD COLUMN "crashed_at_bytes" BIGINT NOT NULL DEFAULT 0,
    -- An upload may have been begun whose id nobody kept: its Create was sent, or is about to be. Whoever ends such a row has
    -- the store asked for the uploads of its path.
    ADD COLUMN "upload_unknown" BOOLEAN NOT NULL DEFAULT false,
    -- It was DONE when its removal began: the object at its path is its own, whether it carries a token or not.
    ADD COLUMN "was_done" BOOLEAN NOT NULL DEFAULT false;

UPDATE "core_storage_file" SET "sha256_origin" = 'SOURCE' WHERE "sha256" IS NOT NULL;
-- Rows that somebody is or was at under the version before.
UPDATE "core_storage_file" SET "upload_unknown" = true
WHERE "attempts" > 0 AND "transfer_status" IN ('PENDING', 'TRANSFERRING');
-- `CODE: sentence`, as errors are written.
UPDATE "core_storage_file" SET "error_code" = substring("transfer_error" FROM '^([A-Z][A-Z0-9_]+): ')
WHERE "transfer_error" IS NOT NULL;

CREATE UNIQUE INDEX "core_storage_file_workspace_id_idempotency_key_key" ON "core_storage_file"("workspace_id", "idempotency_key");
CREATE INDEX "core_storage_file_transfer_status_lease_until_idx" ON "core_storage_file"("transfer_status", "lease_until");
CREATE INDEX "core_storage_file_deleted_at_idx" ON "core_storage_file"("deleted_at");

-- Parts that the store took of uploads under way.
CREATE TABLE "core_storage_part" (
    "file_id" UUID NOT NULL,
    "number" INTEGER NOT NULL,
    "upload_id" TEXT NOT NULL,
    "size_bytes" BIGINT NOT NULL,
    "etag" TEXT NOT NULL,
    "digest" TEXT NOT NULL,

    CONSTRAINT "core_storage_part_pkey" PRIMARY KEY ("file_id", "number"),
    CONSTRAINT "core_storage_part_file_id_fkey" FOREIGN KEY ("file_id") REFERENCES "core_storage_file"("id") ON DELETE CASCADE ON UPDATE CASCADE
);

-- Tries of transfers.
CREATE TABLE "core_storage_attempt" (
    "file_id" UUID NOT NULL,
    "number" INTEGER NOT NULL,
    "started_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "finished_at" TIMESTAMPTZ(3),
    "outcome" TEXT,
    "error_code" TEXT,
    "error" TEXT,
    "worker" TEXT NOT NULL,
    "resumed_from_bytes" BIGINT NOT NULL DEFAULT 0,

    CONSTRAINT "core_storage_attempt_pkey" PRIMARY KEY ("file_id", "number"),
    CONSTRAINT "core_storage_attempt_file_id_fkey" FOREIGN KEY ("file_id") REFERENCES "core_storage_file"("id") ON DELETE CASCADE ON UPDATE CASCADE
);

-- What happened and has to be told. No foreign keys: an event outlives what it tells of.
CREATE TABLE "core_outbox_event" (
    "id" UUID NOT NULL DEFAULT gen_random_uuid(),
    "type" TEXT NOT NULL,
    "workspace_id" UUID NOT NULL,
    "subject_id" UUID NOT NULL,
    "payload" JSONB NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "last_error" TEXT,
    "next_attempt_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "dispatched_at" TIMESTAMPTZ(3),

    CONSTRAINT "core_outbox_event_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "core_outbox_event_dispatched_at_next_attempt_at_idx" ON "core_outbox_event"("dispatched_at", "next_attempt_at");
CREATE INDEX "core_outbox_event_subject_id_idx" ON "core_outbox_event"("subject_id");
