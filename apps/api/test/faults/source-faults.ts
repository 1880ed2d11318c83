import { createHash } from 'node:crypto';
import {
  BEHAVIOURS,
  type BehaviourName,
  contentRange,
  type FileContent,
  gzippedContent,
  LOGIN_PAGE,
  type ParameterValues,
} from '@s3-transfer/hostile-source';
import type { RemoteFile } from '../../src/storage/transfer/source-opener.js';
import type { Ending } from './transfer-ending.js';

/** Files of this type have somebody who hands out fresh links. */
export const TYPE_WITH_FRESH_LINKS = 'recording-with-fresh-links';

/** What the request says beside the URL, in words that go on after "with". */
const GIVEN = {
  'the SHA-256': (file) => ({ expected: { sha256: sha256Of(wholeOf(file)) } }),
  'the size': ({ sizeBytes }) => ({ expected: { size: sizeBytes } }),
  'the type video/mp4': () => ({ mimeType: 'video/mp4' }),
  'a limit of 1,000,000 bytes': () => ({ maxBytes: 1_000_000 }),
  allowUnprovenLength: () => ({ allowUnprovenLength: true }),
  'fresh links at hand': () => ({ type: TYPE_WITH_FRESH_LINKS }),
} satisfies Record<string, (file: FileContent) => Partial<RemoteFile>>;

type Given = keyof typeof GIVEN;

/** A behaviour of the source, and how a transfer ends that meets it. */
export interface SourceFault {
  readonly behaviour: BehaviourName;
  readonly parameters: ParameterValues;
  readonly given: readonly Given[];
  readonly variables: Readonly<Record<string, string>>;
  readonly ending: Ending;
  readonly why: string;
  /** What a DONE object holds; by default the file. */
  readonly content: (file: FileContent) => Buffer;
}

type MoreOfFault = Partial<Omit<SourceFault, 'behaviour' | 'ending' | 'why'>>;

const MiB = 1024 ** 2;
/** Cut in the second of two parts: the first has been sent by then. */
const CUT_IN_SECOND_PART = { sizeBytes: 5 * MiB + 600_000, cutAfterBytes: 5 * MiB + 300_000 };
/** Enough to be shared by several connections, and slow enough that it is worth it. */
const SHARED = { sizeBytes: 28 * MiB, bytesPerSecond: 8_000_000 };
/** Of a source that keeps silent: no test waits half a minute, and three tries are as good as seven. */
const SHORT_WAITS = { SOURCE_HEADERS_TIMEOUT_MS: '300', SOURCE_STALL_TIMEOUT_MS: '300', SOURCE_MAX_RETRIES: '2' };

const HONEST = 'an honest source never fails';
const RESUMED = 'taken up from the exact byte, by validator and Content-Range';
const WHOLE_AGAIN = 'the whole file is asked for, and what is here already is skipped';
const BEGUN_ANEW =
  'another version, or one that cannot be told: begun anew, since nothing has been sent to the store yet';
const TOO_LATE = 'a part of the old version has been sent already, and two versions are never mixed';
const UNNAMED = 'nothing names the version by which the rest could be asked for, and a part has been sent already';
const NOT_HTTP = 'not proper HTTP: what such a body means is a guess';
const NO_FILE = 'this answer is not the file';
const GIVEN_UP = 'tries in a row bring nothing';
const NO_END = 'nothing marks the end: a whole file cannot be told from a broken connection';
const NO_PROOF = 'the request allows it, and the row says that the length is not proven';
const INVISIBLE = 'a lie that nothing but a hash can see';
const FOUND_OUT = 'the bytes have another hash than was given';

