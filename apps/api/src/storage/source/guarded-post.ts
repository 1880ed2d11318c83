import { Inject, Injectable, Logger, Optional } from '@nestjs/common';
import { Agent, type Dispatcher } from 'undici';
import { StorageError } from '../storage.errors.js';
import { type SourceOptions, STORAGE_OPTIONS, type StorageOptions } from '../storage.options.js';
import { AddressGuard } from './address-guard.js';
import { HostLookup } from './host-lookup.js';
import { readRetryAfterMs } from './source-answer.js';
import { SOURCE_SEAMS, type SourceSeams } from './source-reader.js';
import { parseSourceUrl } from './source-url.js';

/** Of an answer, none of which is kept: enough for a polite receiver to finish its sentence. */
const ANSWER_LIMIT_BYTES = 64 * 1024;

export interface GuardedPostRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** For all of it: look-up, connection, request and answer. */
  readonly timeoutMs: number;
}

/** What came of it. `reason` is for users: it tells nothing of the network behind us. */
export type PostOutcome = { readonly status: number; readonly retryAfterMs: number } | { readonly reason: string };

/**
 * Posts to addresses that users name, under the guard of sources: every connection is judged, none is used twice. A
 * redirect is an answer like any other, and is not followed.
 */
@Injectable()
export class GuardedPost {
  private readonly logger = new Logger(GuardedPost.name);
  private readonly options: SourceOptions;
  private readonly guard: AddressGuard;

  constructor(
    @Inject(STORAGE_OPTIONS) { source }: StorageOptions,
    @Optional() @Inject(SOURCE_SEAMS) seams?: SourceSeams,
    @Optional() lookup?: HostLookup,
  ) {
    this.options = source;
    this.guard = new AddressGuard({ ...source, ...seams, lookup });
  }

  /** @throws StorageError SOURCE_URL_INVALID, SOURCE_ADDRESS_BLOCKED by its name */
  parseUrl(raw: string): URL {
    try {
      return parseSourceUrl(raw, this.options);
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      throw new StorageError(error.code, error.message.replace(/^source/, 'webhook'), { cause: error });
    }
  }

  /** @throws the signal's reason when it aborts */
  async send(request: GuardedPostRequest, signal: AbortSignal): Promise<PostOutcome> {
    const limit = AbortSignal.timeout(request.timeoutMs);
    const ended = AbortSignal.any([signal, limit]);
    const agent = new Agent({
      connect: (options, callback) => this.guard.connect({ ...options, signal: ended }, callback),
      connections: 1,
      allowH2: false,
    });
    // A request that waits for its connection does not hear a signal of its own: the agent's end ends it.
    const end = () => void agent.destroy(ended.aborted ? (ended.reason as Error) : null).catch(() => {}); // It had ended already.
    ended.addEventListener('abort', end, { once: true });
    try {
      const { statusCode, headers, body } = await agent.request(toDispatch(this.parseUrl(request.url), request));
      await discard(body);
      return { status: statusCode, retryAfterMs: readRetryAfterMs(headers) };
    } catch (error) {
      signal.throwIfAborted();
      this.logger.debug({ err: error }, 'a post failed');
      if (limit.aborted) return { reason: `no answer within ${request.timeoutMs} ms` };
      return { reason: describeFailure(error) };
    } finally {
      ended.removeEventListener('abort', end);
      end();
    }
  }
}

function toDispatch(url: URL, { headers, body }: GuardedPostRequest): Dispatcher.RequestOptions {
  return { origin: url.origin, path: `${url.pathname}${url.search}`, method: 'POST', headers, body };
}

/** The status has come by then, and counts: how its body ends does not. */
async function discard(body: AsyncIterable<Buffer>): Promise<void> {
  let readBytes = 0;
  try {
    for await (const chunk of body) {
      readBytes += chunk.length;
      if (readBytes >= ANSWER_LIMIT_BYTES) return;
    }
  } catch {
    // A body that was cut, or is slower than the limit allows.
  }
}

function describeFailure(error: unknown): string {
  if (!(error instanceof StorageError)) return 'the receiver cannot be reached, or gave no proper answer';
  return error.message.replace(/^source/, 'webhook');
}
