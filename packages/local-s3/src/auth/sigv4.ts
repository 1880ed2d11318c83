import { createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { S3Error } from '../errors.js';
import type { RequestTarget } from '../http/request-target.js';
import { canonicalRequest, hashCanonicalRequest } from './canonical-request.js';
import { SigningKeys } from './signing-key.js';

const ALGORITHM = 'AWS4-HMAC-SHA256';
const MAX_CLOCK_SKEW_MS = 15 * 60 * 1000;
const MAX_PRESIGN_SECONDS = 7 * 24 * 60 * 60;
export const UNSIGNED_PAYLOAD = 'UNSIGNED-PAYLOAD';
const POLICY_FIELDS = ['policy', 'x-amz-algorithm', 'x-amz-credential', 'x-amz-date', 'x-amz-signature'] as const;

export interface VerifierOptions {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region: string;
}

/** What a verified signature says about the body, and what the signatures of its chunks are chained to. */
export interface VerifiedSignature {
  /** The signed x-amz-content-sha256: a hash, UNSIGNED-PAYLOAD or one of the STREAMING-* names. */
  readonly payloadHash: string;
  readonly signature: string;
  /** Signs `text` with the request's signing key, as hex. */
  readonly sign: (text: string) => string;
  readonly timestamp: string;
  readonly scope: string;
}

interface Credential {
  readonly accessKeyId: string;
  readonly day: string;
  readonly region: string;
  readonly scope: string;
}

interface Claim {
  readonly credential: Credential;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  readonly timestamp: string;
  readonly payloadHash: string;
}

/** Verifies AWS Signature Version 4 in the Authorization header and in presigned queries. */
export class SignatureVerifier {
  readonly #keys: SigningKeys;

  constructor(private readonly options: VerifierOptions) {
    this.#keys = new SigningKeys(options.secretAccessKey, options.region);
  }

  /**
   * @throws S3Error AccessDenied, InvalidAccessKeyId, SignatureDoesNotMatch, RequestTimeTooSkewed, AuthorizationHeaderMalformed,
   * AuthorizationQueryParametersError, InvalidRequest, InvalidArgument, InvalidToken
   */
  verify(request: IncomingMessage, target: RequestTarget): VerifiedSignature {
    const presigned = target.query.some(({ name }) => name === 'X-Amz-Algorithm' || name === 'X-Amz-Signature');
    const header = request.headers.authorization;
    if (presigned && header !== undefined) {
      throw new S3Error(
        'InvalidArgument',
        'Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter or the Authorization header should be specified.',
        { ArgumentName: 'Authorization' },
      );
    }
    if (presigned) return this.#check(request, target, this.#claimOfQuery(request, target));
    if (header !== undefined) return this.#check(request, target, this.#claimOfHeader(request, header));
    if (target.query.some(({ name }) => name === 'AWSAccessKeyId')) throw unsupportedMechanism();
    throw new S3Error('AccessDenied', 'Access Denied');
  }

  /**
   * Verifies who signed the policy of a form; its conditions are not looked at.
   * @throws S3Error AccessDenied, InvalidAccessKeyId, SignatureDoesNotMatch, InvalidArgument, InvalidToken
   */
  verifyPolicy(fields: ReadonlyMap<string, string>): void {
    const [policy, algorithm, credentialText, timestamp, signature] = POLICY_FIELDS.map((name) => fields.get(name));
    if (!policy || !algorithm || !credentialText || !timestamp || !signature) {
      throw new S3Error('AccessDenied', 'Access Denied'); // Without a policy the form is an anonymous upload.
    }
    const credential = parseCredential(credentialText);
    if (algorithm !== ALGORITHM || !credential || !timestamp.startsWith(credential.day)) {
      throw new S3Error('InvalidArgument', 'X-Amz-Algorithm, X-Amz-Credential or X-Amz-Date of the form is invalid.');
    }
    if (credential.region !== this.options.region) {
      throw new S3Error(
        'InvalidArgument',
        `The X-Amz-Credential's region '${credential.region}' is wrong; expecting '${this.options.region}'`,
        { Region: this.options.region },
      );
    }
    this.#checkAccessKey(credential);
    if (fields.has('x-amz-security-token')) throw invalidToken();
    const expected = createHmac('sha256', this.#keys.of(credential.day)).update(policy).digest('hex');
    if (!equalInConstantTime(expected, signature)) {
      throw new S3Error(
        'SignatureDoesNotMatch',
        'The request signature we calculated does not match the signature you provided. Check your key and signing method.',
        { AWSAccessKeyId: credential.accessKeyId, StringToSign: policy, SignatureProvided: signature },
      );
    }
  }

  #claimOfHeader(request: IncomingMessage, header: string): Claim {
    if (!header.startsWith(ALGORITHM)) throw unsupportedMechanism();
    const fields = new Map(
      header
        .slice(ALGORITHM.length)
        .split(',')
        .map((field) => {
          const equals = field.indexOf('=');
          return [field.slice(0, equals).trim(), field.slice(equals + 1).trim()] as const;
        }),
    );
    const credential = fields.get('Credential');
    const signedHeaders = fields.get('SignedHeaders');
    const signature = fields.get('Signature');
    if (!credential || !signedHeaders || !signature) {
      throw headerMalformed(
        'The authorization header is malformed; Credential, SignedHeaders and Signature are required.',
      );
    }
    const parsed = parseCredential(credential);
    if (!parsed) throw headerMalformed('The authorization header is malformed; the Credential is mal-formed.');
    this.#checkAccessKey(parsed);
    if (parsed.region !== this.options.region) {
      throw headerMalformed(
        `The authorization header is malformed; the region '${parsed.region}' is wrong; expecting '${this.options.region}'`,
        { Region: this.options.region },
      );
    }

    const timestamp = singleHeader(request, 'x-amz-date') ?? timestampOfDate(request.headers.date);
    const time = timestamp === undefined ? undefined : parseTimestamp(timestamp);
    if (timestamp === undefined || time === undefined) {
      throw new S3Error('AccessDenied', 'AWS authentication requires a valid Date or x-amz-date header');
    }
    if (Math.abs(Date.now() - time) > MAX_CLOCK_SKEW_MS) {
      throw new S3Error(
        'RequestTimeTooSkewed',
        'The difference between the request time and the current time is too large.',
        {
          RequestTime: timestamp,
          ServerTime: new Date().toISOString(),
          MaxAllowedSkewMilliseconds: MAX_CLOCK_SKEW_MS,
        },
      );
    }
    if (!timestamp.startsWith(parsed.day)) {
      throw headerMalformed(
        'The authorization header is malformed; Invalid credential date. It is not the date of x-amz-date.',
      );
    }
    const payloadHash = singleHeader(request, 'x-amz-content-sha256');
    if (payloadHash === undefined) {
      throw new S3Error('InvalidRequest', 'Missing required header for this request: x-amz-content-sha256');
    }
    return { credential: parsed, signedHeaders: signedHeaders.split(';'), signature, timestamp, payloadHash };
  }

  #claimOfQuery(request: IncomingMessage, target: RequestTarget): Claim {
    const parameter = (name: string): string => {
      const values = target.query.filter((candidate) => candidate.name === name);
      if (values.length !== 1 || !values[0]?.value) {
        throw queryError(
          'Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.',
        );
      }
      return values[0].value;
    };
    const algorithm = parameter('X-Amz-Algorithm');
    const credential = parseCredential(parameter('X-Amz-Credential'));
    const timestamp = parameter('X-Amz-Date');
    const expires = parameter('X-Amz-Expires');
    const signedHeaders = parameter('X-Amz-SignedHeaders');
    const signature = parameter('X-Amz-Signature');

    if (algorithm !== ALGORITHM) throw queryError('X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"');
    if (!credential) {
      throw queryError(
        'Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".',
      );
    }
    const expiresSeconds = /^-?\d{1,15}$/.test(expires) ? Number(expires) : Number.NaN;
    if (Number.isNaN(expiresSeconds)) throw queryError('X-Amz-Expires should be a number');
    if (expiresSeconds < 1) throw queryError('X-Amz-Expires must be positive');
    if (expiresSeconds > MAX_PRESIGN_SECONDS) {
      throw queryError(
        'X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds',
      );
    }
    const time = parseTimestamp(timestamp);
    if (time === undefined || !timestamp.startsWith(credential.day)) {
      throw queryError(
        "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\" and match the date of the Credential",
      );
    }
    if (credential.region !== this.options.region) {
      throw queryError(
        `Error parsing the X-Amz-Credential parameter; the region '${credential.region}' is wrong; expecting '${this.options.region}'`,
        { Region: this.options.region },
      );
    }
    this.#checkAccessKey(credential);

    const now = Date.now();
    if (time - now > MAX_CLOCK_SKEW_MS) throw new S3Error('AccessDenied', 'Request is not yet valid');
    if (now > time + expiresSeconds * 1000) {
      throw new S3Error('AccessDenied', 'Request has expired', {
        'X-Amz-Expires': expires,
        Expires: new Date(time + expiresSeconds * 1000).toISOString(),
        ServerTime: new Date(now).toISOString(),
      });
    }
    const payloadHash =
      target.query.find(({ name }) => name === 'X-Amz-Content-Sha256')?.value ??
      singleHeader(request, 'x-amz-content-sha256') ??
      UNSIGNED_PAYLOAD;
    return { credential, signedHeaders: signedHeaders.split(';'), signature, timestamp, payloadHash };
  }

  #checkAccessKey(credential: Credential): void {
    if (!equalInConstantTime(credential.accessKeyId, this.options.accessKeyId)) {
      throw new S3Error('InvalidAccessKeyId', 'The AWS Access Key Id you provided does not exist in our records.', {
        AWSAccessKeyId: credential.accessKeyId,
      });
    }
  }

  #check(request: IncomingMessage, target: RequestTarget, claim: Claim): VerifiedSignature {
    const headers = valuesByHeader(request);
    const signed = new Set(claim.signedHeaders);
    if (!signed.has('host')) throw new S3Error('SignatureDoesNotMatch', 'The host header must be signed.');
    // Without this a third party could add x-amz-meta-* or x-amz-copy-source to a request that it did not sign.
    const unsigned = [...headers.keys()].filter(
      (name) => name.startsWith('x-amz-') && !signed.has(name) && name !== 'x-amz-content-sha256',
    );
    if (unsigned.length > 0) {
      throw new S3Error('AccessDenied', 'There were headers present in the request which were not signed', {
        HeadersNotSigned: unsigned.join(', '),
      });
    }
    if (singleHeader(request, 'x-amz-security-token') !== undefined || hasParameter(target, 'X-Amz-Security-Token')) {
      throw invalidToken();
    }

    const canonical = canonicalRequest({
      method: request.method ?? '',
      path: target.path,
      query: target.query.filter(({ name }) => name !== 'X-Amz-Signature'),
      signedHeaders: claim.signedHeaders,
      headerValues: (name) => headers.get(name) ?? [],
      payloadHash: claim.payloadHash,
    });
    const scope = claim.credential.scope;
    const stringToSign = [ALGORITHM, claim.timestamp, scope, hashCanonicalRequest(canonical)].join('\n');
    const key = this.#keys.of(claim.credential.day);
    const sign = (text: string): string => createHmac('sha256', key).update(text).digest('hex');
    const missing = claim.signedHeaders.some((name) => !headers.has(name));
    if (missing || !equalInConstantTime(sign(stringToSign), claim.signature)) {
      throw new S3Error(
        'SignatureDoesNotMatch',
        'The request signature we calculated does not match the signature you provided. Check your key and signing method.',
        {
          AWSAccessKeyId: claim.credential.accessKeyId,
          StringToSign: stringToSign,
          SignatureProvided: claim.signature,
          CanonicalRequest: canonical,
        },
      );
    }
    return { payloadHash: claim.payloadHash, signature: claim.signature, sign, timestamp: claim.timestamp, scope };
  }
}

