-- The guide's StorageFile to the letter, with its minimal neighbours.
CREATE TYPE "FileTransferStatus" AS ENUM ('PENDING', 'TRANSFERRING', 'DONE', 'FAILED');

CREATE TABLE "core_workspace" (
    "id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "created_at" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "core_workspace_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "core_storage_file" (
    "id" UUID NOT NULL,
    "workspace_id" UUID NOT NULL,
    "type" TEXT NOT NULL,
    "path" TEXT NOT NULL,
    "bucket" TEXT NOT NULL,
    "mime_type" TEXT,
    "size" BIGINT,
    "transfer_status" "FileTransferStatus" NOT NULL DEFAULT 'PENDING',
    "transfer_error" TEXT,
    "created_at" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "deleted_at" TIMESTAMP(3),

    CONSTRAINT "core_storage_file_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "core_recording" (
    "id" UUID NOT NULL,
    "workspace_id" UUID NOT NULL,
    "title" TEXT,
    "external_video_url" TEXT NOT NULL,
    "video_file_id" UUID,
    "created_at" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "core_recording_pkey" PRIMARY KEY ("id")
);

CREATE UNIQUE INDEX "core_recording_video_file_id_key" ON "core_recording"("video_file_id");
CREATE INDEX "core_recording_workspace_id_created_at_id_idx" ON "core_recording"("workspace_id", "created_at" DESC, "id" DESC);

ALTER TABLE "core_storage_file" ADD CONSTRAINT "core_storage_file_workspace_id_fkey" FOREIGN KEY ("workspace_id") REFERENCES "core_workspace"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "core_recording" ADD CONSTRAINT "core_recording_workspace_id_fkey" FOREIGN KEY ("workspace_id") REFERENCES "core_workspace"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "core_recording" ADD CONSTRAINT "core_recording_video_file_id_fkey" FOREIGN KEY ("video_file_id") REFERENCES "core_storage_file"("id") ON DELETE SET NULL ON UPDATE CASCADE;
