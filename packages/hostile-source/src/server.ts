import { EventEmitter, once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { BEHAVIOURS, type BehaviourName, isBehaviourName } from './all-behaviours.js';
import type { Behaviour } from './behaviour.js';
import { type Certificates, makeCertificates } from './certificates.js';
import { Connection, ConnectionGone } from './connection.js';
import type { FileContent } from './content.js';
import { Exchange, HeadAnswered } from './exchange.js';
import { FileStates } from './file-state.js';
import { LISTENERS, type Listener, type ListenerName, type Origins } from './listeners.js';
import { overridesOf, type ParameterValues } from './parameters.js';
import { parseRequestHead, type RequestHead } from './request-head.js';
import type { RequestRecord } from './request-record.js';

const HOST = '127.0.0.1';
const FILE_NAME = 'video.mp4';

export interface HostileSourceOptions {
  /** 0, the default, takes any free port. */
  readonly httpPort?: number;
  readonly httpsPort?: number;
}

export interface UrlOptions {
  /** Requests to URLs of one id share what the server remembers. By default every URL has an id of its own. */
  readonly id?: string;
  /** Instead of the behaviour's own port. */
  readonly listener?: ListenerName;
}

export interface HostileSource {
  readonly httpUrl: string;
  readonly httpsUrl: string;
  /** Every port by name; the TLS faults have ports of their own. */
  readonly origins: Origins;
  /** PEM of the authority that a client of httpsUrl has to trust. */
  readonly certificate: string;
  /**
   * A URL that behaves so. Parameters that are left out have the values of the behaviour's example.
   * @throws Error for a parameter the behaviour does not take
   */
  urlOf(behaviour: BehaviourName, parameters?: ParameterValues, options?: UrlOptions): string;
  /** In order of arrival; entries of running answers grow. */
  readonly requests: readonly RequestRecord[];
  /** Those of one URL, redirects of its own included. */
  requestsOf(url: string): RequestRecord[];
  /** Resolves when so many requests of this URL have arrived. */
  requestsArrived(url: string, count: number): Promise<void>;
  readonly openConnections: number;
  readonly peakConnections: number;
  readonly acceptedConnections: number;
  /** Connections that the client closed or broke first. */
  readonly connectionsClosedByPeer: number;
  /** Resolves when no connection is open. */
  connectionsClosed(): Promise<void>;
  /** Breaks every connection and frees the ports. @throws AggregateError when the script of a behaviour has failed */
  close(): Promise<void>;
}

/** Starts the server on 127.0.0.1. @throws Error when a port is taken */
export async function startHostileSource(options: HostileSourceOptions = {}): Promise<HostileSource> {
  const source = new RunningSource(await makeCertificates());
  await source.listen(options);
  return source;
}

class RunningSource implements HostileSource {
  readonly requests: RequestRecord[] = [];
  readonly certificate: string;
  origins!: Origins;
  peakConnections = 0;
  acceptedConnections = 0;
  connectionsClosedByPeer = 0;
  readonly #servers: Server[] = [];
  readonly #connections = new Set<Connection>();
  readonly #states = new FileStates();
  readonly #scriptErrors: unknown[] = [];
  readonly #arrivals = new EventEmitter().setMaxListeners(0);
  #lastFileId = 0;

  constructor(private readonly certificates: Certificates) {
    this.certificate = certificates.authority;
  }

  get httpUrl(): string {
    return this.origins.http;
  }

  get httpsUrl(): string {
    return this.origins.https;
  }

  get openConnections(): number {
    return this.#connections.size;
  }

  async listen(options: HostileSourceOptions): Promise<void> {
    const ports: Partial<Record<ListenerName, number>> = { http: options.httpPort, https: options.httpsPort };
    const origins: Partial<Record<ListenerName, string>> = {};
    try {
      for (const name of Object.keys(LISTENERS) as ListenerName[]) {
        const port = await this.#open(name, ports[name] ?? 0);
        origins[name] = `${LISTENERS[name].scheme}://${HOST}:${port}`;
      }
    } catch (error) {
      await this.close();
      throw error;
    }
    this.origins = origins as Origins;
  }

  urlOf(name: BehaviourName, parameters: ParameterValues = {}, options: UrlOptions = {}): string {
    const { example, listener } = BEHAVIOURS[name];
    const unknown = Object.keys(parameters).filter((parameter) => !(parameter in example));
    if (unknown.length > 0) throw new Error(`${name} does not take ${unknown.join(', ')}`);
    this.#lastFileId += 1;
    const url = new URL(
      `/${name}/${options.id ?? this.#lastFileId}/${FILE_NAME}`,
      this.origins[options.listener ?? listener],
    );
    for (const [parameter, value] of Object.entries({ ...example, ...parameters })) {
      url.searchParams.set(parameter, String(value));
    }
    return url.href;
  }

  requestsOf(url: string): RequestRecord[] {
    const { behaviour, id } = placeOf(new URL(url));
    return this.requests.filter((request) => request.behaviour === behaviour && request.id === id);
  }

  async requestsArrived(url: string, count: number): Promise<void> {
    while (this.requestsOf(url).length < count) await once(this.#arrivals, 'request');
  }

  async connectionsClosed(): Promise<void> {
    while (this.#connections.size > 0) await Promise.all([...this.#connections].map(({ closed }) => closed));
  }

  async close(): Promise<void> {
    const closed = this.#servers.map(async (server) => {
      server.close();
      await once(server, 'close');
    });
    for (const connection of this.#connections) connection.destroy();
    await Promise.all(closed);
    if (this.#scriptErrors.length > 0) throw new AggregateError(this.#scriptErrors, 'Scripts of behaviours failed.');
  }

  async #open(name: ListenerName, port: number): Promise<number> {
    const server = createServer((socket) => this.#accept(name, socket));
    server.listen(port, HOST);
    await once(server, 'listening');
    this.#servers.push(server);
    return (server.address() as AddressInfo).port;
  }

  #accept(name: ListenerName, socket: Socket): void {
    const listener: Listener = LISTENERS[name];
    const context = listener.certificate && this.certificates.contexts[listener.certificate];
    this.acceptedConnections += 1;
    const connection = new Connection(this.acceptedConnections, socket, context);
    this.#connections.add(connection);
    this.peakConnections = Math.max(this.peakConnections, this.#connections.size);
    socket.once('close', () => {
      this.#connections.delete(connection);
      if (connection.isEndedByPeer) this.connectionsClosedByPeer += 1;
    });
    const work = listener.tlsFault ? breakTls(connection, listener.tlsFault) : this.#serve(name, connection);
    work.catch((error: unknown) => {
      connection.destroy();
      // A client that leaves is what many scripts wait for.
      if (!(error instanceof ConnectionGone)) this.#scriptErrors.push(error);
    });
  }

  async #serve(listener: ListenerName, connection: Connection): Promise<void> {
    while (!connection.isEndedByUs) {
      const text = await connection.readHead();
      if (text === undefined) return;
      const request = parseRequestHead(text);
      if (!request) return refuse(connection, 400, 'Bad Request');
      await this.#answer(listener, connection, request);
      if (!request.isKeepAlive) connection.end();
    }
  }

  async #answer(listener: ListenerName, connection: Connection, request: RequestHead): Promise<void> {
    const url = new URL(`${this.origins[listener]}${request.target}`);
    const { behaviour: name, id } = placeOf(url);
    if (!isBehaviourName(name)) return refuse(connection, 404, 'No Such Behaviour');
    const behaviour: Behaviour = BEHAVIOURS[name];
    const values = { ...behaviour.example, ...overridesOf(url.searchParams, behaviour.example) };
    const record = recordOf(request, { behaviour: name, id, listener, connectionId: connection.id });
    const state = this.#states.of(name, id);
    this.requests.push(record);
    connection.requests += 1;
    this.#arrivals.emit('request');
    if (request.method !== 'HEAD') state.requests += 1;
    state.running += 1;
    const { sizeBytes, seed } = values;
    const { origins } = this;
    try {
      const file = { sizeBytes, seed };
      await behaviour.handle(new Exchange({ connection, request, record, state, file, origins, url }), values);
    } catch (error) {
      if (!(error instanceof HeadAnswered)) throw error;
    } finally {
      state.running -= 1;
      record.isOver = true;
    }
  }
}

function placeOf(url: URL): { behaviour: string; id: string } {
  const [behaviour = '', id = ''] = url.pathname.slice(1).split('/');
  return { behaviour, id };
}

/** The file behind a URL of this server; not what a behaviour may send in its place. */
export function fileOf(url: string): FileContent {
  const { searchParams } = new URL(url);
  return { seed: Number(searchParams.get('seed')), sizeBytes: Number(searchParams.get('sizeBytes')) };
}

function recordOf(
  request: RequestHead,
  about: Pick<RequestRecord, 'behaviour' | 'id' | 'listener' | 'connectionId'>,
): RequestRecord {
  const { method, target, headers } = request;
  return {
    ...about,
    method,
    target,
    headers,
    headerNames: Object.keys(headers),
    range: headers.range,
    ifRange: headers['if-range'],
    atMs: Date.now(),
    status: undefined,
    bodyBytes: 0,
    isOver: false,
  };
}

async function breakTls(connection: Connection, fault: NonNullable<Listener['tlsFault']>): Promise<void> {
  await connection.firstBytes();
  if (fault === 'reset-in-handshake') connection.reset();
  else if (fault === 'plain-answer') await refuse(connection, 400, 'Bad Request');
  else await connection.stall();
}

async function refuse(connection: Connection, status: number, reason: string): Promise<void> {
  await connection.write(`HTTP/1.1 ${status} ${reason}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
  connection.end();
}
