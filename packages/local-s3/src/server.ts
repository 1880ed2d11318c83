import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SignatureVerifier, UNSIGNED_PAYLOAD, type VerifiedSignature } from './auth/sigv4.js';
import { corsHeaders, matchCorsRule } from './cors-rules.js';
import { S3Error, systemErrorCode } from './errors.js';
import { isHeaderValue } from './http/header-value.js';
import { RequestBody } from './http/request-body.js';
import { parseRequestTarget, type RequestTarget } from './http/request-target.js';
import { drainRequest } from './http/unread-body.js';
import { LifecycleRounds } from './lifecycle-rounds.js';
import { DAY_MS } from './lifecycle-rules.js';
import { Exchange, type ServerSettings } from './operations/exchange.js';
import { postObject } from './operations/post-object.js';
import { operationOf } from './operations/router.js';
import { Store } from './store/store.js';
import { element, errorDocument } from './xml.js';

const DEFAULT_HOST = '127.0.0.1';
const DEFAULT_REGION = 'us-east-1';
const MAX_KEY_BYTES = 1024;
/** Requests that run at `close` have this long to end. */
const CLOSE_GRACE_MS = 5000;
/** A presigned URL of a 1,024-byte key, each byte percent-encoded, with overrides fits well into this. */
const MAX_HEADER_BYTES = 64 * 1024;
const KEEP_ALIVE_MS = 60_000;
/** A connection without a byte in either direction for this long is dropped, and an upload on it forgotten. */
const IDLE_TIMEOUT_MS = 10 * 60 * 1000;

export interface LocalS3Options {
  /** Made when missing. One server at a time can use it. */
  dataDir: string;
  /** Default 127.0.0.1. */
  host?: string;
  /** Default 0: any free port. */
  port?: number;
  /** Default us-east-1. Requests signed for another region are refused. */
  region?: string;
  accessKeyId: string;
  secretAccessKey: string;
  /** How long a day of a lifecycle rule lasts, in ms. Default 24 h; tests make it short. */
  lifecycleDayMs?: number;
}

export interface LocalS3 {
  /** For example http://127.0.0.1:9000, without a slash at its end. */
  readonly endpoint: string;
  readonly port: number;
  /** Stops listening, gives running requests 5 s to end, and lets go of the data folder. */
  close(): Promise<void>;
}

/**
 * Starts an S3 server in this process.
 * @throws Error when the port is taken, or the folder not writable or in use by another server
 */
export async function startLocalS3(options: LocalS3Options): Promise<LocalS3> {
  const store = await Store.open(options.dataDir);
  const host = options.host ?? DEFAULT_HOST;
  const settings = { region: options.region ?? DEFAULT_REGION, lifecycleDayMs: options.lifecycleDayMs ?? DAY_MS };
  const handler = new RequestHandler(store, settings, new SignatureVerifier({ ...options, ...settings }));
  const rounds = new LifecycleRounds(store, settings.lifecycleDayMs);
  const server = createServer({ maxHeaderSize: MAX_HEADER_BYTES, keepAliveTimeout: KEEP_ALIVE_MS, requestTimeout: 0 });
  server.on('request', (request, response) => handler.handle(request, response, false));
  server.on('checkContinue', (request, response) => handler.handle(request, response, true));
  server.on('clientError', (_, socket) => {
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
    else socket.destroy();
  });
  server.timeout = IDLE_TIMEOUT_MS;
  try {
    await listen(server, host, options.port ?? 0);
  } catch (error) {
    await store.close();
    throw error;
  }
  rounds.start();
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
    port,
    close: async () => {
      await closeServer(server);
      await handler.idle();
      await rounds.stop();
      await store.close();
    },
  };
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      const code = systemErrorCode(error);
      const reason = code === 'EADDRINUSE' ? `Port ${port} on ${host} is taken` : `Cannot listen on ${host}:${port}`;
      reject(new Error(`${reason} (${code ?? error.message}).`, { cause: error }));
    });
    server.listen(port, host, resolve);
  });
}

async function closeServer(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
  await closed;
  clearTimeout(timer);
}