export const SOURCE_FAULTS: readonly SourceFault[] = [
  ...all('DONE', HONEST, [
    'honest-etag',
    'honest-last-modified',
    'honest-no-validator',
    'honest-unannounced-ranges',
    'honest-no-ranges',
    'honest-chunked',
    'empty-file',
  ]),
  row('honest-etag', 'DONE', HONEST, {
    parameters: { sizeBytes: 5 * MiB + 300_000 },
    given: ['the SHA-256', 'the size'],
  }),
  row('honest-chunked', 'DONE', HONEST, {
    parameters: { sizeBytes: 5 * MiB + 300_000 },
    given: ['the SHA-256', 'the size'],
  }),

  row('length-too-short', 'SOURCE_PROTOCOL', 'more came than was announced: one of the two is wrong'),
  row('length-huge', 'SOURCE_TOO_LARGE', 'refused by the announced length, before a byte is read'),
  ...all('SOURCE_PROTOCOL', NOT_HTTP, [
    'length-absurd',
    'length-negative',
    'length-not-a-number',
    'two-lengths',
    'two-equal-lengths',
    'length-and-chunked',
  ]),
  row('close-delimited', 'SOURCE_LENGTH_UNPROVEN', NO_END),
  row('close-delimited', 'DONE', NO_PROOF, { given: ['allowUnprovenLength'] }),
  row('close-delimited', 'DONE', 'the hash proves what the connection does not', {
    given: ['allowUnprovenLength', 'the SHA-256'],
  }),
  row('close-delimited-cut', 'SOURCE_LENGTH_UNPROVEN', NO_END),
  row(
    'close-delimited-cut',
    'DONE',
    'nobody can see that bytes are missing; the row says that the length is not proven',
    {
      given: ['allowUnprovenLength'],
      content: (file) => contentRange(file, 0, 100_000),
    },
  ),
  row('close-delimited-cut', 'SOURCE_CHECKSUM_MISMATCH', FOUND_OUT, { given: ['allowUnprovenLength', 'the SHA-256'] }),
  row('close-delimited-cut', 'SOURCE_SIZE_MISMATCH', 'another size than was given', {
    given: ['allowUnprovenLength', 'the size'],
  }),
  row('close-delimited-reset', 'SOURCE_LENGTH_UNPROVEN', NO_END),
  row('close-delimited-reset', 'SOURCE_TRUNCATED', 'a reset is no end', { given: ['allowUnprovenLength'] }),
  row('http10-with-length', 'DONE', HONEST),
  row('http10-without-length', 'SOURCE_LENGTH_UNPROVEN', NO_END),
  row('endless-chunked', 'SOURCE_TOO_LARGE', 'bytes are counted as they come', {
    given: ['a limit of 1,000,000 bytes'],
  }),
  row('endless-beyond-length', 'SOURCE_PROTOCOL', 'more came than was announced: one of the two is wrong'),
  row('endless-close-delimited', 'SOURCE_LENGTH_UNPROVEN', NO_END),
  row('endless-close-delimited', 'SOURCE_TOO_LARGE', 'bytes are counted as they come', {
    given: ['allowUnprovenLength', 'a limit of 1,000,000 bytes'],
  }),
  row('second-answer-unasked', 'SOURCE_PROTOCOL', 'more came than was announced: one of the two is wrong'),

  ...all('DONE', RESUMED, [
    'cut-once-by-fin',
    'cut-once-by-reset',
    'cut-every-n-bytes',
    'reset-every-n-bytes',
    'chunked-cut-by-fin',
    'chunked-cut-by-reset',
  ]),
  row('cut-once-by-fin', 'DONE', RESUMED, { parameters: CUT_IN_SECOND_PART }),
  row('cut-once-by-reset', 'DONE', RESUMED, { parameters: CUT_IN_SECOND_PART }),
  ...all('SOURCE_TRUNCATED', GIVEN_UP, [
    'length-too-long-by-fin',
    'length-too-long-by-reset',
    'chunked-without-last-chunk',
  ]),

  ...all('SOURCE_UNREACHABLE', GIVEN_UP, ['reset-before-head', 'fin-before-head', 'fin-in-head']),
  ...all('DONE', 'asked again', ['reset-before-head-once', 'fin-before-head-once']),
  ...all(
    'SOURCE_TIMEOUT',
    'time to headers is limited, whatever comes instead of them',
    ['stall-before-head', 'stall-in-head', 'head-drip', 'interim-endless'],
    {
      variables: SHORT_WAITS,
    },
  ),
  row('stall-before-head-once', 'DONE', 'asked again', { variables: SHORT_WAITS }),
  row('slow-head', 'DONE', 'slow is not broken'),
  ...all(
    'DONE',
    'a silent connection is ended, and taken up from the exact byte',
    ['stall-in-body', 'stall-in-body-once'],
    {
      variables: SHORT_WAITS,
    },
  ),
  ...all(
    'SOURCE_TIMEOUT',
    GIVEN_UP,
    ['stall-in-body-without-progress', 'stall-before-last-chunk', 'chunk-endless-line'],
    {
      variables: SHORT_WAITS,
    },
  ),
  row('pause-in-body', 'DONE', 'slow is not broken'),
  row('body-drip', 'SOURCE_TOO_SLOW', 'each byte is a sign of life, but the file would take a year', {
    variables: { SOURCE_MIN_BYTES_PER_SECOND: '1024', SOURCE_MIN_RATE_WINDOW_SECONDS: '1' },
  }),

  row('range-ignored', 'DONE', WHOLE_AGAIN),
  row('range-ignored', 'DONE', WHOLE_AGAIN, { parameters: CUT_IN_SECOND_PART }),
  row('range-ignored-other-etag', 'DONE', BEGUN_ANEW),
  row('range-ignored-other-etag', 'SOURCE_CHANGED', TOO_LATE, { parameters: CUT_IN_SECOND_PART }),
  ...all('DONE', WHOLE_AGAIN, [
    'range-wrong-start',
    'range-without-content-range',
    'range-malformed',
    'range-multipart',
    'range-length-disagrees',
  ]),
  row('range-wrong-start', 'DONE', WHOLE_AGAIN, { parameters: CUT_IN_SECOND_PART }),
  row('range-wrong-bytes', 'DONE', INVISIBLE, {
    content: (file) =>
      Buffer.concat([contentRange(file, 0, 100_000), contentRange(file, 99_000, file.sizeBytes - 1_000)]),
  }),
  row('range-wrong-bytes', 'SOURCE_CHECKSUM_MISMATCH', FOUND_OUT, { given: ['the SHA-256'] }),
  row('range-wrong-total', 'DONE', BEGUN_ANEW),
  row('range-wrong-total', 'SOURCE_CHANGED', TOO_LATE, { parameters: CUT_IN_SECOND_PART }),
  ...all('DONE', RESUMED, ['range-unknown-total', 'range-shorter', 'range-end-ignored']),
  row('range-surplus', 'DONE', 'the announced range is what was asked for; what follows it is not read'),
  row('range-unasked', 'SOURCE_STATUS', NO_FILE),
  row('range-other-etag', 'DONE', BEGUN_ANEW, { content: nextVersion }),
  row('range-other-etag', 'SOURCE_CHANGED', TOO_LATE, { parameters: CUT_IN_SECOND_PART }),
  ...all('DONE', BEGUN_ANEW, ['resume-416', 'resume-416-other-total']),
  row('resume-416', 'SOURCE_CHANGED', TOO_LATE, { parameters: CUT_IN_SECOND_PART }),

  row('etag-changes', 'DONE', BEGUN_ANEW, { content: nextVersion }),
  row('etag-changes', 'SOURCE_CHANGED', TOO_LATE, { parameters: CUT_IN_SECOND_PART }),
  ...all('SOURCE_CHANGED', 'begun anew a few times, but no version is sent to its end', [
    'etag-changes-every-time',
    'etag-alternates',
  ]),
  ...all('DONE', BEGUN_ANEW, ['etag-weak', 'etag-unquoted', 'etag-missing-on-resume', 'no-validator-cut']),
  ...all('SOURCE_TRUNCATED', UNNAMED, ['etag-weak', 'etag-unquoted', 'no-validator-cut'], {
    parameters: CUT_IN_SECOND_PART,
  }),
  row('etag-missing-on-resume', 'SOURCE_CHANGED', TOO_LATE, { parameters: CUT_IN_SECOND_PART }),
  row('last-modified-cut', 'DONE', RESUMED),
  row('last-modified-cut', 'DONE', RESUMED, { parameters: CUT_IN_SECOND_PART }),
  row('last-modified-changes', 'DONE', BEGUN_ANEW, { content: nextVersion }),
  row('last-modified-changes', 'SOURCE_CHANGED', TOO_LATE, { parameters: CUT_IN_SECOND_PART }),
  row('total-changes', 'SOURCE_CHANGED', 'a longer version than there was room made for'),
  row('total-changes', 'SOURCE_CHANGED', TOO_LATE, { parameters: CUT_IN_SECOND_PART }),
  row('content-changes-silently', 'DONE', INVISIBLE, {
    content: (file) => Buffer.concat([contentRange(file, 0, 100_000), nextVersion(file).subarray(100_000)]),
  }),
  row('content-changes-silently', 'SOURCE_CHECKSUM_MISMATCH', FOUND_OUT, { given: ['the SHA-256'] }),
  row('content-changes-silently', 'SOURCE_CHECKSUM_MISMATCH', FOUND_OUT, {
    given: ['the SHA-256'],
    parameters: CUT_IN_SECOND_PART,
  }),

  ...all('DONE', 'redirects are followed, up to five', [
    'redirect-301',
    'redirect-302',
    'redirect-303',
    'redirect-307',
    'redirect-308',
    'redirect-relative',
    'redirect-without-scheme',
    'redirect-to-other-origin',
    'redirect-to-https',
  ]),
  row('redirect-302', 'SOURCE_REDIRECT', 'redirects are followed, up to five', { parameters: { hops: 6 } }),
  ...all('SOURCE_REDIRECT', 'redirects are followed, up to five', ['redirect-loop', 'redirect-for-ever']),
  ...all('SOURCE_REDIRECT', 'a redirect to nowhere, or to one of two places', [
    'redirect-without-location',
    'redirect-empty-location',
    'redirect-malformed-location',
    'redirect-two-locations',
  ]),
  row('redirect-to-private-address', 'SOURCE_ADDRESS_BLOCKED', 'each hop is judged like the first address', {
    parameters: { target: 0 },
  }),
  row('redirect-to-private-address', 'SOURCE_ADDRESS_BLOCKED', 'each hop is judged like the first address', {
    parameters: { target: 2 },
  }),
  row('redirect-to-private-address', 'SOURCE_ADDRESS_BLOCKED', 'each hop is judged like the first address', {
    parameters: { target: 8 },
  }),
  row('redirect-to-http', 'SOURCE_REDIRECT', 'what was asked for over TLS is not taken in the clear'),
  ...all('SOURCE_URL_INVALID', 'each hop is parsed like the first URL', [
    'redirect-to-ftp',
    'redirect-to-file',
    'redirect-with-userinfo',
  ]),
  row('redirect-with-endless-body', 'DONE', 'the body of a redirect is never read'),
  row('redirect-on-resume', 'DONE', RESUMED),

  row('interim-flood', 'DONE', 'answers that are only interim are passed over'),
  row(
    'continue-unasked',
    'SOURCE_PROTOCOL',
    'the HTTP library (undici) takes 100 Continue for an answer to nothing, and closes',
  ),
  row('switching-protocols-unasked', 'SOURCE_PROTOCOL', NOT_HTTP, { variables: SHORT_WAITS }),
  ...all('SOURCE_PROTOCOL', 'headers are limited to 16 KiB', [
    'header-giant',
    'headers-many',
    'headers-endless',
    'chunk-endless-trailers',
  ]),
  ...all('SOURCE_PROTOCOL', NOT_HTTP, [
    'header-folded',
    'header-with-nul',
    'header-space-before-colon',
    'bare-line-feeds',
    'status-line-malformed',
    'status-line-other-version',
    'garbage',
    'body-without-head',
    'http2-answer',
  ]),
  row('status-out-of-range', 'SOURCE_STATUS', NO_FILE),
  row('content-type-hostile', 'DONE', "the source's Content-Type is not used"),

  row('coded-gzip', 'DONE', 'stored as it came, with its Content-Encoding', { content: gzippedContent }),
  row('coded-unknown', 'DONE', 'stored as it came, with its Content-Encoding'),
  ...all('SOURCE_PROTOCOL', 'bytes under another transfer coding are not the file', [
    'transfer-gzip',
    'transfer-unknown',
  ]),
  ...all('DONE', 'odd, but proper HTTP', ['chunk-extensions', 'chunk-giant-line', 'chunks-of-one-byte']),
  row('chunk-trailers', 'SOURCE_PROTOCOL', 'trailers are passed over, but one of them is a Content-Length'),
  ...all('SOURCE_PROTOCOL', NOT_HTTP, ['chunk-bad-length', 'chunk-absurd-length', 'chunk-too-long']),

  ...all('SOURCE_STATUS', NO_FILE, [
    'status-202',
    'status-204',
    'status-205',
    'status-300',
    'status-304',
    'status-400',
    'status-401',
    'status-403',
    'status-404',
    'status-407',
    'status-410',
    'status-451',
  ]),
  ...all('SOURCE_STATUS', GIVEN_UP, [
    'status-429',
    'status-500',
    'status-502',
    'status-503',
    'status-504',
    'error-with-endless-body',
  ]),
  ...all('DONE', 'asked again', [
    'status-408-once',
    'status-425-once',
    'status-500-once',
    'status-503-twice',
    'retry-after-malformed',
  ]),
  ...all('DONE', 'asked again when the source wants to be', ['retry-after-seconds', 'retry-after-date'], {
    parameters: { times: 1 },
  }),
  row('retry-after-absurd', 'SOURCE_STATUS', 'two minutes are waited at most, as the source would refuse before'),
  row('resume-500-once', 'DONE', RESUMED),
  row('resume-404', 'SOURCE_STATUS', NO_FILE),
  row('resume-login-page', 'SOURCE_TYPE_MISMATCH', 'a web page in the middle of a file is a login'),
  row('resume-login-page', 'SOURCE_TYPE_MISMATCH', 'a web page in the middle of a file is a login', {
    parameters: CUT_IN_SECOND_PART,
  }),
  row('link-expires', 'SOURCE_STATUS', NO_FILE),
  row('link-expires', 'DONE', 'the same bytes go on from a fresh link, proven by validator and length', {
    given: ['fresh links at hand'],
  }),
  row('link-expires', 'DONE', 'the same bytes go on from a fresh link, proven by validator and length', {
    given: ['fresh links at hand'],
    parameters: CUT_IN_SECOND_PART,
  }),
  row('link-expires-every-n-bytes', 'SOURCE_STATUS', NO_FILE),
  row('link-expires-every-n-bytes', 'DONE', 'as many fresh links as it takes, while each brings bytes', {
    given: ['fresh links at hand'],
  }),
  row('login-page', 'DONE', 'a page is a file like any other where no type is given', {
    content: () => Buffer.from(LOGIN_PAGE),
  }),
  ...all('SOURCE_TYPE_MISMATCH', 'a web page instead of a video is a login', ['login-page', 'login-page-as-video'], {
    given: ['the type video/mp4'],
  }),

  row('rate-per-connection', 'DONE', 'more connections bring more', { parameters: SHARED }),
  ...all(
    'DONE',
    'connections that are refused are not asked for again: the file goes on over the others',
    ['connections-limited-by-503', 'connections-limited-by-429', 'connections-limited-by-reset'],
    { parameters: SHARED },
  ),
  row('ranges-for-one-connection', 'DONE', 'goes on over one connection', { parameters: SHARED }),
  ...all('DONE', HONEST, ['keep-alive-closed', 'keep-alive-reset-on-reuse']),

  row('tls-honest', 'DONE', HONEST),
  ...all('SOURCE_UNREACHABLE', 'the certificate does not hold', [
    'tls-expired',
    'tls-wrong-name',
    'tls-unknown-issuer',
  ]),
  ...all('SOURCE_UNREACHABLE', GIVEN_UP, ['tls-reset-in-handshake', 'tls-plain-answer']),
  row('tls-stall-in-handshake', 'SOURCE_TIMEOUT', 'time to headers is limited, whatever comes instead of them', {
    variables: SHORT_WAITS,
  }),
  row('tls-cut-without-close-notify', 'DONE', RESUMED),
  row('tls-close-delimited-cut-without-close-notify', 'SOURCE_LENGTH_UNPROVEN', NO_END),
  row('tls-close-delimited-cut-without-close-notify', 'SOURCE_CHECKSUM_MISMATCH', FOUND_OUT, {
    given: ['allowUnprovenLength', 'the SHA-256'],
  }),
];

