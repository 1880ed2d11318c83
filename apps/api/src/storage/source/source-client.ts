import { Agent, type buildConnector, type Dispatcher, errors } from 'undici';
import { StorageError } from '../storage.errors.js';
import type { SourceOptions } from '../storage.options.js';
import type { AddressGuard } from './address-guard.js';
import { readRetryAfterMs, type SourceHeaders } from './source-answer.js';
import { SourceBody } from './source-body.js';
import { type Remedy, SourceFault } from './source-fault.js';
import { parseSourceUrl } from './source-url.js';

const USER_AGENT = 's3-transfer/0.1';
const REDIRECT_STATUSES = new Set([301, 302, 303, 307, 308]);
/** Answers that come after a redirect and say that its target has had its time, not that the file is gone. */
const EXPIRED_STATUSES = new Set([401, 403, 404, 410]);
const RETRIED_STATUSES = new Set([408, 425, 429, 500, 502, 503, 504]);
/** How long a finished body may still show bytes beyond its Content-Length before the connection is closed. In ms. */
const SURPLUS_WINDOW_MS = 20;

/** Where a file is asked for, with the headers of the caller, which go to this origin alone. */
export interface SourceTarget {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
}

export interface SourceQuestion {
  /** `bytes=0-99`; null: the whole file. */
  readonly range: string | null;
  /** Sent with a range: the version it must be of. */
  readonly ifRange: string | null;
}

/** 200, 206 or 416; every other status is a SourceFault. */
export interface SourceAnswer {
  readonly status: number;
  readonly headers: SourceHeaders;
  readonly body: SourceBody;
  /** What answered, after redirects. */
  readonly target: SourceTarget;
}

/** One connection to a source at a time; each hop is parsed and judged like the first. */
export class SourceClient {
  private readonly agent: Agent;
  private readonly closing = new AbortController();
  private isSocketBroken = false;
  private dropped = Promise.withResolvers<void>();
  private isSurplus = false;

  constructor(
    private readonly guard: AddressGuard,
    private readonly options: SourceOptions,
  ) {
    // Its sockets, and what they say after a body, belong to this file alone. Time limits are kept elsewhere: undici's
    // begin anew with each informational answer, and a flood of those would never end.
    this.agent = new Agent({
      connect: (options, callback) => this.connect(options, callback),
      headersTimeout: 0,
      bodyTimeout: 0,
      allowH2: false,
      connections: 1,
    });
    this.agent.on('disconnect', (_origin, _targets, error) => {
      this.isSurplus ||= error instanceof errors.HTTPParserError || error.message === 'bad response';
      this.dropped.resolve();
    });
  }

