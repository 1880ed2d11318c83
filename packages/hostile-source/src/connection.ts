import { once } from 'node:events';
import type { Socket } from 'node:net';
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import { type SecureContext, TLSSocket } from 'node:tls';

const MAX_HEAD_BYTES = 256 * 1024;
const LONGEST_TURN_MS = 5;

/** Ends the script of a behaviour when its connection is closed, by whichever side. */
export class ConnectionGone extends Error {
  override readonly name = 'ConnectionGone';
}

/** One accepted socket: what a script may do to it, and what became of it. */
export class Connection {
  readonly closed: Promise<void>;
  /** When the next byte is due, for behaviours that limit the rate of a connection. In milliseconds of performance.now(). */
  nextByteAtMs = 0;
  /** Requests so far, the running one included. */
  requests = 0;
  readonly #raw: Socket;
  readonly #stream: Socket;
  readonly #gone = new AbortController();
  #received: Buffer = Buffer.alloc(0);
  #wake: () => void = () => {};
  #lastTurnMs = performance.now();
  #isEndedByUs = false;
  #isEndedByPeer = false;

  constructor(
    readonly id: number,
    raw: Socket,
    secureContext?: SecureContext,
  ) {
    this.#raw = raw;
    this.#stream = secureContext ? new TLSSocket(raw, { isServer: true, secureContext }) : raw;
    raw.setNoDelay(true);
    this.closed = new Promise((resolve) => raw.once('close', () => resolve()));
    raw.once('close', () => this.#gone.abort());
    raw.once('close', () => this.#wake());
    this.#stream.on('data', (bytes: Buffer) => this.#receive(bytes));
    // Clients cut and reset on purpose; that the connection is closed says all a script needs.
    for (const socket of new Set([raw, this.#stream])) {
      socket.on('error', () => this.#markPeer());
      socket.on('end', () => this.#markPeer());
    }
    if (this.#stream !== raw) this.#stream.on('_tlsError', () => this.#raw.destroy());
  }

  get isClosed(): boolean {
    return this.#gone.signal.aborted;
  }

  /** The peer closed or broke the connection before this side did. */
  get isEndedByPeer(): boolean {
    return this.#isEndedByPeer;
  }

  get isEndedByUs(): boolean {
    return this.#isEndedByUs;
  }

  /** The next request's lines without the empty one; undefined when the connection is closed before. */
  async readHead(): Promise<string | undefined> {
    for (;;) {
      const end = this.#received.indexOf('\r\n\r\n');
      if (end !== -1) {
        const head = this.#received.toString('latin1', 0, end);
        this.#received = this.#received.subarray(end + 4);
        return head;
      }
      if (this.isClosed || this.#isEndedByPeer || this.#received.length > MAX_HEAD_BYTES) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Bytes of a new connection, whatever they are. */
  async firstBytes(): Promise<void> {
    if (!this.isClosed) await Promise.race([once(this.#stream, 'data'), this.closed]);
  }

  /** Resolves when the system has the bytes. @throws ConnectionGone */
  async write(data: string | Uint8Array): Promise<void> {
    // Writes into an empty socket end at once: without a break, a script of many small ones would let nobody else have a turn.
    if (performance.now() - this.#lastTurnMs > LONGEST_TURN_MS) {
      await nextTurn();
      this.#lastTurnMs = performance.now();
    }
    await new Promise<void>((resolve, reject) => {
      if (this.isClosed) reject(new ConnectionGone());
      else this.#stream.write(data, 'latin1', (error) => (error ? reject(new ConnectionGone()) : resolve()));
    });
  }

  /** Nothing happens for a while. @throws ConnectionGone as soon as the connection is closed */
  async pause(ms: number): Promise<void> {
    try {
      await delay(ms, undefined, { signal: this.#gone.signal });
    } catch {
      // The signal is the only reason for a timer to fail.
      throw new ConnectionGone();
    }
  }

  /** Nothing happens until the connection is closed. @throws ConnectionGone */
  async stall(): Promise<never> {
    await this.closed;
    throw new ConnectionGone();
  }

  /** FIN after what was written; with TLS, close_notify before it. */
  end(): void {
    this.#isEndedByUs = true;
    this.#stream.end();
  }

  /** FIN with TLS left open, as a cut by someone who does not hold the key looks like. */
  endWithoutCloseNotify(): void {
    this.#isEndedByUs = true;
    this.#raw.destroy();
  }

  /** RST. */
  reset(): void {
    this.#isEndedByUs = true;
    this.#raw.resetAndDestroy();
  }

  destroy(): void {
    this.#isEndedByUs = true;
    this.#raw.destroy();
  }

  #receive(bytes: Buffer): void {
    this.#received = Buffer.concat([this.#received, bytes]);
    this.#wake();
  }

  #markPeer(): void {
    if (!this.#isEndedByUs) this.#isEndedByPeer = true;
    this.#wake();
  }
}
