import { Injectable } from '@nestjs/common';
import { Prisma } from '../../generated/prisma/client.js';
import { PrismaService } from '../../prisma/prisma.service.js';
import { NOW } from '../transfer/transfer-state.repository.js';

/** A record in which something is wrong. Of a secret the place is told, never the text. */
export interface FaultyRecord {
  id: string;
  table: string;
  column?: string;
}

interface TextColumn {
  table: string;
  id: string;
  column: string;
  pattern: string;
}

/** Records of one look that are given back. */
const RECORDS_GIVEN = 1_000;

/** Cut out of texts by http/redact-secrets.ts. */
const REDACTED = '(?!\\[redacted\\])';

/** PostgreSQL's own regular expressions, case-insensitive. */
const SECRET_PATTERN = [
  `https?://[^\\s"<>]*[?#]${REDACTED}[^\\s"<>]`,
  `://${REDACTED}[^\\s/?#"<>]+@`,
  `(x-(amz|goog)-(signature|credential|security-token)|awsaccesskeyid)=${REDACTED}`,
  `\\m(bearer|basic)\\s+${REDACTED}[a-z0-9+/._~=-]{20,}`,
  '\\m(akia|asia)[0-9a-z]{16}\\M',
].join('|');
/** Of a source nothing is kept that could hold one. */
const QUERY_OR_USERINFO = '[?#]|://[^/]*@';

const COLUMNS: readonly TextColumn[] = [
  { table: 'core_storage_file', id: 'id', column: 'source_url', pattern: QUERY_OR_USERINFO },
  { table: 'core_storage_file', id: 'id', column: 'transfer_error', pattern: SECRET_PATTERN },
  { table: 'core_storage_file', id: 'id', column: 'request', pattern: SECRET_PATTERN },
  { table: 'core_storage_attempt', id: 'file_id', column: 'error', pattern: SECRET_PATTERN },
  { table: 'core_storage_purge', id: 'id', column: 'last_error', pattern: SECRET_PATTERN },
  { table: 'core_outbox_event', id: 'id', column: 'payload', pattern: SECRET_PATTERN },
  { table: 'core_outbox_event', id: 'id', column: 'last_error', pattern: SECRET_PATTERN },
];

/** Looks at records for themselves, without the bucket. Changes nothing. */
@Injectable()
export class RecordRepository {
  constructor(private readonly prisma: PrismaService) {}

  /** Buckets that rows name. */
  async findBuckets(): Promise<string[]> {
    // One look at the index a bucket, instead of one a row.
    const rows = await this.prisma.client.$queryRaw<{ bucket: string }[]>`
      WITH RECURSIVE named AS (
        (SELECT bucket FROM core_storage_file ORDER BY bucket LIMIT 1)
        UNION ALL
        SELECT (SELECT bucket FROM core_storage_file WHERE bucket > named.bucket ORDER BY bucket LIMIT 1)
        FROM named WHERE named.bucket IS NOT NULL
      )
      SELECT bucket FROM named WHERE bucket IS NOT NULL`;
    return rows.map(({ bucket }) => bucket);
  }

  /** Rows that users can read, with texts that hold secrets: `keys` are those of this process. */
  async findSecrets(keys: readonly string[]): Promise<{ checked: number; faulty: FaultyRecord[] }> {
    const faulty: FaultyRecord[] = [];
    let checked = 0;
    for (const { table, id, column, pattern } of [...COLUMNS, ...(await this.findTextsOfWebhooks())]) {
      const [from, name, text] = [table, id, column].map((word) => Prisma.raw(`"${word}"`));
      const [total] = await this.prisma.client.$queryRaw<{ count: number }[]>`
        SELECT count(${text})::float8 AS count FROM ${from}`;
      const found = await this.prisma.client.$queryRaw<{ id: string }[]>`
        SELECT ${name}::text AS id FROM ${from}
        WHERE ${text}::text ~* ${pattern}
          OR EXISTS (SELECT FROM unnest(${[...keys]}::text[]) AS key WHERE position(key IN ${text}::text) > 0)
        LIMIT ${RECORDS_GIVEN}`;
      checked += total?.count ?? 0;
      faulty.push(...found.map((record) => ({ id: record.id, table, column })));
    }
    return { checked, faulty };
  }

  /** Recordings and events that name a file of another workspace. */
  async findStrangers(): Promise<{ checked: number; faulty: FaultyRecord[] }> {
    const [total] = await this.prisma.client.$queryRaw<{ count: number }[]>`
      SELECT ((SELECT count(video_file_id) FROM core_recording) + (SELECT count(*) FROM core_outbox_event))::float8 AS count`;
    const faulty = await this.prisma.client.$queryRaw<FaultyRecord[]>`
      SELECT recording.id, 'core_recording' AS "table", 'video_file_id' AS "column" FROM core_recording AS recording
      JOIN core_storage_file AS file ON file.id = recording.video_file_id
      WHERE file.workspace_id <> recording.workspace_id
      UNION ALL
      SELECT event.id, 'core_outbox_event', 'workspace_id' FROM core_outbox_event AS event
      JOIN core_storage_file AS file ON file.id = event.subject_id
      WHERE file.workspace_id <> event.workspace_id
      LIMIT ${RECORDS_GIVEN}`;
    return { checked: total?.count ?? 0, faulty };
  }

