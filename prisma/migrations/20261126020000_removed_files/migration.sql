-- That a file was removed for good is known for longer than its event is kept: two ids and a date, some 100 bytes a file.
CREATE TABLE "core_storage_tombstone" (
    "file_id" UUID NOT NULL,
    "workspace_id" UUID NOT NULL,
    "removed_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "core_storage_tombstone_pkey" PRIMARY KEY ("file_id")
);
CREATE INDEX "core_storage_tombstone_removed_at_idx" ON "core_storage_tombstone"("removed_at");

-- Whatever removes a row, what it may have left in its bucket is written down with it: Prisma, raw SQL, the cascade from
-- core_workspace, TRUNCATE. The purge worker looks there, and once more when requests that were under way had their time.
-- A change of path or bucket is not noted: whoever moves rows moves the objects too, in an order that only he knows, and a
-- purge in between would destroy them. `pnpm storage reconcile` tells of what such a move forgot.
-- It is done once a statement, with all its rows, because a cascade takes thousands of them.
CREATE FUNCTION core_storage_file_deleted() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  -- Instead of an entry that says the same, which may be about to end: its time begins anew.
  DELETE FROM core_storage_purge AS purge USING removed AS file
  WHERE purge.bucket = file.bucket AND purge.path = file.path AND purge.file_id = file.id
    AND (purge.upload_id IS NOT DISTINCT FROM file.upload_id OR purge.upload_id IS NULL AND file.upload_unknown);
  -- A row that nobody ever worked on has sent nothing to the store.
  INSERT INTO core_storage_purge (bucket, path, file_id, upload_id)
  SELECT bucket, path, id, upload_id FROM removed
  WHERE transfer_status <> 'PENDING' OR attempts > 0 OR upload_id IS NOT NULL
  UNION SELECT bucket, path, id, NULL FROM removed WHERE upload_unknown;
  INSERT INTO core_outbox_event (type, workspace_id, subject_id, payload)
  SELECT 'storage.file.deleted', workspace_id, id, jsonb_build_object('fileId', id, 'workspaceId', workspace_id,
    'type', type, 'path', path, 'bucket', bucket, 'hard', true)
  FROM removed;
  INSERT INTO core_storage_tombstone (file_id, workspace_id) SELECT id, workspace_id FROM removed ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;

CREATE FUNCTION core_storage_file_truncated() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  DELETE FROM core_storage_file;
  RETURN NULL;
END $$;

CREATE TRIGGER core_storage_file_deleted AFTER DELETE ON core_storage_file
    REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION core_storage_file_deleted();
CREATE TRIGGER core_storage_file_truncated BEFORE TRUNCATE ON core_storage_file
    FOR EACH STATEMENT EXECUTE FUNCTION core_storage_file_truncated();
