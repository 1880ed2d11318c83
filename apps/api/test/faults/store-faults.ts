import type { FaultName, FaultRule, S3Operation } from '@s3-transfer/s3-faults';
import type { Ending } from './transfer-ending.js';

/** Fits into one PUT, and is read back whole. */
const TINY_BYTES = 30_000;
/** Fits into one PUT. */
const SMALL_BYTES = 300_000;
/** Two parts, and a little more than one. */
const LARGE_BYTES = 5 * 1024 ** 2 + 300_000;

/** Which of the store's calls the fault happens to. */
export type AffectedCalls = `${'first' | 'every'} ${S3Operation}`;

/** A fault of the store, and how a transfer ends that meets it. */
export interface StoreFault {
  readonly fault: FaultName;
  readonly calls: AffectedCalls;
  readonly sizeBytes: typeof TINY_BYTES | typeof SMALL_BYTES | typeof LARGE_BYTES;
  readonly ending: Ending;
  readonly why: string;
  readonly parameters: Readonly<Record<string, number | boolean>>;
  readonly variables: Readonly<Record<string, string>>;
  /** What else goes wrong: some calls are made only then. */
  readonly beside: readonly { readonly fault: FaultName; readonly calls: AffectedCalls }[];
}

const PLAIN = { parameters: {}, variables: {}, beside: [] };

type MoreOfFault = Partial<Pick<StoreFault, 'parameters' | 'variables' | 'beside'>>;

/** Of a store that keeps silent: no test waits a minute. */
const SHORT_ANSWERS = { S3_ANSWER_TIMEOUT_MS: '400' };
/** A part is refused, so the transfer fails and cleans up. */
const PART_REFUSED = { beside: [{ fault: 'access-denied', calls: 'every UploadPart' }] } as const;
/** The object is there and cannot be read, so it is removed. */
const OBJECT_BROKEN = { beside: [{ fault: 'object-destroyed', calls: 'every PutObject' }] } as const;

const AGAIN = 'the call is made again';
const LOOKED = 'a look shows that the object is whole';
const GIVEN_UP = 'eight tries over a minute, then the store counts as away; what it may hold is removed later';
const REFUSED = 'a refusal is final; nothing is kept';
const UNTIDY = 'the refusal is what is told; what could not be cleaned up is removed later';
const UNCLEAR = 'nobody can say whether there is an object; it is looked for, and removed, later';