  /** Files with more than one try that is not over. */
  async findRivals(): Promise<FaultyRecord[]> {
    return await this.prisma.client.$queryRaw<FaultyRecord[]>`
      SELECT file_id AS id, 'core_storage_attempt' AS "table" FROM core_storage_attempt
      WHERE finished_at IS NULL GROUP BY file_id HAVING count(*) > 1 LIMIT ${RECORDS_GIVEN}`;
  }

  /** Whether the database itself keeps a path from having two rows. */
  async isPathUnique(): Promise<boolean> {
    const [found] = await this.prisma.client.$queryRaw<{ isUnique: boolean }[]>`
      SELECT EXISTS (
        SELECT FROM pg_index
        WHERE indrelid = 'core_storage_file'::regclass AND indisunique AND indisvalid AND indpred IS NULL
          AND (SELECT array_agg(attname::text ORDER BY attname) FROM pg_attribute
            WHERE attrelid = indrelid AND attnum = ANY (indkey)) = ARRAY['bucket', 'path']
      ) AS "isUnique"`;
    return found?.isUnique === true;
  }

  /** Whether everything that removes rows is noted by the database itself. */
  async isRemovalNoted(): Promise<boolean> {
    const [found] = await this.prisma.client.$queryRaw<{ count: number }[]>`
      SELECT count(*)::int AS count FROM pg_trigger
      WHERE tgrelid = 'core_storage_file'::regclass AND tgenabled IN ('O', 'A')
        AND tgname IN ('core_storage_file_deleted', 'core_storage_file_truncated')`;
    return found?.count === 2;
  }

  /** Rows that are there although an event says that they were deleted for good. */
  async findRisen(): Promise<{ checked: number; faulty: FaultyRecord[] }> {
    const [total] = await this.prisma.client.$queryRaw<{ count: number }[]>`
      SELECT count(*)::float8 AS count FROM core_outbox_event
      WHERE type = 'storage.file.deleted' AND payload ->> 'hard' = 'true'`;
    const faulty = await this.prisma.client.$queryRaw<FaultyRecord[]>`
      SELECT file.id, 'core_storage_file' AS "table" FROM core_outbox_event AS event
      JOIN core_storage_file AS file ON file.id = event.subject_id
      WHERE event.type = 'storage.file.deleted' AND event.payload ->> 'hard' = 'true' LIMIT ${RECORDS_GIVEN}`;
    return { checked: total?.count ?? 0, faulty };
  }

  /** Deleted files whose time was up `lateMs` ago; none when `retentionDays` is 0. */
  async findOverdueFiles(retentionDays: number, lateMs: number): Promise<FaultyRecord[]> {
    if (retentionDays === 0) return [];
    return await this.prisma.client.$queryRaw<FaultyRecord[]>`
      SELECT id, 'core_storage_file' AS "table" FROM core_storage_file
      WHERE deleted_at < ${NOW} - ${retentionDays} * interval '1 day' - ${lateMs} * interval '1 millisecond'
      LIMIT ${RECORDS_GIVEN}`;
  }

  /** Purge entries that have been due for longer than `lateMs`: no worker runs, or it does not keep up. */
  async findOverdueEntries(lateMs: number): Promise<{ checked: number; faulty: FaultyRecord[] }> {
    const checked = await this.prisma.client.storagePurge.count();
    const faulty = await this.prisma.client.$queryRaw<FaultyRecord[]>`
      SELECT id, 'core_storage_purge' AS "table" FROM core_storage_purge
      WHERE next_attempt_at < now() - ${lateMs} * interval '1 millisecond' LIMIT ${RECORDS_GIVEN}`;
    return { checked, faulty };
  }

  private async findTextsOfWebhooks(): Promise<TextColumn[]> {
    const columns = await this.prisma.client.$queryRaw<Pick<TextColumn, 'table' | 'column'>[]>`
      SELECT table_name::text AS "table", column_name::text AS "column" FROM information_schema.columns
      WHERE table_schema = current_schema() AND table_name LIKE 'core\\_webhook%' AND (column_name LIKE '%error%' OR column_name IN ('url', 'payload'))
        AND data_type IN ('text', 'character varying', 'jsonb')
        AND table_name IN (SELECT table_name FROM information_schema.columns WHERE column_name = 'id')
      ORDER BY 1, 2`;
    return columns.map((column) => ({ ...column, id: 'id', pattern: SECRET_PATTERN }));
  }
}
