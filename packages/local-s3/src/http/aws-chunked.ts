import { createHash, type Hash } from 'node:crypto';
import { equalInConstantTime, type VerifiedSignature } from '../auth/sigv4.js';
import { S3Error } from '../errors.js';

const MAX_LINE_BYTES = 8 * 1024;
const MAX_TRAILERS = 16;
const EMPTY_SHA256 = createHash('sha256').digest('hex');

export interface AwsChunkedOptions {
  /** Whose signature the first chunk's is chained to; undefined for unsigned chunks. */
  readonly chunkSignatures: VerifiedSignature | undefined;
  /** Whether trailing headers follow the last chunk. */
  readonly trailers: boolean;
}

/**
 * Decodes a body of Content-Encoding aws-chunked, chunk by chunk and without copying its data.
 * A chunk's signature is known to be right only at its end: publish nothing before the generator has finished.
 */
export class AwsChunkedDecoder {
  /** The trailing headers, in lower case; complete when `decode` has finished. */
  readonly trailers = new Map<string, string>();
  #buffered: Buffer = Buffer.alloc(0);
  #previousSignature: string;

  constructor(
    private readonly source: AsyncIterator<Buffer>,
    private readonly options: AwsChunkedOptions,
  ) {
    this.#previousSignature = options.chunkSignatures?.signature ?? '';
  }

  /** @throws S3Error IncompleteBody for broken framing, SignatureDoesNotMatch for a chunk or trailer signed otherwise */
  async *decode(): AsyncGenerator<Buffer> {
    try {
      yield* this.#chunks();
    } finally {
      // Lets go of the request after an error too, so that the rest of it can be drained.
      await this.source.return?.();
    }
  }

  async *#chunks(): AsyncGenerator<Buffer> {
    for (;;) {
      const header = /^([0-9a-f]{1,12})(?:;chunk-signature=([0-9a-f]{64}))?$/i.exec(await this.#line());
      if (!header) throw brokenFraming();
      let left = Number.parseInt(header[1] ?? '', 16);
      const last = left === 0;
      const hash = this.options.chunkSignatures && createHash('sha256');
      while (left > 0) {
        const piece = await this.#atMost(left);
        left -= piece.length;
        hash?.update(piece);
        yield piece;
      }
      if (hash) this.#checkChunk(hash, header[2] ?? '');
      if (last) break;
      if ((await this.#line()) !== '') throw brokenFraming();
    }
    await this.#readTrailers();
    if (this.#buffered.length > 0 || !(await this.source.next()).done) throw brokenFraming();
  }

  async #readTrailers(): Promise<void> {
    let signature: string | undefined;
    let canonical = '';
    for (let count = 0; ; count += 1) {
      // Some clients leave out the empty line that ends the trailers.
      const line = await this.#line({ endIsEmpty: true });
      if (line === '') break;
      const colon = line.indexOf(':');
      if (!this.options.trailers || colon < 1 || count >= MAX_TRAILERS) throw brokenFraming();
      const name = line.slice(0, colon).trim().toLowerCase();
      const value = line.slice(colon + 1).trim();
      if (name === 'x-amz-trailer-signature') signature = value;
      else {
        this.trailers.set(name, value);
        canonical += `${name}:${value}\n`;
      }
    }
    const chain = this.options.chunkSignatures;
    if (!chain || !this.options.trailers) return;
    const expected = chain.sign(
      ['AWS4-HMAC-SHA256-TRAILER', chain.timestamp, chain.scope, this.#previousSignature, sha256(canonical)].join('\n'),
    );
    if (!equalInConstantTime(expected, signature ?? '')) throw wrongChunkSignature();
  }

  #checkChunk(hash: Hash, signature: string): void {
    const chain = this.options.chunkSignatures;
    if (!chain) return;
    const expected = chain.sign(
      [
        'AWS4-HMAC-SHA256-PAYLOAD',
        chain.timestamp,
        chain.scope,
        this.#previousSignature,
        EMPTY_SHA256,
        hash.digest('hex'),
      ].join('\n'),
    );
    if (!equalInConstantTime(expected, signature)) throw wrongChunkSignature();
    this.#previousSignature = signature;
  }

  async #atMost(bytes: number): Promise<Buffer> {
    if (this.#buffered.length === 0 && !(await this.#fill())) throw incomplete();
    const piece = this.#buffered.subarray(0, bytes);
    this.#buffered = this.#buffered.subarray(piece.length);
    return piece;
  }

  async #line(options: { endIsEmpty?: boolean } = {}): Promise<string> {
    for (;;) {
      const end = this.#buffered.indexOf('\r\n');
      if (end !== -1 && end <= MAX_LINE_BYTES) {
        const line = this.#buffered.toString('latin1', 0, end);
        this.#buffered = this.#buffered.subarray(end + 2);
        return line;
      }
      if (this.#buffered.length > MAX_LINE_BYTES) throw brokenFraming();
      if (!(await this.#fill())) {
        if (options.endIsEmpty && this.#buffered.length === 0) return '';
        throw incomplete();
      }
    }
  }

  async #fill(): Promise<boolean> {
    const next = await this.source.next();
    if (next.done) return false;
    this.#buffered = this.#buffered.length === 0 ? next.value : Buffer.concat([this.#buffered, next.value]);
    return true;
  }
}

function sha256(text: string): string {
  return createHash('sha256').update(text, 'latin1').digest('hex');
}

function brokenFraming(): S3Error {
  return new S3Error('IncompleteBody', 'The request body is not a valid aws-chunked body.');
}

function incomplete(): S3Error {
  return new S3Error('IncompleteBody', 'The request body terminated unexpectedly');
}

function wrongChunkSignature(): S3Error {
  return new S3Error('SignatureDoesNotMatch', 'The signature of a chunk or of the trailer does not match.');
}