/** Compares without telling by its duration where two texts differ. */
export function equalInConstantTime(a: string, b: string): boolean {
  const left = Buffer.from(a);
  const right = Buffer.from(b);
  return left.length === right.length && timingSafeEqual(left, right);
}

function parseCredential(credential: string): Credential | undefined {
  const match = /^([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request$/.exec(credential);
  if (!match) return undefined;
  const [, accessKeyId = '', day = '', region = ''] = match;
  return { accessKeyId, day, region, scope: `${day}/${region}/s3/aws4_request` };
}

function parseTimestamp(timestamp: string): number | undefined {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(timestamp);
  if (!match) return undefined;
  const [, year, month, day, hour, minute, second] = match;
  const time = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(time) ? undefined : time;
}

function timestampOfDate(date: string | undefined): string | undefined {
  const time = date === undefined ? Number.NaN : Date.parse(date);
  if (Number.isNaN(time)) return undefined;
  return new Date(time).toISOString().replace(/[-:]|\.\d{3}/g, '');
}

function valuesByHeader(request: IncomingMessage): Map<string, string[]> {
  const values = new Map<string, string[]>();
  for (let index = 0; index < request.rawHeaders.length; index += 2) {
    const name = (request.rawHeaders[index] ?? '').toLowerCase();
    const value = request.rawHeaders[index + 1] ?? '';
    const known = values.get(name);
    if (known) known.push(value);
    else values.set(name, [value]);
  }
  return values;
}

function singleHeader(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

function hasParameter(target: RequestTarget, name: string): boolean {
  return target.query.some((parameter) => parameter.name === name);
}

function headerMalformed(message: string, details?: Record<string, string>): S3Error {
  return new S3Error('AuthorizationHeaderMalformed', message, details);
}

function queryError(message: string, details?: Record<string, string>): S3Error {
  return new S3Error('AuthorizationQueryParametersError', message, details);
}

function invalidToken(): S3Error {
  return new S3Error('InvalidToken', 'The provided token is malformed or otherwise invalid.');
}

function unsupportedMechanism(): S3Error {
  return new S3Error(
    'InvalidRequest',
    'The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.',
  );
}
