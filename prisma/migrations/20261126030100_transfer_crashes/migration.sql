-- Owners that died in a row without storing more than those before: a file that ends its process each time is given up.
ALTER TABLE "core_storage_file"
    ADD COLUMN "crashes" INTEGER NOT NULL DEFAULT 0,
    ADD COLUMN "crashed_at_bytes" BIGINT NOT NULL DEFAULT 0;
