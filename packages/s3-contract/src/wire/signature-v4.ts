import { createHash, createHmac } from 'node:crypto';

export interface SigningKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region: string;
}

export interface UnsignedRequest {
  readonly method: string;
  /** As it goes over the wire, encoded as S3 wants it. */
  readonly path: string;
  readonly query: string;
  /** Lower-case names; all of them are signed. */
  readonly headers: Readonly<Record<string, string>>;
  readonly payloadHash: string;
  readonly time: Date;
}

export interface Signature {
  readonly authorization: string;
  readonly signature: string;
  readonly timestamp: string;
  readonly scope: string;
  /** Signs further texts with the day's key: chunks, trailers, policies. */
  sign(text: string): string;
}

export const EMPTY_SHA256 = sha256('');

export function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

/** 20261124T101500Z */
export function amzTimestamp(time: Date): string {
  return time.toISOString().replaceAll(/[-:]|\.\d{3}/g, '');
}

/** Signs by hand, so that a case can leave out, add or spoil what a client would get right. */
export function signRequest(request: UnsignedRequest, key: SigningKey): Signature {
  const timestamp = amzTimestamp(request.time);
  const { scope, sign } = dayKey(key, timestamp.slice(0, 8));
  const names = Object.keys(request.headers).sort();
  const canonical = [
    request.method,
    request.path,
    canonicalQuery(request.query),
    ...names.map((name) => `${name}:${request.headers[name]?.trim()}`),
    '',
    names.join(';'),
    request.payloadHash,
  ].join('\n');
  const signature = sign(['AWS4-HMAC-SHA256', timestamp, scope, sha256(canonical)].join('\n'));
  const authorization = `AWS4-HMAC-SHA256 Credential=${key.accessKeyId}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`;
  return { authorization, signature, timestamp, scope, sign };
}

/** The key of one day, 20261124. */
export function dayKey(key: SigningKey, day: string): { scope: string; sign: (text: string) => string } {
  const derived = [day, key.region, 's3', 'aws4_request'].reduce<Buffer | string>(
    (previous, text) => createHmac('sha256', previous).update(text).digest(),
    `AWS4${key.secretAccessKey}`,
  );
  return {
    scope: `${day}/${key.region}/s3/aws4_request`,
    sign: (text) => createHmac('sha256', derived).update(text).digest('hex'),
  };
}

function canonicalQuery(query: string): string {
  const pairs = query.split('&').filter((pair) => pair !== '');
  return pairs
    .map((pair) => (pair.includes('=') ? pair : `${pair}=`))
    .sort((a, b) => (a.replace('=', '\0') < b.replace('=', '\0') ? -1 : 1))
    .join('&');
}

/** Everything but letters, digits and -._~ as %XX; slashes stay. */
export function encodePath(path: string): string {
  return path.split('/').map(encodeQueryValue).join('/');
}

export function encodeQueryValue(value: string): string {
  return encodeURIComponent(value).replaceAll(
    /[!'()*]/g,
    (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
