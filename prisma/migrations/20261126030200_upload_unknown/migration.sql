-- An upload may have been begun whose id nobody kept: its Create was sent, or is about to be. Whoever ends such a row has the
-- store asked for the uploads of its path.
ALTER TABLE "core_storage_file" ADD COLUMN "upload_unknown" BOOLEAN NOT NULL DEFAULT false;

-- Rows that somebody is or was at under the version before.
UPDATE "core_storage_file" SET "upload_unknown" = true
WHERE "attempts" > 0 AND "transfer_status" IN ('PENDING', 'TRANSFERRING');

CREATE OR REPLACE FUNCTION core_storage_file_deleted() RETURNS trigger
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
  RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION core_storage_file_truncated() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  INSERT INTO core_storage_purge (bucket, path, file_id, upload_id)
  SELECT bucket, path, id, upload_id FROM core_storage_file
  WHERE transfer_status <> 'PENDING' OR attempts > 0 OR upload_id IS NOT NULL
  UNION SELECT bucket, path, id, NULL FROM core_storage_file WHERE upload_unknown;
  INSERT INTO core_outbox_event (type, workspace_id, subject_id, payload)
  SELECT 'storage.file.deleted', workspace_id, id, jsonb_build_object('fileId', id, 'workspaceId', workspace_id,
    'type', type, 'path', path, 'bucket', bucket, 'hard', true)
  FROM core_storage_file;
  RETURN NULL;
END $$;
