import { S3Error } from '../errors.js';

/** What a condition is judged by. `etag` without quotes, `lastModified` in ms. */
export interface Validators {
  readonly etag: string;
  readonly lastModified: number;
}

/** The four conditional headers, under whatever names a request carries them. */
export interface Conditions {
  readonly ifMatch?: string | undefined;
  readonly ifNoneMatch?: string | undefined;
  readonly ifModifiedSince?: string | undefined;
  readonly ifUnmodifiedSince?: string | undefined;
}

/**
 * Judges a read in the order of RFC 9110, section 13.2.2.
 * @throws S3Error PreconditionFailed, NotModified
 */
export function checkReadConditions(conditions: Conditions, current: Validators): void {
  if (conditions.ifMatch !== undefined) {
    if (!matchesEtag(conditions.ifMatch, current.etag)) throw preconditionFailed('If-Match');
  } else if (isBefore(conditions.ifUnmodifiedSince, current.lastModified)) {
    throw preconditionFailed('If-Unmodified-Since');
  }
  if (conditions.ifNoneMatch !== undefined) {
    if (matchesEtag(conditions.ifNoneMatch, current.etag)) throw new S3Error('NotModified', 'Not Modified');
  } else if (isUnchangedSince(conditions.ifModifiedSince, current.lastModified)) {
    throw new S3Error('NotModified', 'Not Modified');
  }
}

/** Judges a write: S3 knows If-None-Match: * and If-Match. */
export class WriteCondition {
  /** @throws S3Error NotImplemented for an If-None-Match that names an ETag, as S3 has it */
  constructor(
    private readonly ifMatch: string | undefined,
    private readonly ifNoneMatch: string | undefined,
  ) {
    if (ifNoneMatch !== undefined && ifNoneMatch.trim() !== '*') {
      throw new S3Error('NotImplemented', 'A header you provided implies functionality that is not implemented', {
        Header: 'If-None-Match',
      });
    }
  }

  /**
   * Run it once early, to spare the client its upload, and once in the instant of publication.
   * @throws S3Error PreconditionFailed, NoSuchKey
   */
  check(current: Validators | undefined): void {
    if (this.ifNoneMatch !== undefined && current) throw preconditionFailed('If-None-Match');
    if (this.ifMatch === undefined) return;
    if (!current) throw new S3Error('NoSuchKey', 'The specified key does not exist.');
    if (!matchesEtag(this.ifMatch, current.etag)) throw preconditionFailed('If-Match');
  }
}

/** Whether a Range may be served: If-Range is absent or names the very object. */
export function holdsIfRange(header: string | undefined, current: Validators): boolean {
  if (header === undefined) return true;
  const value = header.trim();
  if (value.startsWith('W/')) return false;
  const date = /^"?[^",\s]+"?$/.test(value) ? Number.NaN : Date.parse(value);
  return Number.isNaN(date) ? withoutQuotes(value) === current.etag : date === wholeSeconds(current.lastModified);
}

export function withoutQuotes(etag: string): string {
  return etag.trim().replace(/^"(.*)"$/, '$1');
}

function matchesEtag(header: string, etag: string): boolean {
  return header.split(',').some((candidate) => {
    const value = withoutQuotes(candidate.trim().replace(/^W\//, ''));
    return value === '*' || value === etag;
  });
}

function isBefore(header: string | undefined, lastModified: number): boolean {
  const date = header === undefined ? Number.NaN : Date.parse(header);
  return !Number.isNaN(date) && wholeSeconds(lastModified) > date;
}

function isUnchangedSince(header: string | undefined, lastModified: number): boolean {
  const date = header === undefined ? Number.NaN : Date.parse(header);
  return !Number.isNaN(date) && wholeSeconds(lastModified) <= date;
}

function wholeSeconds(time: number): number {
  return time - (time % 1000);
}

function preconditionFailed(condition: string): S3Error {
  return new S3Error('PreconditionFailed', 'At least one of the pre-conditions you specified did not hold', {
    Condition: condition,
  });
}
