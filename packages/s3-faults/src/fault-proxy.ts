import {
  type ClientRequest,
  createServer as createHttpServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { request as httpsRequest } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Socket, type Server as TcpServer } from 'node:net';
import { CallLog, type OpenCall, type S3Call } from './call-log.js';
import { resetConnection } from './connection-reset.js';
import { Exchange, type LastingEffect, type ProxyControls, type UploadAddress } from './exchange.js';
import { type FaultRule, FaultRules, type InjectedRule } from './fault-rules.js';
import { FAULT_NAMES, FAULTS, type FaultName } from './fault-table.js';
import type { Fault } from './faults/fault.js';
import { recogniseS3Request } from './s3-operation.js';

const HOST = '127.0.0.1';
const MAX_HEADER_BYTES = 64 * 1024;
const LISTEN_AGAIN_MS = 20;

export interface S3FaultProxyOptions {
  /** Endpoint URL of the store, http or https. */
  readonly target: string;
  /** Default 0: any free port. */
  readonly port?: number;
  /** What the probabilities of rules are drawn by. Default 1. */
  readonly seed?: number;
  /** Aborts an upload at the store itself, for the fault that needs it: the proxy has no keys of its own. */
  readonly abortUpload?: (upload: UploadAddress) => Promise<void>;
}

export interface S3FaultProxy {
  /** For example http://127.0.0.1:9000, without a slash at its end. Clients sign for this address. */
  readonly endpoint: string;
  /** Every request since the start, in the order of arrival. */
  readonly calls: readonly S3Call[];
  /** How often each fault was applied by a rule; later requests that it has an effect on are in `calls` alone. */
  readonly counts: Readonly<Record<FaultName, number>>;
  /** Connections of clients that are open now. */
  readonly openConnections: number;
  /** @throws Error when the rule is none that could ever apply */
  inject<Name extends FaultName>(rule: FaultRule<Name>): InjectedRule;
  /** Ends all rules and what is left of applied faults; `calls` and `counts` stay. */
  clear(): void;
  /** The first call, of those known or to come, that fulfils `holds` at any of its changes. */
  waitForCall(holds: (call: S3Call) => boolean): Promise<S3Call>;
  /** Drops all connections. */
  close(): Promise<void>;
}

/**
 * Starts a proxy in front of an S3 store. Without rules it changes nothing: the store sees the client's own Host header, so signatures
 * made for the proxy's address verify. Bodies are streamed both ways.
 */
export async function startS3FaultProxy(options: S3FaultProxyOptions): Promise<S3FaultProxy> {
  const proxy = new FaultProxy(options);
  await proxy.open(options.port ?? 0);
  return proxy;
}

class FaultProxy implements S3FaultProxy, ProxyControls {
  readonly log = new CallLog();
  readonly counts = Object.fromEntries(FAULT_NAMES.map((name) => [name, 0])) as Record<FaultName, number>;
  readonly #target: URL;
  readonly #rules: FaultRules;
  readonly #http: Server;
  readonly #sockets = new Set<Socket>();
  readonly #running = new Set<Promise<void>>();
  #effects: { readonly effect: LastingEffect; readonly fault: FaultName }[] = [];
  #listener: TcpServer | undefined;
  #comeBack: NodeJS.Timeout | undefined;
  readonly #timers = new Set<NodeJS.Timeout>();
  #port = 0;
  #isClosed = false;

