import { ALL_CASES, type CaseResult } from '@s3-transfer/s3-contract';
import type { StoreFacts } from './store-facts.js';

export interface MeasuredStore {
  readonly title: string;
  readonly results: readonly CaseResult[];
}

/** What the product does about a kind of shortfall. */
export interface Advice {
  /** Goes on after "The product". */
  readonly product: string;
  /** Ids of the cases. */
  readonly cases: readonly string[];
}

export interface CompatibilityPage {
  /** For example 2026-11-24. */
  readonly date: string;
  readonly measured: readonly MeasuredStore[];
  readonly facts: readonly StoreFacts[];
  /** A shortfall that stands in none is of no consequence to the product. */
  readonly advice: readonly Advice[];
}

const WORDS = { ok: 'ok', short: '**short**', skipped: 'not run' } as const;

/** docs/compatibility.md, whole. */
export function formatCompatibilityPage({ date, measured, facts, advice }: CompatibilityPage): string {
  return [
    '# Compatibility',
    '`pnpm test:external --write` writes this page: it starts each server and runs the cases of `packages/s3-contract`, ' +
      "and the module's own transfer tests, against it. Do not edit it by hand.",
    `Measured on ${date}, on one machine over loopback.`,
    formatTotals(measured),
    "The same command fails unless the module's transfer tests pass on Swift and Ceph too, and transfers of 0 bytes, 1 part, 25 MiB " +
      'and 1,001 x 5 MiB end right. Where a store takes fewer parts, as Swift does, they are larger ones, or the transfer is ' +
      'refused with the figure.',
    'On Swift and Ceph it also plays what [faults.md](faults.md) (Processes, and Stores: a Complete) tells of a killed worker, a killed ' +
      'gateway, a sleeper that wakes up, a lost Complete, a cancel and a delete in the middle: `pnpm test:external --crashes`.',
    '## What the servers do not do, and what the product does about it',
    'A case says what AWS documents, or what real servers were seen to do.',
    ...formatShortfalls(measured, advice),
    '## Every case',
    '`short`: the server does something else, see above. `not run`: the case needs what this server does not offer. AWS, ' +
      'OVH, MinIO and others were not run. The last column names the page that the case comes from, mostly of AWS; `measured`: ' +
      'no page says so, but the servers here do it.',
    formatCases(measured),
    '## What the product works with',
    'It recognises a store by its answers and takes these facts from a list in `apps/api/src/storage/s3/`; `S3_STORE` and ' +
      'its neighbours in `.env.example` overrule them. Each fact was measured on the server, or stands on the linked page, ' +
      'or is a careful guess (?).',
    formatFacts(facts),
  ]
    .join('\n\n')
    .concat('\n');
}

/** The lines of a page that say how each case went; without the words of servers, which change from run to run. */
export function readOutcomes(page: string): string[] {
  const [, cases = ''] = page.split('\n## Every case\n');
  const [table = ''] = cases.split('\n## ');
  return table.split('\n').filter((line) => line.startsWith('| `'));
}

function formatTotals(measured: readonly MeasuredStore[]): string {
  const rows = measured.map(({ title, results }) => {
    const count = (outcome: CaseResult['outcome']) => results.filter((result) => result.outcome === outcome).length;
    return [title, String(count('ok')), String(count('short')), String(count('skipped'))];
  });
  return formatTable(['server', 'ok', 'short', 'not run'], rows);
}

function formatShortfalls(measured: readonly MeasuredStore[], advice: readonly Advice[]): string[] {
  const advised = new Set(advice.flatMap(({ cases }) => cases));
  const others = ALL_CASES.filter(({ id }) => !advised.has(id)).map(({ id }) => id);
  const groups = [...advice, { product: 'makes no such request, or needs no such answer.', cases: others }];
  return groups.flatMap(({ product, cases }) => {
    const items = cases.flatMap((id) => formatShortfall(measured, id));
    return items.length === 0 ? [] : [`**The product** ${product}`, items.join('\n')];
  });
}

/** One item of a list with what each server did; nothing when none falls short. */
function formatShortfall(measured: readonly MeasuredStore[], id: string): string[] {
  const deeds = measured.flatMap(({ title, results }) => {
    const result = results.find((candidate) => candidate.id === id && candidate.outcome === 'short');
    return result === undefined ? [] : [`  - ${title}: ${escapeText(withoutTraces(result.did ?? ''))}`];
  });
  const title = ALL_CASES.find((candidate) => candidate.id === id)?.title ?? '';
  return deeds.length === 0 ? [] : [`- \`${id}\`: ${escapeText(title)}`, ...deeds];
}

/** Leaves out what is of one run alone, and shortens long contents. */
function withoutTraces(did: string): string {
  return did.replaceAll(/s3-contract-[0-9a-f]+\/[\w.-]+\//g, '').replaceAll(/(.)\1{15,}/g, '$1...');
}

function formatCases(measured: readonly MeasuredStore[]): string {
  const rows = ALL_CASES.map(({ id, title, source }) => {
    const outcomes = measured.map(({ results }) => {
      const result = results.find((candidate) => candidate.id === id);
      return WORDS[result?.outcome ?? 'skipped'];
    });
    const page = /https:\/\/\S+/.exec(source)?.[0];
    return [`\`${id}\``, escapeText(title), ...outcomes, page === undefined ? 'measured' : `[page](${page})`];
  });
  return formatTable(['case', 'the server', ...measured.map(({ title }) => title), 'source'], rows);
}

function formatFacts(stores: readonly StoreFacts[]): string {
  const names = [...new Set(stores.flatMap(({ facts }) => Object.keys(facts)))];
  const rows = names.map((name) => [
    `\`${name}\``,
    ...stores.map(({ facts }) => {
      const fact = facts[name];
      if (fact === undefined) return '';
      const value = typeof fact.value === 'boolean' ? (fact.value ? 'yes' : 'no') : String(fact.value);
      if (fact.source === 'measured') return `${value}, measured`;
      return fact.source === 'unknown' ? `${value} ?` : `[${value}](${fact.source})`;
    }),
  ]);
  const isRun = ({ facts }: StoreFacts) => Object.values(facts).some(({ source }) => source === 'measured');
  return formatTable(['', ...stores.map((store) => `${store.title}${isRun(store) ? '' : ' (not run)'}`)], rows);
}

function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n');
}

/** Words of servers and titles of cases may hold what Markdown reads as something else. */
function escapeText(text: string): string {
  return text.replaceAll(/[\\`*_{}[\]<>|#]/g, (character) => `\\${character}`);
}
