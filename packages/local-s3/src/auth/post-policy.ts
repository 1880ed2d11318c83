import { S3Error } from '../errors.js';

/** What a form may leave out of its policy (S3 API reference, POST policy). */
const NEEDS_NO_CONDITION = new Set(['policy', 'x-amz-signature', 'file', 'signature', 'awsaccesskeyid']);

/** Bounds for the size of the file, both included. */
export interface LengthRange {
  readonly min: number;
  readonly max: number;
}

type Condition =
  | { readonly match: 'eq' | 'starts-with'; readonly name: string; readonly value: string }
  | { readonly match: 'content-length-range'; readonly range: LengthRange };

/**
 * Holds a form against its policy, which must have been verified before: every condition must hold, and every field must stand in one.
 * `fields` are by lower-case name, with the bucket and the final key among them.
 * @throws S3Error AccessDenied, InvalidPolicyDocument
 */
export function checkPolicy(policy: string, fields: ReadonlyMap<string, string>): LengthRange | undefined {
  const { expiration, conditions } = parsePolicy(policy);
  if (expiration <= Date.now()) throw denied('Policy expired.');
  const named = new Set<string>();
  let range: LengthRange | undefined;
  for (const condition of conditions) {
    if (condition.match === 'content-length-range') {
      range = condition.range;
      continue;
    }
    const { match, name, value } = condition;
    named.add(name);
    const actual = fields.get(name);
    const holds = actual !== undefined && (match === 'eq' ? actual === value : actual.startsWith(value));
    if (!holds) throw denied(`Policy Condition failed: ${JSON.stringify([match, `$${name}`, value])}`);
  }
  const extra = [...fields.keys()].filter(
    (name) => !named.has(name) && !NEEDS_NO_CONDITION.has(name) && name !== 'bucket' && !name.startsWith('x-ignore-'),
  );
  if (extra.length > 0) throw denied(`Extra input fields: ${extra.join(', ')}`);
  return range;
}

function parsePolicy(policy: string): { expiration: number; conditions: Condition[] } {
  let document: unknown;
  try {
    document = JSON.parse(Buffer.from(policy, 'base64').toString('utf8'));
  } catch {
    throw invalid('Invalid JSON.'); // The parser's own words are about positions in decoded text.
  }
  if (!isRecord(document)) throw invalid('Invalid JSON.');
  const expiration = typeof document.expiration === 'string' ? Date.parse(document.expiration) : Number.NaN;
  if (Number.isNaN(expiration)) throw invalid("Invalid 'expiration' value.");
  if (!Array.isArray(document.conditions)) throw invalid("Invalid 'conditions' value.");
  return { expiration, conditions: document.conditions.flatMap(conditionsOf) };
}

function conditionsOf(entry: unknown): Condition[] {
  if (isRecord(entry)) {
    return Object.entries(entry).map(([name, value]) => {
      if (typeof value !== 'string') throw invalid('Invalid condition: its value is no text.');
      return { match: 'eq', name: name.toLowerCase(), value };
    });
  }
  if (!Array.isArray(entry) || entry.length !== 3) throw invalid('Invalid condition.');
  const [match, name, value] = entry as unknown[];
  const kind = typeof match === 'string' ? match.toLowerCase() : '';
  if (kind === 'content-length-range') {
    const [min, max] = [Number(name), Number(value)];
    if (!Number.isSafeInteger(min) || !Number.isSafeInteger(max)) throw invalid('Invalid content-length-range.');
    return [{ match: 'content-length-range', range: { min, max } }];
  }
  if ((kind !== 'eq' && kind !== 'starts-with') || typeof name !== 'string' || typeof value !== 'string') {
    throw invalid('Invalid condition.');
  }
  if (!name.startsWith('$')) throw invalid('Invalid condition: a field is written as $name.');
  return [{ match: kind, name: name.slice(1).toLowerCase(), value }];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function denied(reason: string): S3Error {
  return new S3Error('AccessDenied', `Invalid according to Policy: ${reason}`);
}

function invalid(reason: string): S3Error {
  return new S3Error('InvalidPolicyDocument', `Invalid Policy: ${reason}`);
}