export const STORE_FAULTS: readonly StoreFault[] = [
  small('reset-before-forward', 'first PutObject', 'DONE', AGAIN),
  small('reset-before-forward', 'every PutObject', 'STORE_UNREACHABLE', GIVEN_UP),
  large('reset-before-forward', 'first CreateMultipartUpload', 'DONE', AGAIN),
  large('reset-before-forward', 'every CreateMultipartUpload', 'STORE_UNREACHABLE', GIVEN_UP),
  large('reset-before-forward', 'first UploadPart', 'DONE', AGAIN),
  large('reset-before-forward', 'every UploadPart', 'STORE_UNREACHABLE', GIVEN_UP),
  large(
    'reset-before-forward',
    'first CompleteMultipartUpload',
    'DONE',
    'a look shows no object: the call is made again',
  ),
  large('reset-before-forward', 'every CompleteMultipartUpload', 'UPLOAD_OUTCOME_UNKNOWN', UNCLEAR),
  small('reset-before-forward', 'first HeadObject', 'DONE', AGAIN),
  small('reset-before-forward', 'first GetObject', 'DONE', AGAIN),
  small(
    'reset-before-forward',
    'every ListObjectsV2',
    'DONE',
    'a store that is not recognised is used with more care',
    {
      variables: { S3_STORE: 'auto' },
    },
  ),
  small('reset-in-request-body', 'first PutObject', 'DONE', AGAIN),
  small('reset-in-request-body', 'every PutObject', 'STORE_UNREACHABLE', GIVEN_UP),
  large('reset-in-request-body', 'first UploadPart', 'DONE', AGAIN),
  large('reset-in-request-body', 'every UploadPart', 'STORE_UNREACHABLE', GIVEN_UP),

  large('create-answer-lost', 'first CreateMultipartUpload', 'DONE', 'another upload is begun, and the lost one ended'),
  large(
    'create-answer-lost',
    'every CreateMultipartUpload',
    'STORE_UNREACHABLE',
    'uploads whose id nobody knows are looked for and ended',
  ),
  large('part-answer-lost', 'first UploadPart', 'DONE', 'the same part again replaces it'),
  large('part-answer-lost', 'every UploadPart', 'STORE_UNREACHABLE', GIVEN_UP),
  large('complete-answer-lost', 'first CompleteMultipartUpload', 'DONE', LOOKED),
  large('complete-answer-lost', 'every CompleteMultipartUpload', 'DONE', LOOKED),
  small('put-answer-lost', 'first PutObject', 'DONE', LOOKED),
  small('put-answer-lost', 'every PutObject', 'DONE', LOOKED),
  large(
    'abort-answer-lost',
    'first AbortMultipartUpload',
    'STORE_ACCESS_DENIED',
    'a look shows that no part is left',
    PART_REFUSED,
  ),
  large(
    'abort-answer-lost',
    'every AbortMultipartUpload',
    'STORE_ACCESS_DENIED',
    'a look shows that no part is left',
    PART_REFUSED,
  ),
  small(
    'delete-answer-lost',
    'first DeleteObject',
    'UPLOAD_FAILED',
    'the object cannot be read, and its removal is asked for again',
    OBJECT_BROKEN,
  ),
  small(
    'delete-answer-lost',
    'every DeleteObject',
    'UPLOAD_FAILED',
    'the object cannot be read, and its removal is asked for again',
    OBJECT_BROKEN,
  ),
  small('read-answer-lost', 'first HeadObject', 'DONE', AGAIN),
  large('read-answer-lost', 'first HeadObject', 'DONE', AGAIN),
  small(
    'read-answer-lost',
    'every HeadObject',
    'STORE_UNREACHABLE',
    'the object cannot be proven whole, and is removed later',
  ),
  small('read-answer-lost', 'first GetObject', 'DONE', AGAIN),
  small(
    'read-answer-lost',
    'every GetObject',
    'STORE_UNREACHABLE',
    'the object cannot be proven whole, and is removed later',
  ),
  large('read-answer-lost', 'every ListParts', 'STORE_ACCESS_DENIED', UNTIDY, PART_REFUSED),

  small('black-hole-before-forward', 'first PutObject', 'DONE', AGAIN, { variables: SHORT_ANSWERS }),
  small('black-hole-before-forward', 'every PutObject', 'STORE_UNREACHABLE', GIVEN_UP, { variables: SHORT_ANSWERS }),
  large('black-hole-before-forward', 'first CreateMultipartUpload', 'DONE', AGAIN, { variables: SHORT_ANSWERS }),
  large('black-hole-before-forward', 'first UploadPart', 'DONE', AGAIN, { variables: SHORT_ANSWERS }),
  large(
    'black-hole-before-forward',
    'first CompleteMultipartUpload',
    'DONE',
    'a look shows no object: the call is made again',
    {
      variables: SHORT_ANSWERS,
    },
  ),
  small('black-hole-before-forward', 'first HeadObject', 'DONE', AGAIN, { variables: SHORT_ANSWERS }),
  small('black-hole-after-forward', 'first PutObject', 'DONE', LOOKED, { variables: SHORT_ANSWERS }),
  large(
    'black-hole-after-forward',
    'first CreateMultipartUpload',
    'DONE',
    'another upload is begun, and the lost one ended',
    {
      variables: SHORT_ANSWERS,
    },
  ),
  large('black-hole-after-forward', 'first UploadPart', 'DONE', 'the same part again replaces it', {
    variables: SHORT_ANSWERS,
  }),
  large('black-hole-after-forward', 'first CompleteMultipartUpload', 'DONE', LOOKED, { variables: SHORT_ANSWERS }),
  large('black-hole-after-forward', 'every CompleteMultipartUpload', 'DONE', LOOKED, { variables: SHORT_ANSWERS }),
  small('black-hole-in-request-body', 'first PutObject', 'DONE', AGAIN, { variables: SHORT_ANSWERS }),
  large('black-hole-in-request-body', 'first UploadPart', 'DONE', AGAIN, { variables: SHORT_ANSWERS }),
  large('black-hole-in-request-body', 'every UploadPart', 'STORE_UNREACHABLE', GIVEN_UP, { variables: SHORT_ANSWERS }),
  large(
    'black-hole-in-answer',
    'first CreateMultipartUpload',
    'DONE',
    'another upload is begun, and the lost one ended',
    {
      variables: SHORT_ANSWERS,
    },
  ),
  large('black-hole-in-answer', 'first CompleteMultipartUpload', 'DONE', LOOKED, { variables: SHORT_ANSWERS }),
  large('answer-cut', 'first CreateMultipartUpload', 'DONE', 'another upload is begun, and the lost one ended'),
  large('answer-cut', 'first CompleteMultipartUpload', 'DONE', LOOKED),
  large('answer-cut', 'every CompleteMultipartUpload', 'DONE', LOOKED),
  small('answer-not-http', 'first PutObject', 'DONE', AGAIN),
  small('answer-not-http', 'every PutObject', 'STORE_UNREACHABLE', GIVEN_UP),
  large('answer-not-http', 'first CompleteMultipartUpload', 'DONE', 'a look shows no object: the call is made again'),
  small('keep-alive-closed', 'every PutObject', 'DONE', 'the next call opens a connection of its own'),
  large('keep-alive-closed', 'every UploadPart', 'DONE', 'the next call opens a connection of its own'),
  small('keep-alive-reset-on-reuse', 'first PutObject', 'DONE', 'the next call is made again on a new connection'),
  large(
    'keep-alive-reset-on-reuse',
    'first CreateMultipartUpload',
    'DONE',
    'the next call is made again on a new connection',
  ),
  large('keep-alive-reset-on-reuse', 'first UploadPart', 'DONE', 'the next call is made again on a new connection'),
  small('refuse-connections', 'first PutObject', 'DONE', 'a store that restarts is waited for', {
    parameters: { ms: 100 },
  }),
  large('refuse-connections', 'first UploadPart', 'DONE', 'a store that restarts is waited for', {
    parameters: { ms: 100 },
  }),
  large('refuse-connections', 'first CompleteMultipartUpload', 'DONE', 'a store that restarts is waited for', {
    parameters: { ms: 100 },
  }),
  small('slow-answer', 'every PutObject', 'DONE', 'slow is not broken', { parameters: { ms: 200 } }),
  large('slow-answer', 'every UploadPart', 'DONE', 'slow is not broken', { parameters: { ms: 200 } }),
  large('slow-answer', 'every CompleteMultipartUpload', 'DONE', 'slow is not broken', { parameters: { ms: 200 } }),
  small('slow-upload-link', 'every PutObject', 'DONE', 'slow is not broken'),

  small('internal-error', 'first PutObject', 'DONE', AGAIN),
  small('internal-error', 'every PutObject', 'STORE_UNREACHABLE', GIVEN_UP),
  large('internal-error', 'first CreateMultipartUpload', 'DONE', AGAIN),
  large('internal-error', 'first UploadPart', 'DONE', AGAIN),
  large('internal-error', 'every UploadPart', 'STORE_UNREACHABLE', GIVEN_UP),
  large('internal-error', 'first CompleteMultipartUpload', 'DONE', 'a look shows no object: the call is made again'),
  large('internal-error', 'every CompleteMultipartUpload', 'UPLOAD_OUTCOME_UNKNOWN', UNCLEAR),
  small('internal-error', 'first GetObject', 'DONE', AGAIN),
  small('internal-error-after-forward', 'first PutObject', 'DONE', LOOKED),
  small('internal-error-after-forward', 'every PutObject', 'DONE', LOOKED),
  large(
    'internal-error-after-forward',
    'first CreateMultipartUpload',
    'DONE',
    'another upload is begun, and the lost one ended',
  ),
  large('internal-error-after-forward', 'first UploadPart', 'DONE', 'the same part again replaces it'),
  large('internal-error-after-forward', 'every CompleteMultipartUpload', 'DONE', LOOKED),
  small('slow-down', 'first PutObject', 'DONE', AGAIN),
  large('slow-down', 'first UploadPart', 'DONE', AGAIN),
  large('slow-down', 'every UploadPart', 'STORE_UNREACHABLE', GIVEN_UP),
  large('slow-down', 'first CompleteMultipartUpload', 'DONE', 'a look shows no object: the call is made again'),
  small('unavailable-without-body', 'first PutObject', 'DONE', AGAIN),
  large('unavailable-without-body', 'first UploadPart', 'DONE', AGAIN),
  large(
    'unavailable-without-body',
    'first CompleteMultipartUpload',
    'DONE',
    'a look shows no object: the call is made again',
  ),
  small('too-many-requests', 'first PutObject', 'DONE', AGAIN),
  large('too-many-requests', 'first UploadPart', 'DONE', AGAIN),
  large('too-many-requests', 'first CompleteMultipartUpload', 'DONE', 'a look shows no object: the call is made again'),
  small('request-timeout', 'first PutObject', 'DONE', AGAIN),
  large('request-timeout', 'first UploadPart', 'DONE', AGAIN),
  small('access-denied', 'first PutObject', 'STORE_ACCESS_DENIED', REFUSED),
  large('access-denied', 'first CreateMultipartUpload', 'STORE_ACCESS_DENIED', REFUSED),
  large('access-denied', 'first UploadPart', 'STORE_ACCESS_DENIED', REFUSED),
  large('access-denied', 'first CompleteMultipartUpload', 'STORE_ACCESS_DENIED', REFUSED),
  small(
    'access-denied',
    'every HeadObject',
    'STORE_ACCESS_DENIED',
    'keys that may not look at objects cannot prove one; it is removed later',
  ),
  small(
    'access-denied',
    'every GetObject',
    'STORE_ACCESS_DENIED',
    'keys that may not read objects cannot prove one; it is removed later',
  ),
  small('clock-skew', 'first PutObject', 'DONE', 'the clock is set by the answer, and the call signed anew'),
  small('clock-skew', 'every PutObject', 'STORE_ACCESS_DENIED', 'the message tells to check the clock'),
  large('clock-skew', 'first UploadPart', 'DONE', 'the clock is set by the answer, and the call signed anew'),
  small(
    'permanent-redirect',
    'first PutObject',
    'UPLOAD_FAILED',
    'another endpoint or region must be configured, not guessed',
  ),
  large(
    'permanent-redirect',
    'first CreateMultipartUpload',
    'UPLOAD_FAILED',
    'another endpoint or region must be configured, not guessed',
  ),
  large(
    'permanent-redirect',
    'first CompleteMultipartUpload',
    'UPLOAD_FAILED',
    'another endpoint or region must be configured, not guessed',
  ),
  small('early-answer-413', 'every PutObject', 'UPLOAD_FAILED', REFUSED),
  large('early-answer-413', 'every UploadPart', 'UPLOAD_FAILED', REFUSED),
  small('early-answer-503', 'first PutObject', 'DONE', AGAIN),
  large('early-answer-503', 'first UploadPart', 'DONE', AGAIN),
  small('store-full', 'first PutObject', 'DONE', AGAIN),
  small('store-full', 'every PutObject', 'STORE_UNREACHABLE', GIVEN_UP),
  large('store-full', 'every UploadPart', 'STORE_UNREACHABLE', GIVEN_UP),
  large('abort-refused', 'every AbortMultipartUpload', 'STORE_ACCESS_DENIED', UNTIDY, PART_REFUSED),
  large('abort-refused', 'every AbortMultipartUpload', 'STORE_ACCESS_DENIED', UNTIDY, {
    ...PART_REFUSED,
    parameters: { status: 500 },
  }),
  large('abort-refused', 'first AbortMultipartUpload', 'STORE_ACCESS_DENIED', 'parts are discarded with the next try', {
    ...PART_REFUSED,
    parameters: { status: 500 },
  }),
  large('list-parts-refused', 'every ListParts', 'STORE_ACCESS_DENIED', UNTIDY, PART_REFUSED),
  small('head-unavailable', 'first HeadObject', 'DONE', AGAIN),
  small(
    'head-unavailable',
    'every HeadObject',
    'STORE_UNREACHABLE',
    'the object cannot be proven whole, and is removed later',
  ),
  large('head-unavailable', 'first HeadObject', 'DONE', AGAIN),

  large(
    'create-empty-body',
    'first CreateMultipartUpload',
    'UPLOAD_FAILED',
    'without an upload id nothing can be sent',
  ),
  large(
    'create-empty-body',
    'first CreateMultipartUpload',
    'UPLOAD_FAILED',
    'the upload whose id nobody knows cannot be looked for now: it is ended later',
    { beside: [{ fault: 'read-answer-lost', calls: 'every ListMultipartUploads' }] },
  ),
  large('create-html', 'first CreateMultipartUpload', 'UPLOAD_FAILED', 'without an upload id nothing can be sent'),
  large(
    'upload-id-unknown',
    'first UploadPart',
    'UPLOAD_FAILED',
    'an upload that ended cannot be gone on with; a new request begins anew',
  ),
  large(
    'upload-aborted-at-store',
    'first UploadPart',
    'UPLOAD_FAILED',
    'an upload that ended cannot be gone on with; a new request begins anew',
  ),
  large(
    'part-wrong-etag',
    'first UploadPart',
    'UPLOAD_FAILED',
    'the store itself refuses to put parts of other ETags together',
  ),
  large(
    'part-without-etag',
    'first UploadPart',
    'UPLOAD_FAILED',
    'a part that the store does not name cannot be put together',
  ),
  small(
    'body-bit-flipped',
    'first PutObject',
    'DONE',
    'the store compares the hash that is sent along, refuses, and is sent the bytes again',
  ),
  small(
    'body-bit-flipped',
    'every PutObject',
    'UPLOAD_FAILED',
    'the store compares the hash that is sent along, and keeps nothing',
  ),
  large(
    'body-bit-flipped',
    'first UploadPart',
    'DONE',
    'the store compares the hash that is sent along, refuses, and is sent the bytes again',
  ),
  large(
    'body-bit-flipped',
    'every UploadPart',
    'UPLOAD_FAILED',
    'the store compares the hash that is sent along, and keeps nothing',
  ),
  large('abort-ignored', 'every AbortMultipartUpload', 'STORE_ACCESS_DENIED', UNTIDY, PART_REFUSED),
  large(
    'abort-ignored',
    'first AbortMultipartUpload',
    'STORE_ACCESS_DENIED',
    'a look shows that the upload is still there, and it is ended again',
    PART_REFUSED,
  ),

  ...(['complete-200-error', 'complete-200-error-newline', 'complete-200-html'] as const).flatMap((fault) => [
    large(fault, 'first CompleteMultipartUpload', 'DONE', 'a look shows no object: the call is made again'),
    large(fault, 'every CompleteMultipartUpload', 'UPLOAD_OUTCOME_UNKNOWN', UNCLEAR),
  ]),
  ...(
    [
      'complete-200-error-after-forward',
      'complete-200-error-newline-after-forward',
      'complete-200-html-after-forward',
    ] as const
  ).map((fault) => large(fault, 'every CompleteMultipartUpload', 'DONE', LOOKED)),
  large('complete-slow', 'every CompleteMultipartUpload', 'DONE', 'slow is not broken', {
    parameters: { ms: 300, everyMs: 50 },
  }),
  large(
    'complete-slow-error',
    'first CompleteMultipartUpload',
    'DONE',
    'a look shows no object: the call is made again',
    {
      parameters: { ms: 300, everyMs: 50 },
    },
  ),
  large('complete-in-progress', 'first CompleteMultipartUpload', 'DONE', LOOKED),
  large('complete-in-progress', 'every CompleteMultipartUpload', 'DONE', LOOKED),
  large('complete-in-progress', 'every CompleteMultipartUpload', 'UPLOAD_OUTCOME_UNKNOWN', UNCLEAR, {
    parameters: { isCarriedOut: false },
  }),
  large('complete-answer-lost-then-gone', 'first CompleteMultipartUpload', 'DONE', LOOKED),
  large(
    'complete-answer-lost-then-gone',
    'first CompleteMultipartUpload',
    'UPLOAD_OUTCOME_UNKNOWN',
    'that the upload is gone does not say that there is no object',
    {
      beside: [{ fault: 'head-without-metadata', calls: 'every HeadObject' }],
    },
  ),
  large(
    'complete-carried-out-late',
    'first CompleteMultipartUpload',
    'DONE',
    'nothing is ended meanwhile, and the look is repeated',
    {
      parameters: { ms: 60 },
    },
  ),
  ...[5, 20, 80].map((ms) =>
    large(
      'complete-cut-off',
      'first CompleteMultipartUpload',
      'DONE',
      'the store may go on with it: nothing is ended, and Complete goes out again only where a look shows no object',
      { parameters: { ms } },
    ),
  ),
  large('complete-without-etag', 'first CompleteMultipartUpload', 'DONE', 'the ETag is read from the object'),

  small(
    'head-without-metadata',
    'first HeadObject',
    'DONE',
    'an object that is not yet shown as ours is looked at again',
  ),
  small(
    'head-without-metadata',
    'every HeadObject',
    'UPLOAD_FAILED',
    'an object that cannot be told from that of another is not taken for ours; it is looked at, and removed, later',
  ),
  large(
    'head-without-metadata',
    'first HeadObject',
    'DONE',
    'an object that is not yet shown as ours is looked at again',
  ),
  large('head-without-metadata', 'every HeadObject', 'UPLOAD_OUTCOME_UNKNOWN', UNCLEAR),
  small(
    'head-wrong-size',
    'every HeadObject',
    'UPLOAD_FAILED',
    'an object of another size is not the file, and is removed',
  ),
  large(
    'head-wrong-size',
    'every HeadObject',
    'UPLOAD_FAILED',
    'an object of another size is not the file, and is removed',
  ),
  small(
    'read-bit-flipped',
    'every GetObject',
    'DONE',
    'the object is whole: its bytes were compared on their way in, and reading it back shows only that it can be read',
  ),
  tiny('read-bit-flipped', 'first GetObject', 'DONE', 'it is read again, and is what was sent'),
  tiny(
    'read-bit-flipped',
    'every GetObject',
    'UPLOAD_FAILED',
    'three times it was read otherwise than it was sent: it is removed',
  ),
  tiny('object-destroyed', 'first PutObject', 'UPLOAD_FAILED', 'it cannot be read: the object is removed'),
  small(
    'object-destroyed',
    'first PutObject',
    'UPLOAD_FAILED',
    'the first and last byte cannot be read: the object is removed',
  ),
  large(
    'object-destroyed',
    'first CompleteMultipartUpload',
    'UPLOAD_FAILED',
    'the first and last byte cannot be read: the object is removed',
  ),
  large(
    'object-destroyed',
    'first CompleteMultipartUpload',
    'UPLOAD_FAILED',
    'the first and last byte cannot be read: the object is removed',
    {
      parameters: { status: 409 },
    },
  ),
  small('object-appears-late', 'first PutObject', 'DONE', 'an object that is not yet shown is looked for again', {
    parameters: { ms: 60 },
  }),
  large(
    'object-appears-late',
    'first CompleteMultipartUpload',
    'DONE',
    'an object that is not yet shown is looked for again',
    {
      parameters: { ms: 60 },
    },
  ),
  large(
    'object-appears-late',
    'first CompleteMultipartUpload',
    'UPLOAD_OUTCOME_UNKNOWN',
    'half a minute of looks shows nothing; it is looked for, and removed, later',
    {
      parameters: { ms: 3_000 },
    },
  ),
];

