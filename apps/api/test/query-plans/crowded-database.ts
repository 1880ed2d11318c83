import { createHash } from 'node:crypto';
import type { TestDatabase } from '../support/test-database.js';

/** Rows of each large table. */
export const CROWD = 20_000;

/**
 * Rows as a product has them after a while: nearly all over and done with, few that wait or are under way, one
 * workspace with half of them. Ids tell nothing of their order.
 *
 * Files: 300 PENDING, 100 TRANSFERRING (every fifth abandoned), 600 FAILED, the others DONE; of those the last 6,000 are
 * soft-deleted, some of them longer than 30 days ago. Of 5,000 events, deliveries and purge entries the time has come.
 */
export async function crowd(database: TestDatabase): Promise<void> {
  await database.query(`
    BEGIN;
    INSERT INTO core_workspace (id, name) SELECT md5('workspace' || n)::uuid, 'crowd' FROM generate_series(0, 199) AS n;
    INSERT INTO core_storage_file (id, workspace_id, type, path, bucket, mime_type, size, transfer_status, source_url,
        attempts, lease_token, lease_until, next_attempt_at, transfer_error, error_code, sha256, created_at, updated_at,
        finished_at, deleted_at)
      SELECT md5('file' || n)::uuid, md5('workspace' || CASE WHEN n % 2 = 0 THEN 0 ELSE n % 200 END)::uuid,
        CASE WHEN n % 1000 = 7 THEN 'avatar' ELSE 'recording-video' END,
        'files/' || md5(n::text) || '.mp4', 'bucket', 'video/mp4', 1024, status::"FileTransferStatus",
        'https://media.example/' || n, 1,
        CASE WHEN status = 'TRANSFERRING' THEN gen_random_uuid() END,
        CASE WHEN status = 'TRANSFERRING' THEN now() + CASE WHEN n % 5 = 0 THEN interval '-1 hour' ELSE interval '1 hour' END END,
        CASE WHEN status = 'PENDING' THEN now() + CASE WHEN n % 10 = 0 THEN interval '-1 hour' ELSE interval '1 hour' END END,
        CASE WHEN status = 'FAILED' THEN 'SOURCE_STATUS: the source answered 404' END,
        CASE WHEN status = 'FAILED' THEN 'SOURCE_STATUS' END,
        md5('sha' || n) || md5(n::text), at, at, CASE WHEN status IN ('DONE', 'FAILED') THEN at END,
        CASE WHEN n >= ${CROWD - 6_000} THEN now() AT TIME ZONE 'UTC' - (n % 32) * interval '1 day' - interval '1 hour' END
      FROM (SELECT n, now() AT TIME ZONE 'UTC' - n * interval '1 minute' AS at,
          CASE WHEN n < 300 THEN 'PENDING' WHEN n < 400 THEN 'TRANSFERRING' WHEN n < 1000 THEN 'FAILED' ELSE 'DONE' END AS status
        FROM generate_series(0, ${CROWD - 1}) AS n) AS made;
    INSERT INTO core_storage_attempt (file_id, number, finished_at, outcome, worker)
      SELECT id, 1, finished_at, CASE WHEN finished_at IS NOT NULL THEN transfer_status::text END, 'crowd' FROM core_storage_file;
    INSERT INTO core_storage_part (file_id, number, upload_id, size_bytes, etag, digest)
      SELECT md5('file' || n)::uuid, part, 'upload', 10485760, md5(part::text), 'crc32:' || n
      FROM generate_series(0, 1999) AS n, generate_series(1, 5) AS part;
    INSERT INTO core_outbox_event (id, type, workspace_id, subject_id, payload, created_at, next_attempt_at, dispatched_at)
      SELECT md5('event' || n)::uuid, CASE WHEN n % 50 = 0 THEN 'storage.file.deleted' ELSE 'storage.file.done' END,
        md5('workspace' || CASE WHEN n % 2 = 0 THEN 0 ELSE n % 200 END)::uuid, md5('file' || n)::uuid,
        jsonb_build_object('fileId', md5('file' || n)::uuid, 'hard', false), now() - n * interval '1 minute',
        now() - n * interval '1 minute', CASE WHEN n >= 5000 THEN now() - n * interval '5 minutes' END
      FROM generate_series(0, ${CROWD - 1}) AS n;
    INSERT INTO core_webhook_subscription (id, workspace_id, url, url_sealed, event_types, secret_sealed)
      SELECT md5('subscription' || n)::uuid, md5('workspace' || n % 200)::uuid, 'https://receiver.example/', '\\x00',
        ARRAY['storage.file.done'], '\\x00'
      FROM generate_series(0, 3999) AS n;
    INSERT INTO core_webhook_delivery (id, subscription_id, event_id, event_type, payload, occurred_at, status,
        next_attempt_at, created_at, finished_at)
      SELECT md5('delivery' || n)::uuid, md5('subscription' || CASE WHEN n % 2 = 0 THEN 0 ELSE n % 400 END)::uuid,
        md5('event' || n)::uuid, 'storage.file.done', '{}', now(), status::"WebhookDeliveryStatus",
        now() - n * interval '1 minute', now() - n * interval '1 minute',
        CASE WHEN status <> 'PENDING' THEN now() - n * interval '5 minutes' END
      FROM (SELECT n, CASE WHEN n < 5000 THEN 'PENDING' ELSE 'DELIVERED' END AS status
        FROM generate_series(0, ${CROWD - 1}) AS n) AS made;
    INSERT INTO core_recording (id, workspace_id, external_video_url, video_file_id, created_at)
      SELECT md5('recording' || n)::uuid, workspace_id, 'https://media.example/' || n, id, created_at
      FROM core_storage_file, generate_series(0, ${CROWD - 5_001}) AS n WHERE id = md5('file' || n)::uuid;
    INSERT INTO core_storage_purge (id, bucket, path, file_id, upload_id, next_attempt_at)
      SELECT md5('purge' || n)::uuid, 'bucket', 'gone/' || md5(n::text), md5('gone' || n)::uuid, 'upload' || n,
        now() + (n - 5000) * interval '1 minute'
      FROM generate_series(0, ${CROWD - 1}) AS n;
    INSERT INTO core_storage_tombstone (file_id, workspace_id, removed_at)
      SELECT md5('gone' || n)::uuid, md5('workspace' || n % 200)::uuid, now() - n * interval '1 hour'
      FROM generate_series(0, ${CROWD - 1}) AS n;
    INSERT INTO core_storage_usage (workspace_id, day, files, bytes)
      SELECT md5('workspace' || n % 200)::uuid, (now() AT TIME ZONE 'UTC')::date - n / 200, 10, 10000
      FROM generate_series(0, ${CROWD - 1}) AS n;
    INSERT INTO core_storage_host_place (file_id, host, owner, reserved_until)
      SELECT md5('file' || n)::uuid, 'media' || n || '.example', gen_random_uuid(), now()
      FROM generate_series(0, ${CROWD - 1}) AS n;
    COMMIT;
  `);
  await database.query('VACUUM ANALYZE');
}

/** Tables with more rows than a page of any query has. */
export async function findLargeTables(database: TestDatabase): Promise<Set<string>> {
  const rows = await database.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class WHERE relkind = 'r' AND relname LIKE 'core\\_%' AND reltuples > 3000`,
  );
  return new Set(rows.map(({ name }) => name));
}

/** The id of the crowd's row number so and so, as `md5(...)::uuid` makes it. */
export function idOf(kind: 'workspace' | 'file' | 'event' | 'subscription' | 'delivery' | 'recording', number: number) {
  const hex = createHash('md5').update(`${kind}${number}`).digest('hex');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
