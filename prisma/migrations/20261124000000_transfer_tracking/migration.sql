-- One path, one row: tables made from the guide's model alone may hold a path twice. Which of the two rows is right
-- only their owner knows, so this stops before any change and names the query that finds them.
DO $$
DECLARE taken TEXT;
BEGIN
  SELECT string_agg(format('%s/%s', bucket, path), ', ') INTO taken
  FROM (SELECT bucket, path FROM "core_storage_file" GROUP BY bucket, path HAVING count(*) > 1 ORDER BY 1, 2 LIMIT 5) AS twice;
  IF taken IS NOT NULL THEN
    RAISE EXCEPTION 'core_storage_file holds a path more than once (%). Keep one row of each: SELECT bucket, path, array_agg(id) FROM core_storage_file GROUP BY 1, 2 HAVING count(*) > 1', taken;
  END IF;
END $$;

ALTER TABLE "core_storage_file"
    ADD COLUMN "source_url" TEXT,
    ADD COLUMN "etag" TEXT,
    ADD COLUMN "sha256" TEXT,
    ADD COLUMN "attempts" INTEGER NOT NULL DEFAULT 0,
    ADD COLUMN "lease_token" UUID,
    ADD COLUMN "lease_until" TIMESTAMPTZ(3),
    ADD COLUMN "upload_id" TEXT,
    ADD COLUMN "completing" BOOLEAN NOT NULL DEFAULT false,
    ADD COLUMN "updated_at" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    ADD COLUMN "finished_at" TIMESTAMP(3);

CREATE UNIQUE INDEX "core_storage_file_bucket_path_key" ON "core_storage_file"("bucket", "path");
CREATE INDEX "core_storage_file_workspace_id_created_at_id_idx" ON "core_storage_file"("workspace_id", "created_at" DESC, "id" DESC);
