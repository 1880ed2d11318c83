import { readFile } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import type { BucketSettings } from '../storage/s3/bucket-settings.js';
import { CliError } from './cli-error.js';
import { repositoryFile } from './settings.js';

export type CorsRule = Awaited<ReturnType<BucketSettings['readCors']>>[number];

export const CORS_ENVIRONMENTS = ['dev', 'staging', 'prod'] as const;
export type CorsEnvironment = (typeof CORS_ENVIRONMENTS)[number];

/** The shape of `aws s3api put-bucket-cors --cors-configuration`, so that the same file serves both. */
const corsFileSchema = z.strictObject({
  CORSRules: z
    .array(
      z.strictObject({
        ID: z.string().optional(),
        AllowedOrigins: z.array(z.string()).min(1),
        AllowedMethods: z.array(z.enum(['GET', 'HEAD', 'PUT', 'POST', 'DELETE'])).min(1),
        AllowedHeaders: z.array(z.string()).optional(),
        ExposeHeaders: z.array(z.string()).optional(),
        MaxAgeSeconds: z.int().min(0).optional(),
      }),
    )
    .min(1),
});

/** Names that RFC 2606 keeps for examples: no real site has them. */
const EXAMPLE_HOST = /(^|\.)example(\.(com|net|org))?$/;

/** Path of an environment's rules, from the repository's root. */
export function corsFileOf(environment: CorsEnvironment): string {
  return `infra/s3/cors-${environment}.json`;
}

/**
 * The rules of one environment.
 *
 * @throws CliError EXAMPLE_ORIGIN while the file still holds the origin it came with
 */
export async function readCorsRules(environment: CorsEnvironment): Promise<CorsRule[]> {
  const file = corsFileOf(environment);
  const parsed = corsFileSchema.safeParse(JSON.parse(await readFile(repositoryFile(file), 'utf8')));
  if (!parsed.success)
    throw new CliError('USAGE', `${file} is no CORS configuration: ${z.prettifyError(parsed.error)}`);
  const rules = parsed.data.CORSRules;
  const example = rules
    .flatMap((rule) => rule.AllowedOrigins)
    .find((origin) => EXAMPLE_HOST.test(URL.parse(origin)?.hostname ?? ''));
  if (example !== undefined) {
    throw new CliError(
      'EXAMPLE_ORIGIN',
      `${file} still holds the example origin ${example}; put your site's origin there`,
    );
  }
  return rules;
}

/** The development rules for a web page on another port than 3000. */
export function withWebPort(rules: readonly CorsRule[], webPort: number): CorsRule[] {
  return rules.map((rule) => ({
    ...rule,
    AllowedOrigins: rule.AllowedOrigins?.map((origin) => origin.replace(/:3000$/, `:${webPort}`)),
  }));
}

/** What differs, rule by rule, one line each; empty when both mean the same. Order within a list has no meaning in S3. */
export function compareCorsRules(expected: readonly CorsRule[], actual: readonly CorsRule[]): string[] {
  const differences: string[] = [];
  for (let index = 0; index < Math.max(expected.length, actual.length); index += 1) {
    const [want, have] = [expected[index], actual[index]];
    if (want === undefined) differences.push(`rule ${index + 1} is in the bucket alone: ${describeRule(have)}`);
    else if (have === undefined) differences.push(`rule ${index + 1} is missing in the bucket: ${describeRule(want)}`);
    else differences.push(...compareRule(want, have).map((difference) => `rule ${index + 1}: ${difference}`));
  }
  return differences;
}

const LISTS = ['AllowedOrigins', 'AllowedMethods', 'AllowedHeaders', 'ExposeHeaders'] as const;

function compareRule(want: CorsRule, have: CorsRule): string[] {
  const differences: string[] = LISTS.flatMap((list) => {
    const [wanted, found] = [valuesOf(want, list), valuesOf(have, list)];
    if (isDeepStrictEqual(wanted, found)) return [];
    return `${list} should be ${wanted.join(', ') || 'empty'}, the bucket has ${found.join(', ') || 'none'}`;
  });
  if (want.MaxAgeSeconds !== have.MaxAgeSeconds) {
    differences.push(
      `MaxAgeSeconds should be ${want.MaxAgeSeconds ?? 'unset'}, the bucket has ${have.MaxAgeSeconds ?? 'none'}`,
    );
  }
  return differences;
}

function valuesOf(rule: CorsRule, list: (typeof LISTS)[number]): string[] {
  const values = rule[list] ?? [];
  // Names of headers know no case; origins and methods do.
  return (list.endsWith('Headers') ? values.map((value) => value.toLowerCase()) : [...values]).sort();
}

function describeRule(rule: CorsRule | undefined): string {
  return `${rule?.AllowedMethods?.join(', ')} for ${rule?.AllowedOrigins?.join(', ')}`;
}
