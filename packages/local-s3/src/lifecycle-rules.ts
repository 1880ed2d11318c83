import { S3Error } from './errors.js';
import { childrenOf, malformedXml, type ParsedElement, parseXml, textOf } from './xml.js';

export const DAY_MS = 24 * 60 * 60 * 1000;
const MAX_RULES = 1000;
const MAX_ID_LENGTH = 255;

/** A rule as far as it is acted on. */
export interface LifecycleRule {
  readonly id: string | undefined;
  readonly isEnabled: boolean;
  readonly prefix: string;
  /** An upload is aborted this many days after it was initiated. */
  readonly abortAfterDays: number | undefined;
  /** An object is removed this many days after it was written. */
  readonly expireAfterDays: number | undefined;
}

/** What would be dropped in silence: transitions, versions, and filters other than a prefix. */
const UNSUPPORTED = ['Transition', 'NoncurrentVersionTransition', 'NoncurrentVersionExpiration'];
const UNSUPPORTED_FILTERS = ['Tag', 'And', 'ObjectSizeGreaterThan', 'ObjectSizeLessThan'];

/** @throws S3Error MalformedXML, InvalidArgument, NotImplemented */
export function parseLifecycleRules(xml: string): LifecycleRule[] {
  const rules = childrenOf(parseXml(xml, 'LifecycleConfiguration'), 'Rule').map(parseRule);
  if (rules.length === 0 || rules.length > MAX_RULES) throw malformedXml();
  const ids = rules.flatMap(({ id }) => (id === undefined ? [] : [id]));
  if (new Set(ids).size < ids.length) {
    throw new S3Error('InvalidArgument', 'Rule ID must be unique. Found same ID for more than one rule');
  }
  return rules;
}

/** The rules of a bucket. Versions before this one kept rules that are refused now; on those nothing acts. */
export function storedLifecycleRules(xml: string | undefined): LifecycleRule[] {
  if (xml === undefined) return [];
  try {
    return parseLifecycleRules(xml);
  } catch (error) {
    if (error instanceof S3Error) return [];
    throw error;
  }
}

function parseRule(rule: ParsedElement): LifecycleRule {
  const id = textOf(rule, 'ID');
  if (id !== undefined && id.length > MAX_ID_LENGTH) {
    throw new S3Error('InvalidArgument', `ID length should not exceed allowed limit of ${MAX_ID_LENGTH}`);
  }
  const status = textOf(rule, 'Status')?.trim();
  if (status !== 'Enabled' && status !== 'Disabled') throw malformedXml();
  const [filter = {}] = childrenOf(rule, 'Filter');
  const [abort] = childrenOf(rule, 'AbortIncompleteMultipartUpload');
  const [expiration] = childrenOf(rule, 'Expiration');
  const unsupported =
    UNSUPPORTED.find((name) => name in rule) ??
    UNSUPPORTED_FILTERS.find((name) => name in filter) ??
    ['Date', 'ExpiredObjectDeleteMarker'].find((name) => expiration && name in expiration);
  if (unsupported !== undefined) {
    throw new S3Error('NotImplemented', `${unsupported} in a lifecycle rule is not implemented.`);
  }
  if (!abort && !expiration) {
    throw new S3Error('InvalidRequest', 'At least one action needs to be specified in a rule.');
  }
  return {
    id,
    isEnabled: status === 'Enabled',
    // Before filters the prefix stood in the rule itself; both are still valid.
    prefix: textOf(filter, 'Prefix') ?? textOf(rule, 'Prefix') ?? '',
    abortAfterDays: abort && daysOf(abort, 'DaysAfterInitiation'),
    expireAfterDays: expiration && daysOf(expiration, 'Days'),
  };
}

/** @throws S3Error InvalidArgument unless it is a whole number above zero */
function daysOf(action: ParsedElement, name: string): number {
  const text = textOf(action, name)?.trim();
  if (text === undefined) throw malformedXml();
  const days = /^-?\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isNaN(days)) throw malformedXml();
  if (days < 1) throw new S3Error('InvalidArgument', `'${name}' for lifecycle must be a positive integer`);
  return days;
}

/** When the upload of a key ends, and by which rule; undefined when none aborts it. */
export function abortOf(
  rules: readonly LifecycleRule[],
  key: string,
  initiated: number,
  dayMs: number,
): { readonly at: number; readonly rule: LifecycleRule } | undefined {
  const dates = rules.flatMap((rule) =>
    rule.isEnabled && rule.abortAfterDays !== undefined && key.startsWith(rule.prefix)
      ? [{ at: endOf(initiated, rule.abortAfterDays, dayMs), rule }]
      : [],
  );
  return dates.sort((a, b) => a.at - b.at)[0];
}

/** When an object of a key expires; undefined when no rule removes it. */
export function expiryOf(
  rules: readonly LifecycleRule[],
  key: string,
  lastModified: number,
  dayMs: number,
): number | undefined {
  const dates = rules.flatMap(({ isEnabled, expireAfterDays, prefix }) =>
    isEnabled && expireAfterDays !== undefined && key.startsWith(prefix)
      ? [endOf(lastModified, expireAfterDays, dayMs)]
      : [],
  );
  return dates.length === 0 ? undefined : Math.min(...dates);
}

/** S3 adds the days and rounds up to the next midnight UTC (S3 user guide, "Lifecycle rules: based on an object's age"). */
function endOf(start: number, days: number, dayMs: number): number {
  return Math.ceil((start + days * dayMs) / dayMs) * dayMs;
}