  constructor(private readonly options: S3FaultProxyOptions) {
    this.#target = new URL(options.target);
    this.#rules = new FaultRules(options.seed ?? 1);
    // No limit of its own: a connection ends when the client, the store or a fault ends it.
    this.#http = createHttpServer({
      maxHeaderSize: MAX_HEADER_BYTES,
      keepAliveTimeout: 0,
      requestTimeout: 0,
      headersTimeout: 0,
    });
    this.#http.on('request', (request, response) => this.#handle(request, response, false));
    this.#http.on('checkContinue', (request, response) => this.#handle(request, response, true));
    this.#http.on('clientError', (_, socket) => socket.destroy());
  }

  get endpoint(): string {
    return `http://${HOST}:${this.#port}`;
  }

  get calls(): readonly S3Call[] {
    return this.log.calls;
  }

  get openConnections(): number {
    return this.#sockets.size;
  }

  inject<Name extends FaultName>(rule: FaultRule<Name>): InjectedRule {
    const fault: Fault | undefined = FAULTS[rule.fault];
    if (fault?.needsAbortUpload && !this.options.abortUpload) {
      throw new Error(`The fault ${rule.fault} needs a proxy that was started with abortUpload.`);
    }
    return this.#rules.inject(rule);
  }

  clear(): void {
    this.#rules.clear();
    this.#effects = [];
  }

  waitForCall(holds: (call: S3Call) => boolean): Promise<S3Call> {
    return this.log.waitFor(holds);
  }

  /** The sockets are accepted apart from the HTTP server, so that listening can stop while they live. */
  async open(port: number): Promise<void> {
    const listener = createTcpServer((socket) => this.#accept(socket));
    this.#listener = listener;
    await new Promise<void>((resolve, reject) => {
      listener.once('error', reject).listen(port, HOST, resolve);
    });
    this.#port = (listener.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#comeBack);
    for (const timer of this.#timers) clearTimeout(timer);
    this.#listener?.close();
    const closed = [...this.#sockets].map((socket) => new Promise((resolve) => socket.once('close', resolve)));
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(closed);
    await Promise.all(this.#running);
  }

  openRequest(request: IncomingMessage): ClientRequest {
    const { protocol, hostname, port } = this.#target;
    const open = protocol === 'https:' ? httpsRequest : httpRequest;
    const headers = [...request.rawHeaders];
    const hasBody = request.headers['content-length'] ?? request.headers['transfer-encoding'];
    // Without either Node would make it chunked, which S3 refuses.
    if (hasBody === undefined && request.method === 'POST') headers.push('content-length', '0');
    return open({
      hostname: hostname.replace(/^\[(.*)\]$/, '$1'),
      port: port || undefined,
      method: request.method,
      path: request.url,
      headers,
      maxHeaderSize: MAX_HEADER_BYTES,
      // A connection per request: a kept one could be closed by the store just then, a fault that no rule asked for.
      agent: false,
    });
  }

  addEffect(fault: FaultName, effect: LastingEffect): void {
    this.#effects.push({ effect, fault });
  }

  goDown(ms: number): void {
    this.#listener?.close();
    this.#listener = undefined;
    for (const socket of this.#sockets) resetConnection(socket);
    clearTimeout(this.#comeBack);
    this.#comeBack = setTimeout(() => this.#listenAgain(), ms);
  }

  later(ms: number, task: () => Promise<void>): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      const running = task()
        .catch(() => {}) // The client is gone, and the log shows that the store has not answered.
        .finally(() => this.#running.delete(running));
      this.#running.add(running);
    }, ms);
    this.#timers.add(timer);
  }

  async abortUpload(upload: UploadAddress): Promise<void> {
    if (!this.options.abortUpload) throw new Error('The proxy was started without abortUpload.');
    await this.options.abortUpload(upload);
  }

  #listenAgain(): void {
    this.open(this.#port).catch(() => {
      // Some other program was given the port for a connection of its own; it will not keep it.
      if (!this.#isClosed) this.#comeBack = setTimeout(() => this.#listenAgain(), LISTEN_AGAIN_MS);
    });
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    socket.on('error', () => {}); // The HTTP server tells whoever waits; without a listener it would end the process.
    this.#http.emit('connection', socket);
  }

  #handle(request: IncomingMessage, response: ServerResponse, awaitsContinue: boolean): void {
    const call = this.log.open(
      recogniseS3Request({
        method: request.method ?? '',
        url: request.url ?? '/',
        host: request.headers.host ?? '',
        isCopy: request.headers['x-amz-copy-source'] !== undefined,
      }),
    );
    const exchange = new Exchange(call, this, request, response, { awaitsContinue });
    const running = this.#run(exchange, call).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  async #run(exchange: Exchange, call: OpenCall): Promise<void> {
    try {
      await this.#apply(exchange, call);
    } catch {
      // One of the sides has ended: all that is left to do is to end the other one.
      if (!exchange.response.writableFinished) exchange.reset();
    }
    await exchange.over();
    this.log.update(call, { isOver: true });
  }

  async #apply(exchange: Exchange, call: OpenCall): Promise<void> {
    const lasting = this.#effectOn(exchange);
    if (lasting) {
      this.log.update(call, { fault: lasting.fault });
      await lasting.effect.apply(exchange);
      return;
    }
    const chosen = this.#rules.choose(call);
    if (!chosen) {
      await exchange.pass();
      return;
    }
    this.counts[chosen.name] += 1;
    this.log.update(call, { fault: chosen.name });
    await chosen.apply(exchange);
  }

  #effectOn(exchange: Exchange): { effect: LastingEffect; fault: FaultName } | undefined {
    for (const entry of [...this.#effects]) {
      const verdict = entry.effect.judge(exchange);
      if (verdict === 'apply') return entry;
      if (verdict === 'end') this.#effects = this.#effects.filter((candidate) => candidate !== entry);
    }
    return undefined;
  }
}
