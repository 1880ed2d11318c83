import { PrismaPg } from '@prisma/adapter-pg';
import {
  ColumnTypeEnum,
  DriverAdapterError,
  type SqlDriverAdapter,
  type SqlMigrationAwareDriverAdapterFactory,
  type SqlQuery,
  type SqlResultSet,
} from '@prisma/driver-adapter-utils';
import { DatabaseError, type Pool, type QueryArrayConfig, type QueryArrayResult } from 'pg';

/** PostgreSQL's internal one-byte type "char" (pg_type.dat), in which its catalogue keeps kinds and actions. */
const CHAR_TYPE_OID = 18;
const TEXT_TYPE_OID = 25;

/**
 * Lets the schema engine speak through `pool`. It is Prisma's own adapter with three differences that migrations need:
 * - a script goes to the server whole, in one message, and so either all of it happens or nothing. Prisma's adapter cuts it
 *   at every semicolon, also inside functions, strings and comments (7.10);
 * - columns of the type "char" are read, without which no existing constraint can be described (7.10);
 * - the shadow database is the one that `pool` is connected to, not a new one for each use.
 *
 * The pool stays the caller's: the engine does not end it. `onScriptError` gets PostgreSQL's own words when a script fails;
 * the engine would translate them to a shorter text.
 */
export function engineAdapterFactory(
  pool: Pool,
  onScriptError: (message: string) => void,
): SqlMigrationAwareDriverAdapterFactory {
  const charColumns = tellCharColumnsAsText(pool);
  const prisma = new PrismaPg(pool);
  const connect = async () => new ScriptingAdapter(pool, await prisma.connect(), charColumns, onScriptError);
  return { provider: prisma.provider, adapterName: prisma.adapterName, connect, connectToShadowDb: connect };
}

/** For each list of rows: which of its columns have the type "char". */
type CharColumns = WeakMap<SqlResultSet['rows'], readonly number[]>;

function tellCharColumnsAsText(pool: Pool): CharColumns {
  const charColumns: CharColumns = new WeakMap();
  const query: (config: QueryArrayConfig) => Promise<QueryArrayResult<unknown[]>> = pool.query.bind(pool);
  const queryWithCharAsText = async (config: QueryArrayConfig) => {
    const result = await query(config);
    const found: number[] = [];
    for (const [index, field] of (result.fields ?? []).entries()) {
      if (field.dataTypeID !== CHAR_TYPE_OID) continue;
      field.dataTypeID = TEXT_TYPE_OID;
      found.push(index);
    }
    if (found.length > 0) charColumns.set(result.rows, found);
    return result;
  };
  pool.query = queryWithCharAsText as Pool['query'];
  return charColumns;
}

class ScriptingAdapter implements SqlDriverAdapter {
  readonly provider;
  readonly adapterName;

  constructor(
    private readonly pool: Pool,
    private readonly inner: SqlDriverAdapter,
    private readonly charColumns: CharColumns,
    private readonly onScriptError: (message: string) => void,
  ) {
    this.provider = inner.provider;
    this.adapterName = inner.adapterName;
  }

  async queryRaw(query: SqlQuery): Promise<SqlResultSet> {
    const result = await this.inner.queryRaw(query);
    for (const index of this.charColumns.get(result.rows) ?? []) result.columnTypes[index] = ColumnTypeEnum.Character;
    return result;
  }

  executeRaw(query: SqlQuery): Promise<number> {
    return this.inner.executeRaw(query);
  }

  async executeScript(script: string): Promise<void> {
    try {
      await this.pool.query(script);
    } catch (error) {
      this.onScriptError(describe(error, script));
      if (!(error instanceof DatabaseError)) throw error;
      throw new DriverAdapterError({
        kind: 'postgres',
        originalCode: error.code,
        originalMessage: error.message,
        code: error.code ?? '',
        severity: error.severity ?? 'ERROR',
        message: error.message,
        detail: error.detail,
        column: error.column,
        hint: error.hint,
      });
    }
  }

  startTransaction(...args: Parameters<SqlDriverAdapter['startTransaction']>) {
    return this.inner.startTransaction(...args);
  }

  getConnectionInfo() {
    return this.inner.getConnectionInfo?.() ?? { supportsRelationJoins: true };
  }

  dispose(): Promise<void> {
    return this.inner.dispose();
  }
}

/** PostgreSQL's message with its SQLSTATE and, when the server points at a place, the line of the script. */
function describe(error: unknown, script: string): string {
  if (!(error instanceof DatabaseError)) return error instanceof Error ? error.message : String(error);
  const line = error.position ? `, line ${script.slice(0, Number(error.position)).split('\n').length}` : '';
  const detail = error.detail ? `; ${error.detail}` : '';
  return `${error.message} (SQLSTATE ${error.code}${line})${detail}`;
}
