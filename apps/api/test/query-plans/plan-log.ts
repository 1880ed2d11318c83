import pg from 'pg';

/** A node of PostgreSQL's EXPLAIN (ANALYZE, FORMAT JSON), as far as it is judged. */
interface PlanNode {
  'Node Type': string;
  'Relation Name'?: string;
  'Actual Rows'?: number;
  'Actual Loops'?: number;
  'Rows Removed by Filter'?: number;
  'Rows Removed by Index Recheck'?: number;
  'Rows Removed by Join Filter'?: number;
  Plans?: PlanNode[];
}

export interface ExplainedQuery {
  /** Methods that were under way, `Class.method`, outermost first. */
  readonly methods: readonly string[];
  readonly text: string;
  readonly plan: PlanNode;
}

/** What auto_explain says of every statement, those inside triggers and foreign keys too, before its result comes. */
const EXPLAINED = /^duration: [\d.]+ ms {2}plan:\n(\{[\s\S]*\})$/;

/** For a database's connections to come: the plan of each statement, as it was run, comes as a notice. */
export function explainEverything(database: string): string {
  const name = pg.escapeIdentifier(database);
  const settings = {
    session_preload_libraries: 'auto_explain',
    'auto_explain.log_min_duration': '0',
    'auto_explain.log_nested_statements': 'on',
    'auto_explain.log_analyze': 'on',
    'auto_explain.log_timing': 'off',
    'auto_explain.log_format': 'json',
    'auto_explain.log_level': 'notice',
  };
  const lines = Object.entries(settings).map(([key, value]) => `ALTER DATABASE ${name} SET ${key} = '${value}'`);
  return lines.join('; ');
}

/** Hears the plans of every connection of this process, and knows whose they are: one method after the other. */
export class PlanLog {
  readonly queries: ExplainedQuery[] = [];
  private readonly underWay: string[] = [];
  private readonly emit = pg.Client.prototype.emit;

  constructor() {
    const { emit } = this;
    const hear = (notice: { message?: string }) => this.hear(notice.message ?? '');
    pg.Client.prototype.emit = function (this: pg.Client, event: string | symbol, ...values: unknown[]) {
      if (event === 'notice') hear(values[0] as { message?: string });
      return Reflect.apply(emit, this, [event, ...values]);
    } as typeof emit;
  }

  close(): void {
    pg.Client.prototype.emit = this.emit;
  }

  /** Wraps the methods of an object, its private ones too. */
  watch<Watched extends object>(watched: Watched): Watched {
    for (const name of methodsOf(watched.constructor)) {
      const method = Reflect.get(watched, name) as (...values: unknown[]) => unknown;
      const label = `${watched.constructor.name}.${name}`;
      const run = (...values: unknown[]) => this.run(label, () => Reflect.apply(method, watched, values));
      Object.defineProperty(watched, name, { value: run });
    }
    return watched;
  }

  private run(label: string, call: () => unknown): unknown {
    const result = this.during(label, call);
    return isGenerator(result) ? this.iterate(label, result) : result;
  }

  private during(label: string, call: () => unknown): unknown {
    this.underWay.push(label);
    const result = call();
    const leave = () => this.underWay.splice(this.underWay.lastIndexOf(label), 1);
    if (!(result instanceof Promise)) {
      leave();
      return result;
    }
    return result.finally(leave);
  }

  private async *iterate(label: string, items: AsyncGenerator<unknown>): AsyncGenerator<unknown> {
    for (;;) {
      const { value, done } = (await this.during(label, () => items.next())) as IteratorResult<unknown>;
      if (done === true) return;
      yield value;
    }
  }

  private hear(message: string): void {
    const [, json] = EXPLAINED.exec(message) ?? [];
    if (json === undefined) return;
    const { 'Query Text': text, Plan: plan } = JSON.parse(json) as { 'Query Text': string; Plan: PlanNode };
    this.queries.push({ methods: [...this.underWay], text: text.replace(/\s+/g, ' ').trim(), plan });
  }
}

/** Own methods of a class, private ones too, without its constructor and getters. */
export function methodsOf(ofClass: unknown): string[] {
  const properties = Object.entries(Object.getOwnPropertyDescriptors((ofClass as { prototype: object }).prototype));
  return properties.flatMap(([name, { value }]) =>
    typeof value === 'function' && name !== 'constructor' ? [name] : [],
  );
}

function isGenerator(value: unknown): value is AsyncGenerator<unknown> {
  return value instanceof Object && Symbol.asyncIterator in value;
}

/**
 * What is wrong with a plan: a large table is read without an index, or a node, such as the input of a sort, has more
 * rows than a page, so that it grows with the table.
 */
export function findPlanFaults({ plan }: ExplainedQuery, largeTables: ReadonlySet<string>, pageRows: number): string[] {
  const relation = plan['Relation Name'];
  const isLarge = relation !== undefined && largeTables.has(relation);
  const removed =
    (plan['Rows Removed by Filter'] ?? 0) +
    (plan['Rows Removed by Index Recheck'] ?? 0) +
    (plan['Rows Removed by Join Filter'] ?? 0);
  const rows = Math.round(((plan['Actual Rows'] ?? 0) + removed) * (plan['Actual Loops'] ?? 1));
  const place = relation === undefined ? plan['Node Type'] : `${plan['Node Type']} of ${relation}`;
  return [
    ...(isLarge && plan['Node Type'] === 'Seq Scan' ? [place] : []),
    ...(rows > pageRows ? [`${place}: ${rows} rows`] : []),
    ...(plan.Plans ?? []).flatMap((child) =>
      findPlanFaults({ methods: [], text: '', plan: child }, largeTables, pageRows),
    ),
  ];
}
