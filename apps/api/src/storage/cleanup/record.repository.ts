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
  column: string;
  pattern: string;
}

/** What was looked at, and what of it is wrong: the first RECORDS_GIVEN. */
interface Looked {
  checked: number;
  faulty: FaultyRecord[];
}

/** What is asked of each `record` of a table. */
interface Look {
  /** How many things were looked at. */
  checked: Prisma.Sql;
  /** Columns at fault: an array, or null. */
  faults: Prisma.Sql;
  /** Whose id is told; that of the record when absent. */
  named?: Prisma.Sql;
}

/** The key of a page's last record. */
type PageEnd = (string | number)[];

interface RecordPage {
  rows: number;
  checked: number;
  last: PageEnd | null;
  faulty: { id: string; columns: string[] }[];
}

interface KeyColumn {
  name: string;
  type: string;
}

/** Records of one look that are given back. */
const RECORDS_GIVEN = 1_000;
/** Records of one statement: however large a table is, each takes the same time. */
const PAGE_RECORDS = 1_000;
const KEY: readonly [KeyColumn] = [{ name: 'id', type: 'uuid' }];
const ATTEMPT_KEY: readonly [KeyColumn, KeyColumn] = [
  { name: 'file_id', type: 'uuid' },
  { name: 'number', type: 'int' },
];

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
  { table: 'core_storage_file', column: 'source_url', pattern: QUERY_OR_USERINFO },
  { table: 'core_storage_file', column: 'transfer_error', pattern: SECRET_PATTERN },
  { table: 'core_storage_file', column: 'request', pattern: SECRET_PATTERN },
  { table: 'core_storage_attempt', column: 'error', pattern: SECRET_PATTERN },
  { table: 'core_storage_purge', column: 'last_error', pattern: SECRET_PATTERN },
  { table: 'core_outbox_event', column: 'payload', pattern: SECRET_PATTERN },
  { table: 'core_outbox_event', column: 'last_error', pattern: SECRET_PATTERN },
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
  async findSecrets(keys: readonly string[]): Promise<Looked> {
    const tables = Map.groupBy([...COLUMNS, ...(await this.findTextsOfWebhooks())], ({ table }) => table);
    const looked: Looked[] = [];
    for (const [table, columns] of tables) {
      const texts = columns.map(({ column, pattern }) => ({
        column,
        pattern,
        text: Prisma.raw(`record."${column}"::text`),
      }));
      const faults = texts.map(({ column, pattern, text }) => {
        const tests = [
          Prisma.sql`${text} ~* ${pattern}`,
          ...keys.map((key) => Prisma.sql`position(${key} IN ${text}) > 0`),
        ];
        return Prisma.sql`CASE WHEN ${Prisma.join(tests, ' OR ')} THEN ${column}::text END`;
      });
      looked.push(
        await this.walk(table, {
          checked: Prisma.sql`num_nonnulls(${Prisma.join(texts.map(({ text }) => text))})`,
          faults: Prisma.sql`array_remove(ARRAY[${Prisma.join(faults)}], NULL)`,
        }),
      );
    }
    return together(looked);
  }

  /** Recordings and events that name a file of another workspace. */
  async findStrangers(): Promise<Looked> {
    const test = (file: string, column: string) => Prisma.sql`
      CASE WHEN (SELECT workspace_id FROM core_storage_file WHERE id = ${Prisma.raw(file)}) <> record.workspace_id
        THEN ARRAY[${column}::text] END`;
    const recordings = await this.walk('core_recording', {
      checked: Prisma.sql`num_nonnulls(record.video_file_id)`,
      faults: test('record.video_file_id', 'video_file_id'),
    });
    const events = await this.walk('core_outbox_event', {
      checked: Prisma.sql`1`,
      faults: test('record.subject_id', 'workspace_id'),
    });
    return together([recordings, events]);
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
  async findRisen(): Promise<Looked> {
    const isHard = Prisma.sql`record.type = 'storage.file.deleted' AND record.payload ->> 'hard' = 'true'`;
    const { checked, faulty } = await this.walk('core_outbox_event', {
      checked: Prisma.sql`CASE WHEN ${isHard} THEN 1 ELSE 0 END`,
      named: Prisma.sql`record.subject_id`,
      faults: Prisma.sql`
        CASE WHEN ${isHard} AND (SELECT true FROM core_storage_file WHERE id = record.subject_id) THEN ARRAY['id'] END`,
    });
    return { checked, faulty: faulty.map(({ id }) => ({ id, table: 'core_storage_file' })) };
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
  async findOverdueEntries(lateMs: number): Promise<Looked> {
    const { checked, faulty } = await this.walk('core_storage_purge', {
      checked: Prisma.sql`1`,
      faults: Prisma.sql`
        CASE WHEN record.next_attempt_at < now() - ${lateMs} * interval '1 millisecond' THEN ARRAY['next_attempt_at'] END`,
    });
    return { checked, faulty: faulty.map(({ id, table }) => ({ id, table })) };
  }

  /** Looks at every record of a table once, a page at a time, in the order of its key. */
  private async walk(table: string, look: Look): Promise<Looked> {
    const looked: Looked[] = [];
    for (let last: PageEnd | null = null; ; ) {
      const page: RecordPage = await this.readPage(table, look, last);
      const faulty = page.faulty.flatMap(({ id, columns }) => columns.map((column) => ({ id, table, column })));
      looked.push({ checked: page.checked, faulty });
      if (looked.length > 1) looked.splice(0, 2, together(looked));
      if (page.rows < PAGE_RECORDS) return together(looked);
      last = page.last;
    }
  }

  private async readPage(table: string, look: Look, last: PageEnd | null): Promise<RecordPage> {
    const columns = table === 'core_storage_attempt' ? ATTEMPT_KEY : KEY;
    const key = Prisma.join(columns.map(({ name }) => Prisma.raw(name)));
    const after = last && columns.map(({ type }, index) => Prisma.sql`${last[index]}::${Prisma.raw(type)}`);
    const isPast = after === null ? Prisma.empty : Prisma.sql`WHERE (${key}) > (${Prisma.join(after)})`;
    const backwards = Prisma.join(columns.map(({ name }) => Prisma.raw(`${name} DESC`)));
    const [page] = await this.prisma.client.$queryRaw<RecordPage[]>`
      WITH page AS (
        SELECT * FROM ${Prisma.raw(table)} ${isPast} ORDER BY ${key} LIMIT ${PAGE_RECORDS}
      ), looked AS (
        SELECT ${look.checked} AS checked, ${look.named ?? Prisma.raw(`record.${columns[0].name}`)} AS id, ${look.faults} AS faults
        FROM page AS record
      )
      SELECT count(*)::int AS rows, coalesce(sum(checked), 0)::float8 AS checked,
        (SELECT jsonb_build_array(${key}) FROM page ORDER BY ${backwards} LIMIT 1) AS last,
        coalesce(jsonb_agg(jsonb_build_object('id', id, 'columns', faults)) FILTER (WHERE cardinality(faults) > 0), '[]') AS faulty
      FROM looked`;
    return page ?? { rows: 0, checked: 0, last: null, faulty: [] };
  }

  private async findTextsOfWebhooks(): Promise<TextColumn[]> {
    const columns = await this.prisma.client.$queryRaw<Pick<TextColumn, 'table' | 'column'>[]>`
      SELECT table_name::text AS "table", column_name::text AS "column" FROM information_schema.columns
      WHERE table_schema = current_schema() AND table_name LIKE 'core\\_webhook%' AND (column_name LIKE '%error%' OR column_name IN ('url', 'payload'))
        AND data_type IN ('text', 'character varying', 'jsonb')
        AND table_name IN (SELECT table_name FROM information_schema.columns WHERE column_name = 'id')
      ORDER BY 1, 2`;
    return columns.map((column) => ({ ...column, pattern: SECRET_PATTERN }));
  }
}

function together(looked: readonly Looked[]): Looked {
  return {
    checked: looked.reduce((sum, { checked }) => sum + checked, 0),
    faulty: looked.flatMap(({ faulty }) => faulty).slice(0, RECORDS_GIVEN),
  };
}