/** What a body without a signature of its own is read by. */
const UNSIGNED: VerifiedSignature = {
  payloadHash: UNSIGNED_PAYLOAD,
  signature: '',
  sign: () => '',
  timestamp: '',
  scope: '',
};

class RequestHandler {
  readonly #running = new Set<Promise<void>>();

  constructor(
    private readonly store: Store,
    private readonly settings: ServerSettings,
    private readonly verifier: SignatureVerifier,
  ) {}

  handle(request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): void {
    const run = new RequestRun(this.store, this.settings, this.verifier, request, response, expectsContinue);
    const running = run.answer().finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Resolves when no request is in hand, so that no temporary file is left. */
  async idle(): Promise<void> {
    await Promise.allSettled(this.#running);
  }
}

class RequestRun {
  readonly #requestId = randomBytes(8).toString('hex').toUpperCase();
  #target: RequestTarget | undefined;
  #awaitsContinue: boolean;

  constructor(
    private readonly store: Store,
    private readonly settings: ServerSettings,
    private readonly verifier: SignatureVerifier,
    private readonly request: IncomingMessage,
    private readonly response: ServerResponse,
    expectsContinue: boolean,
  ) {
    this.#awaitsContinue = expectsContinue;
  }

  async answer(): Promise<void> {
    // Without a listener the reset of a client would end the process; whoever reads or writes learns of it anyway.
    this.request.on('error', () => {});
    this.response.on('error', () => {});
    try {
      await this.#dispatch();
    } catch (error) {
      await this.#answerError(error).catch(() => this.response.destroy()); // Nothing more can be said on this connection.
    }
  }

  async #dispatch(): Promise<void> {
    const { request, response } = this;
    response.setHeader('server', 'local-s3');
    response.setHeader('server', 'local-s3');
    response.setHeader('x-amz-request-id', this.#requestId);
    response.setHeader('x-amz-id-2', randomBytes(24).toString('base64'));
    const target = parseRequestTarget(request.url ?? '/', request.headers.host ?? '');
    this.#target = target;
    if (request.method === 'OPTIONS') {
      this.#answerPreflight(target);
      return;
    }
    this.#addCorsHeaders(target);
    if (isFormUpload(request, target)) {
      // Its signature is in the form, and is of the policy.
      await postObject(this.#exchange(target, UNSIGNED), this.verifier);
      return;
    }
    const signature = this.verifier.verify(request, target);
    if (Buffer.byteLength(target.key) > MAX_KEY_BYTES) {
      throw new S3Error('KeyTooLongError', 'Your key is too long', {
        Size: Buffer.byteLength(target.key),
        MaxSizeAllowed: MAX_KEY_BYTES,
      });
    }
    adoptQueryHeaders(request, target);
    const isCopy = request.headers['x-amz-copy-source'] !== undefined;
    const { handle, checksumsAreOfObject } = operationOf(request.method ?? '', target, isCopy);
    await handle(this.#exchange(target, signature, { checksumsAreOfBody: !checksumsAreOfObject }));
  }

  #exchange(target: RequestTarget, signature: VerifiedSignature, { checksumsAreOfBody = true } = {}): Exchange {
    const body = new RequestBody(this.request, signature, () => this.#continue(), { checksumsAreOfBody });
    return new Exchange(this.request, this.response, target, body, this.store, this.settings);
  }

  #continue(): void {
    if (!this.#awaitsContinue) return;
    this.#awaitsContinue = false;
    this.response.writeContinue();
  }

  #answerPreflight(target: RequestTarget): void {
    const { headers } = this.request;
    const method = headers['access-control-request-method'];
    if (headers.origin === undefined || method === undefined) {
      throw new S3Error(
        'BadRequest',
        'Insufficient information. Origin and Access-Control-Request-Method headers needed.',
      );
    }
    const bucket = this.store.find(target.bucket);
    if (!bucket) throw new S3Error('AccessForbidden', 'CORSResponse: Bucket not found');
    const { corsRules } = bucket.metadata;
    if (!corsRules) throw new S3Error('AccessForbidden', 'CORSResponse: CORS is not enabled for this bucket.');
    const requested = (headers['access-control-request-headers'] ?? '')
      .split(',')
      .map((name) => name.trim().toLowerCase())
      .filter((name) => name !== '');
    const rule = matchCorsRule(corsRules, headers.origin, method, requested);
    if (!rule) {
      throw new S3Error(
        'AccessForbidden',
        'CORSResponse: This CORS request is not allowed. No rule of the bucket fits its origin, method and headers.',
        { Method: method, ResourceType: target.key === '' ? 'BUCKET' : 'OBJECT' },
      );
    }
    const answer = corsHeaders(rule, headers.origin);
    if (requested.length > 0) answer['access-control-allow-headers'] = requested.join(', ');
    this.response.writeHead(200, { ...answer, 'content-length': 0 }).end();
  }

  /** Set before anything can fail: a browser may read an error only when it carries them too. */
  #addCorsHeaders(target: RequestTarget): void {
    const { origin } = this.request.headers;
    const rules = this.store.find(target.bucket)?.metadata.corsRules;
    if (!rules) return;
    const rule = origin && matchCorsRule(rules, origin, this.request.method ?? '', []);
    if (!rule) {
      this.response.setHeader('vary', 'Origin, Access-Control-Request-Headers, Access-Control-Request-Method');
      return;
    }
    for (const [name, value] of Object.entries(corsHeaders(rule, origin))) this.response.setHeader(name, value);
  }

  async #answerError(error: unknown): Promise<void> {
    const { request, response } = this;
    if (response.headersSent || response.destroyed || request.socket.destroyed) {
      response.destroy(); // A body cut short is all that can still tell the client.
      return;
    }
    const known = error instanceof S3Error ? error : new S3Error('InternalError', 'We encountered an internal error.');
    if (known !== error) process.stderr.write(`local-s3: ${error instanceof Error ? error.stack : String(error)}\n`);
    const body = Buffer.from(
      errorDocument(
        element('Code', known.code),
        element('Message', known.message),
        ...Object.entries(known.details).map(([name, value]) => element(name, value)),
        element('Resource', this.#target?.path ?? ''),
        element('RequestId', this.#requestId),
      ),
    );
    if (known.code === 'InvalidRange') response.setHeader('content-range', `bytes */${known.details.ActualObjectSize}`);
    if (known.details.Region !== undefined) response.setHeader('x-amz-bucket-region', known.details.Region);
    response.setHeader('content-type', 'application/xml');
    if (request.method === 'HEAD') {
      response.writeHead(known.status).end();
      return;
    }
    response.setHeader('content-length', body.length);
    if (hasUnreadBody(request)) {
      response.setHeader('connection', 'close');
      response.writeHead(known.status);
      // The client has the whole answer now; ending the response would reset the connection under its upload.
      response.write(body);
      await drainRequest(request);
      response.end();
      return;
    }
    response.writeHead(known.status).end(body);
  }
}

/** A presigned query can carry headers: the presigner moves x-amz-* there, and S3 reads them from either place. */
function adoptQueryHeaders(request: IncomingMessage, target: RequestTarget): void {
  for (const { name, value } of target.query) {
    if (!name.startsWith('x-amz-')) continue;
    // As a header the value would have been these bytes, one character each.
    const header = Buffer.from(value).toString('latin1');
    if (!isHeaderValue(header)) {
      throw new S3Error('InvalidArgument', 'The value cannot be a header.', { ArgumentName: name });
    }
    request.headers[name] ??= header;
  }
}

/** A form of a browser: its bucket takes it, and nothing but the form is signed. */
function isFormUpload(request: IncomingMessage, target: RequestTarget): boolean {
  return (
    request.method === 'POST' &&
    target.bucket !== '' &&
    target.key === '' &&
    target.query.length === 0 &&
    request.headers.authorization === undefined &&
    /^multipart\/form-data\b/i.test(request.headers['content-type'] ?? '')
  );
}

function hasUnreadBody(request: IncomingMessage): boolean {
  const hasBody =
    Number(request.headers['content-length'] ?? 0) > 0 || request.headers['transfer-encoding'] !== undefined;
  return hasBody && !request.complete;
}
