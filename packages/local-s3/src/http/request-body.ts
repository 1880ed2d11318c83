import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { VerifiedSignature } from '../auth/sigv4.js';
import { S3Error } from '../errors.js';
import { AwsChunkedDecoder } from './aws-chunked.js';
import {
  CHECKSUM_ALGORITHMS,
  type Checksum,
  type ChecksumAlgorithm,
  checksumHeader,
  isChecksumAlgorithm,
  startChecksum,
} from './checksums.js';

/** The largest body of one PutObject or UploadPart (S3 user guide, multipart upload limits). */
const MAX_UPLOAD_BYTES = 5 * 1024 ** 3;
/** A CompleteMultipartUpload of 10,000 parts with checksums stays below 4 MiB. */
const MAX_DOCUMENT_BYTES = 8 * 1024 ** 2;

export interface BodyDigests {
  readonly bytes: number;
  /** As hex. */
  readonly md5: string;
  readonly checksum: Checksum | undefined;
}

interface Expectations {
  readonly sha256: string | undefined;
  readonly md5: Buffer | undefined;
  readonly checksum: { algorithm: ChecksumAlgorithm; value: string | undefined } | undefined;
  readonly chunked: { signed: boolean; trailers: boolean } | undefined;
  readonly decodedLength: number | undefined;
}

/** The body of one request: decoded, measured, and checked against every digest that its headers or trailers promise. */
export class RequestBody {
  readonly #expected: Expectations;
  #started = false;
  #digests: BodyDigests | undefined;

  /** @throws S3Error InvalidDigest, InvalidArgument, InvalidRequest, MissingContentLength, NotImplemented: all before a byte is read */
  constructor(
    private readonly request: IncomingMessage,
    private readonly signature: VerifiedSignature,
    private readonly continueRequest: () => void,
    options: { checksumsAreOfBody: boolean },
  ) {
    this.#expected = expectationsOf(request, signature.payloadHash, options.checksumsAreOfBody);
  }

  /** Whether Content-MD5 or an x-amz-checksum-* protects the body, as S3 demands of some requests. */
  get isProtected(): boolean {
    return this.#expected.md5 !== undefined || this.#expected.checksum !== undefined;
  }

  get hasStarted(): boolean {
    return this.#started;
  }

