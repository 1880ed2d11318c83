import { readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import type { CaseResult, ContractStore } from './contract.js';
import { describeFailure } from './expectations.js';
import { judgeResults, parseExpectedShortfalls } from './expected-shortfalls.js';
import { startOwnStore } from './own-store.js';
import { casesNamed, runContract } from './run-contract.js';

const USAGE = `pnpm test:s3 [--only area|id ...] [--json FILE] [--expect FILE]
pnpm test:s3 --endpoint URL --access-key KEY --secret-key SECRET --region REGION --bucket BUCKET [--no-buckets] ...

Without --endpoint the suite starts local-s3. The bucket must exist; the suite writes below one prefix and removes it again.
--only        an area or a case, as often as needed
--expect      file with "id: reason" lines: these shortfalls are known; one that has gone fails the run
--json        writes all results there
--no-buckets  skips the cases that make buckets of their own
The environment serves as well: S3CONTRACT_ENDPOINT, S3CONTRACT_ACCESS_KEY, S3CONTRACT_SECRET_KEY, S3CONTRACT_REGION, S3CONTRACT_BUCKET.
Exit code: 0 as expected, 1 any other shortfall, 2 wrong use or no server.`;

const SETTINGS = ['endpoint', 'access-key', 'secret-key', 'region', 'bucket'] as const;

interface Arguments {
  readonly only: readonly string[];
  readonly json?: string;
  readonly expect?: string;
  readonly foreign?: ContractStore;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${describeFailure(error)}\n`);
  process.exitCode = 2;
}

async function main(): Promise<number> {
  const chosen = readArguments();
  if (!chosen) {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  casesNamed(chosen.only); // A misspelt name is said before a server is started.
  const known =
    chosen.expect === undefined ? undefined : parseExpectedShortfalls(await readFile(chosen.expect, 'utf8'));
  const own = chosen.foreign ? undefined : await startOwnStore();
  const store = chosen.foreign ?? own;
  if (!store) throw new Error('No store.');
  try {
    process.stdout.write(`${own ? 'local-s3' : store.endpoint}, bucket ${store.bucket}\n`);
    const results = await runContract(store, {
      only: chosen.only,
      onResult: (result) => process.stdout.write(`${lineOf(result, known?.has(result.id) ?? false)}\n`),
    });
    if (chosen.json !== undefined) {
      await writeFile(chosen.json, `${JSON.stringify({ endpoint: store.endpoint, results }, null, 2)}\n`);
    }
    const verdict = judgeResults(results, known);
    for (const { id } of verdict.surprising) {
      process.stdout.write(`${id} is named in ${chosen.expect}, but the server does it: take the line out.\n`);
    }
    const count = (outcome: CaseResult['outcome']) => results.filter((result) => result.outcome === outcome).length;
    const parts = [
      `${count('ok')} ok`,
      `${verdict.unexpected.length} short`,
      ...(known ? [`${verdict.expected.length} known shortfalls`, `${verdict.surprising.length} of them gone`] : []),
      `${count('skipped')} skipped`,
    ];
    process.stdout.write(`${results.length} cases: ${parts.join(', ')}\n`);
    return verdict.isGood ? 0 : 1;
  } finally {
    await own?.close();
  }
}

function readArguments(): Arguments | undefined {
  const { values } = parseArgs({
    // `pnpm test:s3 -- --only x` hands the dashes on as well.
    args: process.argv.slice(2).filter((argument) => argument !== '--'),
    options: {
      ...(Object.fromEntries(SETTINGS.map((name) => [name, { type: 'string' }])) as Record<
        (typeof SETTINGS)[number],
        { type: 'string' }
      >),
      only: { type: 'string', multiple: true, default: [] },
      json: { type: 'string' },
      expect: { type: 'string' },
      'no-buckets': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const only = values.only.flatMap((names) => names.split(','));
  const setting = (name: (typeof SETTINGS)[number]): string | undefined =>
    values[name] ?? process.env[`S3CONTRACT_${name.toUpperCase().replace('-', '_')}`];
  const endpoint = setting('endpoint');
  if (endpoint === undefined) return { only, json: values.json, expect: values.expect };
  const required = (name: (typeof SETTINGS)[number]): string => {
    const value = setting(name);
    if (value === undefined || value === '') throw new Error(`--${name} is missing.\n${USAGE}`);
    return value;
  };
  return {
    only,
    json: values.json,
    expect: values.expect,
    foreign: {
      endpoint: new URL(endpoint).href.replace(/\/+$/, ''),
      accessKeyId: required('access-key'),
      secretAccessKey: required('secret-key'),
      region: required('region'),
      bucket: required('bucket'),
      makesBuckets: !values['no-buckets'],
    },
  };
}

function lineOf(result: CaseResult, isKnown: boolean): string {
  const word = result.outcome === 'short' && isKnown ? 'known' : result.outcome;
  const did = result.did === undefined ? '' : `\n        ${result.outcome === 'short' ? 'it did: ' : ''}${result.did}`;
  return `${word.padEnd(8)}${result.id} (${result.ms} ms) ${result.title}${did}`;
}
