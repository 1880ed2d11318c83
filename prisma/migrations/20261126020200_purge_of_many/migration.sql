-- Removed rows are noted once a statement, with all its rows, instead of one by one: a cascade takes thousands of them, and the
-- plan of what was done for each row was made while core_storage_purge was still empty, so that each one cost more.
DROP TRIGGER core_storage_file_deleted ON core_storage_file;

CREATE OR REPLACE FUNCTION core_storage_file_deleted() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  -- Instead of an entry that says the same, which may be about to end: its time begins anew.
  DELETE FROM core_storage_purge AS purge USING removed AS file
  WHERE purge.bucket = file.bucket AND purge.path = file.path AND purge.file_id = file.id
    AND purge.upload_id IS NOT DISTINCT FROM file.upload_id;
  -- A row that nobody ever worked on has sent nothing to the store.
  INSERT INTO core_storage_purge (bucket, path, file_id, upload_id)
  SELECT bucket, path, id, upload_id FROM removed
  WHERE transfer_status <> 'PENDING' OR attempts > 0 OR upload_id IS NOT NULL;
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
  WHERE transfer_status <> 'PENDING' OR attempts > 0 OR upload_id IS NOT NULL;
  INSERT INTO core_outbox_event (type, workspace_id, subject_id, payload)
  SELECT 'storage.file.deleted', workspace_id, id, jsonb_build_object('fileId', id, 'workspaceId', workspace_id,
    'type', type, 'path', path, 'bucket', bucket, 'hard', true)
  FROM core_storage_file;
  RETURN NULL;
END $$;

CREATE TRIGGER core_storage_file_deleted AFTER DELETE ON core_storage_file
    REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION core_storage_file_deleted();

DROP FUNCTION core_storage_note_removed(core_storage_file);