  /** The digests of a body read to its end. */
  get digests(): BodyDigests {
    if (!this.#digests) throw new Error('The body has not been read to its end.');
    return this.#digests;
  }

  /**
   * Refuses an upload by its headers alone.
   * @throws S3Error MissingContentLength, EntityTooLarge
   */
  checkUploadLength(): void {
    const length = this.#expected.decodedLength;
    if (length === undefined) {
      throw new S3Error('MissingContentLength', 'You must provide the Content-Length HTTP header.');
    }
    if (length > MAX_UPLOAD_BYTES) {
      throw new S3Error('EntityTooLarge', 'Your proposed upload exceeds the maximum allowed size', {
        ProposedSize: length,
        MaxSizeAllowed: MAX_UPLOAD_BYTES,
      });
    }
  }

  /**
   * The decoded bytes. Throws at the end, not in between, when a digest differs: keep nothing before it has finished.
   * @throws S3Error IncompleteBody, BadDigest, XAmzContentSHA256Mismatch, SignatureDoesNotMatch (of a chunk)
   */
  async *chunks(): AsyncGenerator<Buffer> {
    this.#started = true;
    this.continueRequest();
    const { chunked, checksum } = this.#expected;
    // An early end must leave the socket alone: the error still has to be answered on it.
    const raw = this.request.iterator({ destroyOnReturn: false }) as AsyncIterableIterator<Buffer>;
    const decoder =
      chunked &&
      new AwsChunkedDecoder(raw, {
        chunkSignatures: chunked.signed ? this.signature : undefined,
        trailers: chunked.trailers,
      });
    const md5 = createHash('md5');
    const sha256 = this.#expected.sha256 === undefined ? undefined : createHash('sha256');
    const running = checksum && startChecksum(checksum.algorithm);
    const limit = this.#expected.decodedLength ?? Number.POSITIVE_INFINITY;
    let bytes = 0;
    for await (const chunk of decoder ? decoder.decode() : raw) {
      bytes += chunk.length;
      if (bytes > limit) throw incompleteBody();
      md5.update(chunk);
      sha256?.update(chunk);
      running?.update(chunk);
      yield chunk;
    }
    if (this.#expected.decodedLength !== undefined && bytes !== this.#expected.decodedLength) throw incompleteBody();

    const md5Digest = md5.digest();
    if (this.#expected.md5 && !this.#expected.md5.equals(md5Digest)) {
      throw new S3Error('BadDigest', 'The Content-MD5 you specified did not match what we received.', {
        ExpectedDigest: this.#expected.md5.toString('base64'),
        CalculatedDigest: md5Digest.toString('base64'),
      });
    }
    const sha256Digest = sha256?.digest('hex');
    if (sha256Digest !== undefined && sha256Digest !== this.#expected.sha256) {
      throw new S3Error(
        'XAmzContentSHA256Mismatch',
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
        {
          ClientComputedContentSHA256: this.#expected.sha256 ?? '',
          S3ComputedContentSHA256: sha256Digest,
        },
      );
    }
    this.#digests = { bytes, md5: md5Digest.toString('hex'), checksum: this.#verifyChecksum(running, decoder) };
  }

  /**
   * A small body as text.
   * @throws S3Error MaxMessageLengthExceeded above 8 MiB, and what `chunks` throws
   */
  async text(): Promise<string> {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of this.chunks()) {
      bytes += chunk.length;
      if (bytes > MAX_DOCUMENT_BYTES) throw new S3Error('MaxMessageLengthExceeded', 'Your request was too big.');
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString('utf8');
  }

  #verifyChecksum(
    running: { digest(): Buffer } | undefined,
    decoder: AwsChunkedDecoder | undefined,
  ): Checksum | undefined {
    const { checksum } = this.#expected;
    if (!checksum || !running) return undefined;
    const promised = checksum.value ?? decoder?.trailers.get(checksumHeader(checksum.algorithm));
    if (promised === undefined) {
      throw new S3Error('InvalidRequest', `The trailer ${checksumHeader(checksum.algorithm)} is missing.`);
    }
    const value = running.digest().toString('base64');
    if (promised !== value) {
      throw new S3Error('BadDigest', `The ${checksum.algorithm} you specified did not match the calculated checksum.`);
    }
    return { algorithm: checksum.algorithm, value };
  }
}

function expectationsOf(request: IncomingMessage, payloadHash: string, checksumsAreOfBody: boolean): Expectations {
  const streaming = /^STREAMING-(UNSIGNED-PAYLOAD|AWS4-HMAC-SHA256-PAYLOAD)(-TRAILER)?$/.exec(payloadHash);
  const isHash = /^[0-9a-f]{64}$/i.test(payloadHash);
  if (!streaming && !isHash && payloadHash !== 'UNSIGNED-PAYLOAD') {
    if (payloadHash.startsWith('STREAMING-')) {
      throw new S3Error('NotImplemented', `x-amz-content-sha256 ${payloadHash} is not implemented.`);
    }
    throw new S3Error(
      'InvalidArgument',
      'x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.',
    );
  }
  const codings = (request.headers['content-encoding'] ?? '').split(',').map((coding) => coding.trim());
  if (!streaming && codings.includes('aws-chunked')) {
    throw new S3Error('InvalidRequest', 'An aws-chunked body needs a STREAMING value in x-amz-content-sha256.');
  }
  return {
    sha256: isHash ? payloadHash.toLowerCase() : undefined,
    md5: contentMd5(request),
    checksum: checksumsAreOfBody ? promisedChecksum(request) : undefined,
    chunked: streaming
      ? { signed: streaming[1] !== 'UNSIGNED-PAYLOAD', trailers: streaming[2] !== undefined }
      : undefined,
    decodedLength: lengthHeader(request, streaming ? 'x-amz-decoded-content-length' : 'content-length'),
  };
}

function lengthHeader(request: IncomingMessage, name: string): number | undefined {
  const value = request.headers[name];
  if (value === undefined) return undefined;
  if (typeof value !== 'string' || !/^\d{1,15}$/.test(value)) {
    throw new S3Error('InvalidArgument', `${name} must be a number.`, { ArgumentName: name });
  }
  return Number(value);
}

function contentMd5(request: IncomingMessage): Buffer | undefined {
  const value = request.headers['content-md5'];
  if (value === undefined) return undefined;
  const digest = Buffer.from(String(value), 'base64');
  if (digest.length !== 16 || digest.toString('base64') !== value) {
    throw new S3Error('InvalidDigest', 'The Content-MD5 you specified was invalid.', { 'Content-MD5': String(value) });
  }
  return digest;
}

function promisedChecksum(request: IncomingMessage): Expectations['checksum'] {
  const inHeader = CHECKSUM_ALGORITHMS.filter((algorithm) => request.headers[checksumHeader(algorithm)] !== undefined);
  const trailer = String(request.headers['x-amz-trailer'] ?? '').toLowerCase();
  const inTrailer = CHECKSUM_ALGORITHMS.filter((algorithm) => checksumHeader(algorithm) === trailer);
  if (inHeader.length + inTrailer.length > 1) {
    throw new S3Error(
      'InvalidRequest',
      'Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.',
    );
  }
  if (trailer !== '' && inTrailer.length === 0) {
    throw new S3Error('InvalidRequest', 'The value specified in the x-amz-trailer header is not supported');
  }
  if (inTrailer[0]) return { algorithm: inTrailer[0], value: undefined };
  const algorithm = inHeader[0];
  if (!algorithm) return undefined;
  const named = request.headers['x-amz-sdk-checksum-algorithm'];
  if (typeof named === 'string' && isChecksumAlgorithm(named.toUpperCase()) && named.toUpperCase() !== algorithm) {
    throw new S3Error('InvalidRequest', 'Value for x-amz-sdk-checksum-algorithm header is invalid.');
  }
  const value = String(request.headers[checksumHeader(algorithm)]);
  const bytes = Buffer.from(value, 'base64');
  if (bytes.toString('base64') !== value || bytes.length !== startChecksum(algorithm).digest().length) {
    throw new S3Error('InvalidRequest', `Value for ${checksumHeader(algorithm)} header is invalid.`);
  }
  return { algorithm, value };
}

function incompleteBody(): S3Error {
  return new S3Error(
    'IncompleteBody',
    'You did not provide the number of bytes specified by the Content-Length HTTP header',
  );
}
