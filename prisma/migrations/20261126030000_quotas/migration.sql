-- What a workspace had of a day (UTC), where a quota holds it to a number: files by when they were asked for, bytes by
-- when they were stored.
CREATE TABLE "core_storage_usage" (
    "workspace_id" UUID NOT NULL,
    "day" DATE NOT NULL,
    "files" BIGINT NOT NULL DEFAULT 0,
    "bytes" BIGINT NOT NULL DEFAULT 0,

    CONSTRAINT "core_storage_usage_pkey" PRIMARY KEY ("workspace_id", "day"),
    CONSTRAINT "core_storage_usage_workspace_id_fkey" FOREIGN KEY ("workspace_id") REFERENCES "core_workspace"("id") ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX "core_storage_usage_day_idx" ON "core_storage_usage"("day");

-- Quotas of single workspaces, instead of the configured ones.
CREATE TABLE "core_storage_quota" (
    "workspace_id" UUID NOT NULL,
    "files_per_day" BIGINT,
    "bytes_per_day" BIGINT,

    CONSTRAINT "core_storage_quota_pkey" PRIMARY KEY ("workspace_id"),
    CONSTRAINT "core_storage_quota_workspace_id_fkey" FOREIGN KEY ("workspace_id") REFERENCES "core_workspace"("id") ON DELETE CASCADE ON UPDATE CASCADE
);

-- Transfers that read from a host, where all processes together are held to a number. A place is in use while its file
-- is leased, and for a moment before; that of a process that died is free when the lease has run out.
CREATE TABLE "core_storage_host_place" (
    "file_id" UUID NOT NULL,
    "host" TEXT NOT NULL,
    "owner" UUID NOT NULL,
    "reserved_until" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "core_storage_host_place_pkey" PRIMARY KEY ("file_id"),
    CONSTRAINT "core_storage_host_place_file_id_fkey" FOREIGN KEY ("file_id") REFERENCES "core_storage_file"("id") ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX "core_storage_host_place_host_idx" ON "core_storage_host_place"("host");

-- A function, so that the places are counted after the lock is had, by a statement of its own, and the lock ends with it
-- whatever becomes of the caller. Its result names the owner, and is null when the host is full.
CREATE FUNCTION core_storage_take_host_place(file UUID, source_host TEXT, places INTEGER) RETURNS UUID
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  new_owner UUID := gen_random_uuid();
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('core_storage_host_place ' || source_host, 0));
  DELETE FROM core_storage_host_place AS place
  WHERE place.host = source_host AND place.reserved_until < clock_timestamp() AND NOT EXISTS (
    SELECT FROM core_storage_file AS leased WHERE leased.id = place.file_id AND leased.lease_until > clock_timestamp());
  IF (SELECT count(*) FROM core_storage_host_place AS place WHERE place.host = source_host AND place.file_id <> file) >= places THEN
    RETURN NULL;
  END IF;
  INSERT INTO core_storage_host_place (file_id, host, owner, reserved_until)
  VALUES (file, source_host, new_owner, clock_timestamp() + interval '10 seconds')
  ON CONFLICT (file_id) DO UPDATE
  SET host = EXCLUDED.host, owner = EXCLUDED.owner, reserved_until = EXCLUDED.reserved_until;
  RETURN new_owner;
END $$;
