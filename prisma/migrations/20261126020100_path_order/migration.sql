-- Paths in the order in which stores list keys, by their UTF-8 bytes: reconcile and audit walk rows and bucket side by
-- side, a page at a time, on the unique index. Both columns, because text of two collations cannot be compared.
ALTER TABLE "core_storage_file" ALTER COLUMN "path" TYPE TEXT COLLATE "C";
ALTER TABLE "core_storage_purge" ALTER COLUMN "path" TYPE TEXT COLLATE "C";
