-- Whatever removes a row, what it may have left in its bucket is written down with it: Prisma, raw SQL, the cascade from
-- core_workspace, TRUNCATE. The purge worker looks there, and once more when requests that were under way had their time.
-- A change of path or bucket is not noted: whoever moves rows moves the objects too, in an order that only he knows, and a
-- purge in between would destroy them. `pnpm storage reconcile` tells of what such a move forgot.
CREATE FUNCTION core_storage_note_removed(file core_storage_file) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  -- A row that nobody ever worked on has sent nothing to the store.
  IF file.transfer_status <> 'PENDING' OR file.attempts > 0 OR file.upload_id IS NOT NULL THEN
    -- Instead of one that says the same, which may be about to end: its time begins anew.
    DELETE FROM core_storage_purge AS purge
    WHERE purge.bucket = file.bucket AND purge.path = file.path AND purge.file_id = file.id
      AND purge.upload_id IS NOT DISTINCT FROM file.upload_id;
    INSERT INTO core_storage_purge (bucket, path, file_id, upload_id)
    VALUES (file.bucket, file.path, file.id, file.upload_id);
  END IF;
  INSERT INTO core_outbox_event (type, workspace_id, subject_id, payload)
  VALUES ('storage.file.deleted', file.workspace_id, file.id, jsonb_build_object(
    'fileId', file.id, 'workspaceId', file.workspace_id, 'type', file.type, 'path', file.path, 'bucket', file.bucket,
    'hard', true));
END $$;

CREATE FUNCTION core_storage_file_deleted() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  PERFORM core_storage_note_removed(OLD);
  RETURN NULL;
END $$;

CREATE FUNCTION core_storage_file_truncated() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  PERFORM core_storage_note_removed(file) FROM core_storage_file AS file;
  RETURN NULL;
END $$;

CREATE TRIGGER core_storage_file_deleted AFTER DELETE ON core_storage_file
    FOR EACH ROW EXECUTE FUNCTION core_storage_file_deleted();
CREATE TRIGGER core_storage_file_truncated BEFORE TRUNCATE ON core_storage_file
    FOR EACH STATEMENT EXECUTE FUNCTION core_storage_file_truncated();