/**
 * What real servers are asked as well: what becomes of a Complete. An object that shows late does so in the way to the
 * store alone, and is timed for the short waits of the tests on local-s3.
 */
export function isOfComplete({ fault, calls }: StoreFault): boolean {
  return calls.endsWith('CompleteMultipartUpload') && fault !== 'object-appears-late';
}

/** The rules that a way to the store breaks the transfer by. */
export function rulesOf({ fault, calls, parameters, beside }: StoreFault): FaultRule[] {
  return [{ fault, calls, parameters }, ...beside].map((rule) => {
    const [times, operation] = rule.calls.split(' ') as ['first' | 'every', S3Operation];
    const given = 'parameters' in rule ? { parameters: rule.parameters } : {};
    return { fault: rule.fault, operation, times: times === 'first' ? 1 : Number.POSITIVE_INFINITY, ...given };
  });
}

function tiny(fault: FaultName, calls: AffectedCalls, ending: Ending, why: string): StoreFault {
  return { ...PLAIN, fault, calls, ending, why, sizeBytes: TINY_BYTES };
}

function small(
  fault: FaultName,
  calls: AffectedCalls,
  ending: Ending,
  why: string,
  more: MoreOfFault = {},
): StoreFault {
  return { ...PLAIN, fault, calls, ending, why, sizeBytes: SMALL_BYTES, ...more };
}

function large(
  fault: FaultName,
  calls: AffectedCalls,
  ending: Ending,
  why: string,
  more: MoreOfFault = {},
): StoreFault {
  return { ...PLAIN, fault, calls, ending, why, sizeBytes: LARGE_BYTES, ...more };
}
