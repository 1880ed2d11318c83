import { finished, type Readable, Transform } from 'node:stream';
import { Inject, Injectable, Optional } from '@nestjs/common';
import { Agent, errors, request } from 'undici';
import { StorageError } from '../storage.errors.js';
import { type SourceOptions, STORAGE_OPTIONS, type StorageOptions } from '../storage.options.js';
import { AddressGuard, type Dial, type Resolve } from './address-guard.js';
import { parseSourceUrl } from './source-url.js';

const USER_AGENT = 's3-transfer/0.1';
const REDIRECT_STATUSES = new Set([301, 302, 303, 307, 308]);
/** How long a finished body may still show bytes beyond its Content-Length before the connection is closed. In ms. */
const SURPLUS_WINDOW_MS = 20;

/** A source that answered 200. */
export interface OpenSource {
  /**
   * The file's bytes as they came over the wire. Ends only when every byte arrived, else fails with a StorageError.
   * Destroying it closes the connection at once, also while the source stalls.
   */
  readonly body: Readable;
  /** Announced length in bytes; null for a chunked body. */
  readonly contentLength: number | null;
  /** Set when the source coded the body although `identity` was asked for; the bytes are stored as they came. */
  readonly contentEncoding: string | null;
}

/** Seams that tests fill; the product uses the system's resolver and real sockets. */
export interface SourceSeams {
  readonly resolve?: Resolve;
  readonly dial?: Dial;
}

/** Injection token of SourceSeams; nothing provides it outside tests. */
export const SOURCE_SEAMS = Symbol('SOURCE_SEAMS');

/** Reads a URL once, from the first byte to the last, or says why it could not. */
@Injectable()
export class SourceReader {
  private readonly options: SourceOptions;
  private readonly guard: AddressGuard;

  constructor(
    @Inject(STORAGE_OPTIONS) { source }: StorageOptions,
    @Optional() @Inject(SOURCE_SEAMS) seams?: SourceSeams,
  ) {
    this.options = source;
    this.guard = new AddressGuard({ ...source, ...seams });
  }

  /** @throws StorageError SOURCE_URL_INVALID */
  parseUrl(raw: string): URL {
    return parseSourceUrl(raw, this.options);
  }

  /**
   * Asks for the URL and follows redirects; each hop is parsed and judged like the first.
   *
   * Memory: what the socket's buffers hold. Limits: time to headers, stall, whole time, redirects and bytes, all from
   * SourceOptions; bytes are counted, not believed.
   * @throws StorageError SOURCE_* ; the signal's reason when it aborts
   */
  async open(url: URL, signal: AbortSignal): Promise<OpenSource> {
    // One agent for one source: its sockets, and what they say after the body, belong to this transfer alone.
    const agent = new Agent({
      connect: this.guard.connect,
      headersTimeout: this.options.headersTimeoutMs,
      bodyTimeout: this.options.stallTimeoutMs,
      allowH2: false,
      connections: 1,
    });
    const deadline = AbortSignal.timeout(this.options.deadlineMs);
    const ended = AbortSignal.any([signal, deadline]);
    const close = () => agent.destroy().catch(() => {}); // Closing twice rejects, and there is nothing left to do.
    let isOpen = false;
    const explain = (error: unknown): Error => {
      if (signal.aborted) return signal.reason;
      if (deadline.aborted) {
        return new StorageError('SOURCE_TIMEOUT', `source was not read within ${this.options.deadlineMs / 1_000} s`);
      }
      return toSourceError(error, this.options, isOpen);
    };
    try {
      const response = await this.follow(url, agent, ended);
      const headers = readBodyHeaders(response.headers, this.options);
      isOpen = true;
      const surplus = watchForSurplus(agent);
      const body = this.check(response.body, headers.contentLength, surplus, explain);
      body.once('close', close);
      return { ...headers, body };
    } catch (error) {
      await close();
      throw explain(error);
    }
  }

  private async follow(first: URL, agent: Agent, signal: AbortSignal) {
    let url = first;
    for (let redirects = 0; ; redirects += 1) {
      const response = await request(url, {
        dispatcher: agent,
        signal,
        headers: { 'accept-encoding': 'identity', accept: '*/*', 'user-agent': USER_AGENT },
      });
      if (response.statusCode === 200) return response;
      // The body of an answer that is not the file is never read: it may be endless.
      response.body.on('error', () => {}).destroy();
      if (!REDIRECT_STATUSES.has(response.statusCode)) {
        throw new StorageError('SOURCE_STATUS', `source answered ${response.statusCode}`);
      }
      if (redirects >= this.options.maxRedirects) {
        throw new StorageError('SOURCE_REDIRECT', `source redirected more than ${this.options.maxRedirects} times`);
      }
      url = this.parseRedirect(response.headers.location, url);
    }
  }

  private parseRedirect(location: string | string[] | undefined, base: URL): URL {
    if (typeof location !== 'string' || location === '' || !URL.canParse(location, base.href)) {
      throw new StorageError('SOURCE_REDIRECT', 'source redirected without a usable Location');
    }
    const target = this.parseUrl(new URL(location, base.href).href);
    if (base.protocol === 'https:' && target.protocol === 'http:') {
      throw new StorageError('SOURCE_REDIRECT', 'source redirected from https to http');
    }
    return target;
  }

