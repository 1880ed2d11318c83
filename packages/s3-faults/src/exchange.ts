import { once } from 'node:events';
import type { ClientRequest, IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import type { CallChange, CallLog, OpenCall } from './call-log.js';
import { resetConnection } from './connection-reset.js';
import type { FaultName } from './fault-table.js';
import { errorDocument, requestId } from './s3-answers.js';

/** How long a client may go on with a body that the store has refused. */
const LINGER_MS = 1000;

export interface UploadAddress {
  readonly bucket: string;
  readonly key: string;
  readonly uploadId: string;
}

/** What outlives the request that a fault was applied to. */
export interface LastingEffect {
  /** Asked before every later request. */
  judge(exchange: Exchange): 'apply' | 'pass' | 'end';
  apply(exchange: Exchange): Promise<void>;
}

/** What a fault can do to more than its own request. */
export interface ProxyControls {
  readonly log: CallLog;
  /** Opens a request to the store with the method, target and headers of `request`, Host included. */
  openRequest(request: IncomingMessage): ClientRequest;
  addEffect(fault: FaultName, effect: LastingEffect): void;
  /** Resets all connections and accepts none for `ms`. */
  goDown(ms: number): void;
  /** Runs `task` after `ms`, unless the proxy is closed before. */
  later(ms: number, task: () => Promise<void>): void;
  abortUpload(upload: UploadAddress): Promise<void>;
}

export interface Answer {
  readonly status: number;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: string;
  /** Without reading the rest of the request; the connection is closed under it. */
  readonly isEarly?: boolean;
}

/** One request of a client, with what can be done to it. Nothing is held but what is on its way. */
export class Exchange {
  #awaitsContinue: boolean;
  readonly #isOver: Promise<void>;

  constructor(
    readonly call: OpenCall,
    readonly proxy: ProxyControls,
    readonly request: IncomingMessage,
    readonly response: ServerResponse,
    { awaitsContinue }: { awaitsContinue: boolean },
  ) {
    this.#awaitsContinue = awaitsContinue;
    this.#isOver = this.#untilOver();
    // Without a listener the reset of a client would end the process; `close` follows and says it as well.
    request.on('error', () => {});
    response.on('error', () => {});
  }

  get socket(): Socket {
    return this.request.socket;
  }

  /** Of the request's body, where it was announced. */
  get contentLength(): number | undefined {
    const announced = this.request.headers['content-length'];
    return announced === undefined ? undefined : Number(announced);
  }

  /** Sends the request on and gives the answer back, byte by byte. */
  async pass(): Promise<void> {
    await this.relay(await this.forward());
  }

  /**
   * Streams the request to the store, its body through `through`.
   * @throws Error when the store cannot be reached, or one of the sides ends before there is an answer
   */
  forward(through?: Duplex): Promise<IncomingMessage> {
    const outgoing = this.proxy.openRequest(this.request);
    this.note({ isForwarded: true });
    void this.over().then(() => outgoing.destroy());
    outgoing.on('continue', () => this.continueRequest());
    outgoing.flushHeaders();
    (through ? this.request.pipe(through) : this.request).pipe(outgoing);
    return new Promise((resolve, reject) => {
      outgoing.once('response', (answer) => {
        this.note({ storeStatus: answer.statusCode });
        resolve(answer);
      });
      // A store that refuses a request may close under its body: the answer counts, the rest of the body is dropped.
      outgoing.on('error', (error) => {
        this.request.unpipe();
        this.request.resume();
        reject(error);
      });
      outgoing.once('close', () => reject(new Error('The request to the store has ended.')));
    });
  }

  /** Gives the store the request with its body read before, whether the client is still there or not. */
  async forwardAlone(body: string): Promise<void> {
    const outgoing = this.proxy.openRequest(this.request);
    this.note({ isForwarded: true });
    outgoing.end(body);
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
    await finished(answer.resume());
    this.note({ storeStatus: answer.statusCode });
  }

  /** Lets the store do the request, and reads its answer away. */
  async forwardAndDrop(): Promise<void> {
    const answer = await this.forward();
    await finished(answer.resume());
  }

  /** Streams an answer of the store to the client. `headers` in the form of rawHeaders. */
  async relay(
    answer: IncomingMessage,
    { headers = answer.rawHeaders, through = [] }: { headers?: string[]; through?: readonly Duplex[] } = {},
  ): Promise<void> {
    this.#writeHead(answer, headers);
    await pipeline([answer, ...through, this.response], { end: false });
    await this.#dropUnwantedBody();
    this.response.end();
    await this.over();
  }

  /** Streams the head and the first bytes of an answer, never the last one. Nothing more follows by itself. */
  async relayStart(answer: IncomingMessage, bytes: number): Promise<void> {
    const contentLength = Number(answer.headers['content-length'] ?? Infinity);
    let left = Math.max(0, Math.min(bytes, contentLength - 1));
    this.#writeHead(answer, answer.rawHeaders);
    this.response.flushHeaders();
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      const piece = chunk.subarray(0, left);
      left -= piece.length;
      const written = new Promise<void>((resolve) => this.response.write(piece, () => resolve()));
      await Promise.race([written, this.over()]);
      if (left === 0) break;
    }
  }

  /** Answers in place of the store, once the body is read, or at once where the client asked before sending it. */
  async answer({ status, headers = {}, body = '', isEarly = false }: Answer): Promise<void> {
    const isBodyUnwanted = isEarly || this.#awaitsContinue;
    if (!isBodyUnwanted) await this.dropRequestBody();
    this.note({ status });
    this.response.writeHead(status, {
      server: 's3-faults',
      'x-amz-request-id': requestId(),
      ...(status === 204 ? {} : { 'content-length': Buffer.byteLength(body) }),
      ...(isBodyUnwanted ? { connection: 'close' } : {}),
      ...headers,
    });
    this.response.end(this.request.method === 'HEAD' ? '' : body);
    await this.over();
  }

  async answerError(status: number, code: string, message: string, headers: OutgoingHttpHeaders = {}): Promise<void> {
    const body = errorDocument(code, message);
    await this.answer({ status, headers: { 'content-type': 'application/xml', ...headers }, body });
  }

  /** Tells a client that asked first to send its body. */
  continueRequest(): void {
    if (!this.#awaitsContinue) return;
    this.#awaitsContinue = false;
    this.response.writeContinue();
  }

  /** Reads at least `bytes` of the body, or all of it, and then no more. */
  async readRequestBody(bytes: number): Promise<void> {
    this.continueRequest();
    const { request } = this;
    let left = bytes;
    await new Promise<void>((resolve) => {
      request.on('data', (chunk: Buffer) => {
        left -= chunk.length;
        if (left > 0) return;
        request.pause();
        resolve();
      });
      request.once('close', resolve).once('end', resolve);
    });
  }

  async dropRequestBody(): Promise<void> {
    this.continueRequest();
    // A store that refused the request without reading its body would hold the rest back for ever.
    this.request.unpipe();
    await finished(this.request.resume(), { writable: false });
  }

  reset(): void {
    resetConnection(this.socket);
  }

  /** FIN, after what has been written. */
  hangUp(): void {
    this.socket.destroySoon();
  }

  /** Returns after `ms`, or when the client is gone. */
  async wait(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    await Promise.race([promise, this.over()]);
    clearTimeout(timer);
  }

  /** Adds what later requests are judged by, under the name of the fault that is applied to this one. */
  leaveBehind(effect: LastingEffect): void {
    if (this.call.fault) this.proxy.addEffect(this.call.fault, effect);
  }

  /** Resolves when the answer is with the client or the connection is gone. */
  over(): Promise<void> {
    return this.#isOver;
  }

  note(change: CallChange): void {
    this.proxy.log.update(this.call, change);
  }

  /** A client that still sends has its answer, but would lose it to the reset of a connection that is closed unread. */
  async #dropUnwantedBody(): Promise<void> {
    if (this.request.complete || this.#awaitsContinue) return;
    this.request.unpipe();
    await Promise.race([this.dropRequestBody(), this.wait(LINGER_MS)]);
  }

  /** The second of two pipelined requests learns of the end from the socket alone. */
  async #untilOver(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.response.once('close', resolve);
    this.socket.once('close', resolve);
    await promise;
    this.socket.off('close', resolve);
  }

  #writeHead({ statusCode = 0, statusMessage = '' }: IncomingMessage, headers: string[]): void {
    this.note({ status: statusCode });
    this.response.sendDate = false;
    this.response.writeHead(statusCode, statusMessage, headers);
  }
}