/** What the request says of this file beside its URL. */
export function requestOf({ given }: SourceFault, file: FileContent): Partial<RemoteFile> {
  const parts: Partial<RemoteFile>[] = given.map((name) => GIVEN[name](file));
  const expected = Object.assign({}, ...parts.map((part) => part.expected));
  return { ...Object.assign({}, ...parts), ...(Object.keys(expected).length > 0 ? { expected } : {}) };
}

function all(ending: Ending, why: string, behaviours: readonly BehaviourName[], more: MoreOfFault = {}): SourceFault[] {
  return behaviours.map((behaviour) => row(behaviour, ending, why, more));
}

/** Of shared parameters, those that the behaviour takes. */
function row(behaviour: BehaviourName, ending: Ending, why: string, more: MoreOfFault = {}): SourceFault {
  const given = Object.entries(more.parameters ?? {}).filter(([name]) => name in BEHAVIOURS[behaviour].example);
  const parameters = Object.fromEntries(given);
  return { given: [], variables: {}, content: wholeOf, ...more, behaviour, ending, why, parameters };
}

function wholeOf(file: FileContent): Buffer {
  return contentRange(file, 0, file.sizeBytes);
}

/** What sources that change have next. */
function nextVersion({ seed, sizeBytes }: FileContent): Buffer {
  return wholeOf({ seed: seed + 1, sizeBytes });
}

function sha256Of(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