  /** Passes the body on, counted; ends only where the end is proven. */
  private check(
    body: Readable,
    contentLength: number | null,
    surplus: Surplus,
    explain: (error: unknown) => Error,
  ): Readable {
    const { maxBytes } = this.options;
    let bytes = 0;
    const checked = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        bytes += chunk.length;
        if (bytes <= maxBytes) return done(null, chunk);
        done(new StorageError('SOURCE_TOO_LARGE', `source has more than ${maxBytes} bytes (SOURCE_MAX_BYTES)`));
      },
      flush(done) {
        if (bytes === 0 && contentLength !== 0) {
          return done(
            new StorageError('SOURCE_EMPTY', 'source ended without a byte and did not announce an empty file'),
          );
        }
        if (contentLength === null) return done();
        surplus.wasSeen().then((wasSeen) => {
          const message = `source sent more than the ${contentLength} bytes it announced`;
          done(wasSeen ? new StorageError('SOURCE_PROTOCOL', message) : null);
        }, done);
      },
      destroy(error, done) {
        body.destroy();
        done(error);
      },
    });
    // Not `pipeline`: it would hand on undici's error instead of the one for people.
    finished(body, { writable: false }, (error) => {
      if (error) checked.destroy(explain(error));
    });
    return body.pipe(checked);
  }
}

interface Surplus {
  /** Whether the source kept sending after the announced end of the body. */
  wasSeen(): Promise<boolean>;
}

/**
 * A body is cut at its Content-Length, so a source that announced too little would silently give half a file. What
 * comes after the end reaches undici as bytes that belong to no request: it then drops the connection as "bad
 * response" (lib/dispatcher/client-h1.js, onMessageBegin), and says so with no code of its own.
 */
function watchForSurplus(agent: Agent): Surplus {
  let wasSeen = false;
  const seen = new Promise<void>((resolve) => {
    agent.on('disconnect', (_origin, _targets, error) => {
      wasSeen ||= error instanceof errors.HTTPParserError || error.message === 'bad response';
      resolve();
    });
  });
  return {
    async wasSeen() {
      let timer: NodeJS.Timeout | undefined;
      await Promise.race([seen, new Promise((resolve) => (timer = setTimeout(resolve, SURPLUS_WINDOW_MS)))]);
      clearTimeout(timer);
      return wasSeen;
    },
  };
}

function readBodyHeaders(
  headers: Record<string, string | string[] | undefined>,
  { maxBytes }: SourceOptions,
): Pick<OpenSource, 'contentLength' | 'contentEncoding'> {
  const transferEncoding = String(headers['transfer-encoding'] ?? '').toLowerCase();
  if (transferEncoding !== '' && transferEncoding !== 'chunked') {
    // undici hands over `gzip, chunked` still coded, as if it were the file.
    throw new StorageError('SOURCE_PROTOCOL', 'source used a Transfer-Encoding other than chunked');
  }
  const contentLength = headers['content-length'] === undefined ? null : Number(headers['content-length']);
  if (contentLength !== null && !Number.isSafeInteger(contentLength)) {
    throw new StorageError('SOURCE_PROTOCOL', 'source announced a Content-Length that is no number');
  }
  if (contentLength === null && transferEncoding === '') {
    throw new StorageError(
      'SOURCE_LENGTH_UNPROVEN',
      'source gave neither Content-Length nor chunks, so the end of its file cannot be told from a broken connection',
    );
  }
  if (contentLength !== null && contentLength > maxBytes) {
    throw new StorageError(
      'SOURCE_TOO_LARGE',
      `source has ${contentLength} bytes, and ${maxBytes} are allowed (SOURCE_MAX_BYTES)`,
    );
  }
  const contentEncoding = String(headers['content-encoding'] ?? 'identity').toLowerCase();
  return { contentLength, contentEncoding: contentEncoding === 'identity' ? null : contentEncoding };
}

/** undici's errors, named for people. Details of addresses stay in the cause, which only the log sees. */
function toSourceError(error: unknown, options: SourceOptions, isOpen: boolean): StorageError {
  if (error instanceof StorageError) return error;
  if (error instanceof errors.HeadersTimeoutError) {
    return new StorageError('SOURCE_TIMEOUT', `source sent no headers within ${options.headersTimeoutMs} ms`, {
      cause: error,
    });
  }
  if (error instanceof errors.BodyTimeoutError) {
    return new StorageError('SOURCE_TIMEOUT', `source sent nothing for ${options.stallTimeoutMs} ms`, { cause: error });
  }
  if (error instanceof errors.HTTPParserError || error instanceof errors.HeadersOverflowError) {
    return new StorageError('SOURCE_PROTOCOL', 'source did not speak proper HTTP', { cause: error });
  }
  const { code } = error as { code?: unknown };
  if (isOpen && (error instanceof errors.SocketError || code === 'ECONNRESET' || code === 'EPIPE')) {
    return new StorageError('SOURCE_TRUNCATED', 'source closed the connection before the end of the file', {
      cause: error,
    });
  }
  return new StorageError('SOURCE_UNREACHABLE', 'source cannot be reached, or gave no answer', { cause: error });
}