  /**
   * Asks, and follows redirects. Time to headers is limited, all hops together.
   *
   * @throws SourceFault; the reason of `signal`
   */
  async ask(target: SourceTarget, question: SourceQuestion, signal: AbortSignal): Promise<SourceAnswer> {
    const { headersTimeoutMs, maxRedirects } = this.options;
    const late = new AbortController();
    const timer = setTimeout(() => {
      late.abort(new SourceFault('SOURCE_TIMEOUT', `source sent no headers within ${headersTimeoutMs} ms`, 'retry'));
    }, headersTimeoutMs);
    const ended = AbortSignal.any([signal, late.signal]);
    try {
      let hop = target;
      for (let redirects = 0; ; redirects += 1) {
        const answer = await this.askOnce(hop, question, ended);
        if (answer.status === 200 || answer.status === 206 || answer.status === 416) return answer;
        // The body of an answer that is not the file is never read: it may be endless.
        answer.body.destroy(new Error('not the file'));
        if (!REDIRECT_STATUSES.has(answer.status)) throw toStatusFault(answer, hop !== target);
        if (redirects >= maxRedirects) {
          throw new SourceFault('SOURCE_REDIRECT', `source redirected more than ${maxRedirects} times`, 'final');
        }
        hop = this.parseRedirect(answer.headers.location, hop);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Whether the source kept sending after the announced end of the body that was asked for last. undici cuts a body at
   * its Content-Length, takes what follows for an answer to nothing, and drops the connection
   * (lib/dispatcher/client-h1.js, onMessageBegin).
   */
  async isSurplusSeen(): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise((resolve) => {
      timer = setTimeout(resolve, SURPLUS_WINDOW_MS);
    });
    await Promise.race([this.dropped.promise, patience]);
    clearTimeout(timer);
    return this.isSurplus;
  }

  /**
   * Whether the connection was reset. undici takes that for the end of a body that only the close of its connection
   * ends (lib/dispatcher/client-h1.js, onHttpSocketError).
   */
  get isBroken(): boolean {
    return this.isSocketBroken;
  }

  /** Closes its connection at once, also in the middle of a handshake or of a body. */
  close(): void {
    this.closing.abort(new Error('no longer used'));
    this.agent.destroy().catch(() => {}); // Closing twice rejects, and there is nothing left to do.
  }

  /** By the guard, with an eye on how the socket ends. */
  private connect(options: buildConnector.Options, callback: buildConnector.Callback): void {
    const { signal } = this.closing;
    this.guard.connect({ ...options, signal }, (...[error, socket]: buildConnector.CallbackArgs) => {
      if (error !== null) return callback(error, null);
      this.isSocketBroken = false;
      socket.once('error', (cause) => {
        // That the other side closed in order is an error too, of undici's own.
        this.isSocketBroken = !(cause instanceof errors.UndiciError);
      });
      callback(null, socket);
    });
  }

  private askOnce(hop: SourceTarget, question: SourceQuestion, signal: AbortSignal): Promise<SourceAnswer> {
    const { promise, resolve, reject } = Promise.withResolvers<SourceAnswer>();
    this.dropped = Promise.withResolvers<void>();
    this.isSurplus = false;
    let body: SourceBody | undefined;
    let abort = () => {};
    const fail = (error: Error) => {
      signal.removeEventListener('abort', abort);
      const fault = toSourceFault(error, body !== undefined);
      body?.handleError(fault);
      reject(fault);
    };
    const handler: Dispatcher.DispatchHandler = {
      onRequestStart: (controller) => {
        abort = () => controller.abort(signal.reason);
        if (signal.aborted) abort();
        else signal.addEventListener('abort', abort, { once: true });
      },
      onResponseStart: (controller, status, headers) => {
        if (status < 200) return;
        signal.removeEventListener('abort', abort);
        body = new SourceBody(controller);
        resolve({ status, headers, body, target: hop });
      },
      onResponseData: (_controller, chunk) => body?.handleChunk(chunk),
      onResponseEnd: () => body?.handleEnd(),
      onResponseError: (_controller, error) => fail(signal.aborted && body === undefined ? signal.reason : error),
    };
    // The connector may hold the request for seconds before it starts: the wait ends with the signal all the same.
    const giveUp = () => reject(signal.reason);
    signal.addEventListener('abort', giveUp, { once: true });
    try {
      this.agent.dispatch(
        {
          origin: hop.url.origin,
          path: `${hop.url.pathname}${hop.url.search}`,
          method: 'GET',
          headers: headersOf(hop, question),
        },
        handler,
      );
    } catch (error) {
      fail(error as Error);
    }
    return promise.finally(() => signal.removeEventListener('abort', giveUp));
  }

  private parseRedirect(location: string | string[] | undefined, from: SourceTarget): SourceTarget {
    const base = from.url;
    if (typeof location !== 'string' || location === '' || !URL.canParse(location, base.href)) {
      throw new SourceFault('SOURCE_REDIRECT', 'source redirected without a usable Location', 'final');
    }
    const url = parseSourceUrl(new URL(location, base.href).href, this.options);
    if (base.protocol === 'https:' && url.protocol === 'http:') {
      throw new SourceFault('SOURCE_REDIRECT', 'source redirected from https to http', 'final');
    }
    // Tokens are for the origin that the caller named. Once dropped they stay dropped, even on the way back.
    return { url, headers: url.origin === base.origin ? from.headers : {} };
  }
}

function headersOf({ headers }: SourceTarget, { range, ifRange }: SourceQuestion): Record<string, string> {
  return {
    'user-agent': USER_AGENT,
    accept: '*/*',
    ...headers,
    'accept-encoding': 'identity',
    ...(range !== null ? { range } : {}),
    ...(range !== null && ifRange !== null ? { 'if-range': ifRange } : {}),
  };
}

function toStatusFault({ status, headers }: SourceAnswer, isRedirected: boolean): SourceFault {
  let remedy: Remedy = 'final';
  if (RETRIED_STATUSES.has(status)) remedy = 'retry';
  // 404 of the link itself means no such file; of a redirect's target it may mean that the target has expired.
  if (EXPIRED_STATUSES.has(status) && (status !== 404 || isRedirected)) remedy = 'fresh-url';
  const retryAfterMs = readRetryAfterMs(headers);
  const wait =
    remedy === 'retry' && retryAfterMs > 0 ? `, to be asked again in ${Math.ceil(retryAfterMs / 1_000)} s` : '';
  return new SourceFault('SOURCE_STATUS', `source answered ${status}${wait}`, remedy, { retryAfterMs });
}

/** undici's errors, named for people. Details of addresses stay in the cause, which only the log sees. */
function toSourceFault(error: Error & { code?: unknown }, isAnswered: boolean): Error {
  if (error instanceof StorageError) return error;
  const options = { cause: error };
  if (error instanceof errors.HeadersOverflowError) {
    return new SourceFault('SOURCE_PROTOCOL', 'source sent more headers than are allowed', 'final', options);
  }
  if (error instanceof errors.HTTPParserError) {
    // In the middle of a body it is a chunk that was cut; before one it is not HTTP.
    return new SourceFault(
      'SOURCE_PROTOCOL',
      'source did not speak proper HTTP',
      isAnswered ? 'retry' : 'final',
      options,
    );
  }
  if (!isAnswered && isImproperHead(error)) {
    return new SourceFault('SOURCE_PROTOCOL', 'source did not speak proper HTTP', 'final', options);
  }
  if (isAnswered) {
    const message = 'source closed the connection before the end of the file';
    return new SourceFault('SOURCE_TRUNCATED', message, 'retry', options);
  }
  const isHopeless =
    error.code === 'ENOTFOUND' || String(error.code).startsWith('ERR_TLS') || isCertificateError(error);
  const message = 'source cannot be reached, or gave no answer';
  if (isHopeless) return new SourceFault('SOURCE_UNREACHABLE', message, 'final', { ...options, isRetryable: false });
  return new SourceFault('SOURCE_UNREACHABLE', message, 'retry', options);
}

/** A head that undici's parser takes, and undici does not: lengths that contradict each other, 100 and 101 unasked. */
function isImproperHead(error: Error): boolean {
  return error instanceof errors.ResponseContentLengthMismatchError || /^bad (response|upgrade)$/.test(error.message);
}

/** OpenSSL's verdicts on a certificate (Node's documentation, "X509 certificate error codes"). */
function isCertificateError({ code }: { code?: unknown }): boolean {
  return /^(CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|HOSTNAME_MISMATCH|INVALID_PURPOSE)/.test(String(code));
}
