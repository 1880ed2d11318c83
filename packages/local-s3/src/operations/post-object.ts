import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { checkPolicy, type LengthRange } from '../auth/post-policy.js';
import type { SignatureVerifier } from '../auth/sigv4.js';
import { S3Error } from '../errors.js';
import { isHeaderValue } from '../http/header-value.js';
import { readUploadForm, type UploadForm } from '../http/multipart-form.js';
import { element, xmlDocument } from '../xml.js';
import type { Exchange } from './exchange.js';
import { KEPT_HEADERS, keptHeadersOf, refuseUnsupportedHeaders } from './object-headers.js';
import { publishBytes } from './object-operations.js';

const MAX_KEY_BYTES = 1024;
// biome-ignore lint/suspicious/noTemplateCurlyInString: S3's own variable.
const FILE_NAME = '${filename}';
/** Fields that say how the request is signed, and nothing about the object. */
const SIGNING_FIELDS = new Set(['x-amz-algorithm', 'x-amz-credential', 'x-amz-date', 'x-amz-signature']);

/**
 * Stores the file of an HTML form, under the policy that came with it.
 * @throws S3Error AccessDenied, SignatureDoesNotMatch, EntityTooLarge, EntityTooSmall, InvalidArgument, MalformedPOSTRequest
 */
export async function postObject(exchange: Exchange, verifier: SignatureVerifier): Promise<void> {
  exchange.body.checkUploadLength();
  const source = exchange.body.chunks();
  try {
    await storeFile(exchange, verifier, source);
  } finally {
    await source.return(undefined); // Lets go of the request after an error too, so that the rest of it can be drained.
  }
}

async function storeFile(
  exchange: Exchange,
  verifier: SignatureVerifier,
  source: AsyncGenerator<Buffer>,
): Promise<void> {
  const { bucket, request } = exchange;
  const form = await readUploadForm(request.headers['content-type'] ?? '', source);
  const key = keyOf(form);
  verifier.verifyPolicy(form.fields);
  const fields = new Map(form.fields).set('key', key).set('bucket', exchange.target.bucket);
  const range = checkPolicy(form.fields.get('policy') ?? '', fields);
  adoptFields(request.headers, form.fields);
  refuseUnsupportedHeaders(exchange);
  const headers = keptHeadersOf(exchange);

  const md5 = createHash('md5');
  const segment = await bucket.writeData(measured(form.file, range, (chunk) => md5.update(chunk)));
  const etag = md5.digest('hex');
  await publishBytes(bucket, segment, { key, etag, headers, checksum: undefined });
  answer(exchange, form.fields, { key, etag: `"${etag}"` });
}

function keyOf({ fields, fileName }: UploadForm): string {
  const key = (fields.get('key') ?? '').replaceAll(FILE_NAME, () => fileName);
  if (key === '') {
    throw new S3Error('InvalidArgument', 'Bucket POST must contain a field named key.', { ArgumentName: 'key' });
  }
  if (Buffer.byteLength(key) > MAX_KEY_BYTES) {
    throw new S3Error('KeyTooLongError', 'Your key is too long', {
      Size: Buffer.byteLength(key),
      MaxSizeAllowed: MAX_KEY_BYTES,
    });
  }
  return key;
}

/** Puts the fields where a PutObject has its headers. Headers of the request itself are about the form, not about the file. */
function adoptFields(headers: IncomingHttpHeaders, fields: ReadonlyMap<string, string>): void {
  for (const name of Object.keys(headers)) {
    if (KEPT_HEADERS.includes(name) || name.startsWith('x-amz-')) delete headers[name];
  }
  for (const [name, value] of fields) {
    const header = name === 'acl' || name === 'tagging' ? `x-amz-${name}` : name;
    if (SIGNING_FIELDS.has(name) || !(KEPT_HEADERS.includes(header) || header.startsWith('x-amz-'))) continue;
    if (header.startsWith('x-amz-checksum-')) {
      throw new S3Error('NotImplemented', `The form field ${name} is not implemented.`);
    }
    // As a header the value would have been these bytes, one character each.
    const text = Buffer.from(value).toString('latin1');
    if (!isHeaderValue(text)) {
      throw new S3Error('InvalidArgument', 'The value cannot be a header.', { ArgumentName: name });
    }
    headers[header] = text;
  }
}

async function* measured(
  file: AsyncGenerator<Buffer>,
  range: LengthRange | undefined,
  see: (chunk: Buffer) => void,
): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const chunk of file) {
    bytes += chunk.length;
    if (range && bytes > range.max) {
      throw new S3Error('EntityTooLarge', 'Your proposed upload exceeds the maximum allowed size', {
        ProposedSize: bytes,
        MaxSizeAllowed: range.max,
      });
    }
    see(chunk);
    yield chunk;
  }
  if (range && bytes < range.min) {
    throw new S3Error('EntityTooSmall', 'Your proposed upload is smaller than the minimum allowed size', {
      ProposedSize: bytes,
      MinSizeAllowed: range.min,
    });
  }
}

function answer(exchange: Exchange, fields: ReadonlyMap<string, string>, object: { key: string; etag: string }): void {
  const { bucket } = exchange.target;
  const path = [bucket, ...object.key.split('/')].map(encodeURIComponent).join('/');
  const location = `http://${exchange.header('host') ?? ''}/${path}`;
  const redirect = redirectOf(fields.get('success_action_redirect') ?? fields.get('redirect'));
  if (redirect) {
    for (const [name, value] of Object.entries({ bucket, ...object })) redirect.searchParams.set(name, value);
    exchange.empty(303, { etag: object.etag, location: redirect.href });
    return;
  }
  const status = fields.get('success_action_status');
  if (status === '201') {
    const document = xmlDocument(
      'PostResponse',
      element('Location', location),
      element('Bucket', bucket),
      element('Key', object.key),
      element('ETag', object.etag),
    );
    exchange.xml(document, { etag: object.etag, location }, 201);
    return;
  }
  exchange.empty(status === '200' ? 200 : 204, { etag: object.etag, location });
}

/** S3 takes no notice of a redirect that it cannot understand. */
function redirectOf(text: string | undefined): URL | undefined {
  if (text === undefined || !URL.canParse(text)) return undefined;
  const url = new URL(text);
  return url.protocol === 'http:' || url.protocol === 'https:' ? url : undefined;
}
