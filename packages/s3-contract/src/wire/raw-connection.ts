import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Refusal } from '../expectations.js';

export interface RawAnswer extends Refusal {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

const ANSWER_TIMEOUT_MS = 30_000;

/** One connection whose bytes a case chooses itself. */
export class RawConnection {
  #received = Buffer.alloc(0);
  #isEnded = false;
  #failure: Error | undefined;
  #wake: () => void = () => {};

  private constructor(private readonly socket: Socket) {
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#wake();
    });
    socket.on('error', (error) => {
      this.#failure = error;
      this.#wake();
    });
    socket.on('close', () => {
      this.#isEnded = true;
      this.#wake();
    });
  }

  static async open(endpoint: string): Promise<RawConnection> {
    const { protocol, hostname, port } = new URL(endpoint);
    const host = hostname.replace(/^\[(.*)\]$/, '$1');
    const isTls = protocol === 'https:';
    const socket = isTls
      ? connectTls({ host, port: Number(port || 443), servername: host })
      : connectTcp({ host, port: Number(port || 80) });
    await new Promise<void>((resolve, reject) => {
      socket.once(isTls ? 'secureConnect' : 'connect', resolve).once('error', reject);
    });
    return new RawConnection(socket);
  }

  /** Resolves when the bytes are handed to the system. */
  write(data: string | Uint8Array): Promise<void> {
    return new Promise((resolve) => this.socket.write(data, () => resolve()));
  }

  /** Drops the connection in the middle of whatever runs. */
  cut(): void {
    this.socket.destroy();
  }

  /** The status line and headers alone, for `100 Continue`. */
  async interim(): Promise<number> {
    const end = await this.#find('\r\n\r\n', 0);
    const head = this.#received.toString('latin1', 0, end);
    this.#received = this.#received.subarray(end + 4);
    return statusOf(head);
  }

  /** Reads one whole answer. @throws Error when the connection ends before */
  async answer(method: string): Promise<RawAnswer> {
    const headEnd = await this.#find('\r\n\r\n', 0);
    const head = this.#received.toString('latin1', 0, headEnd);
    const status = statusOf(head);
    const headers = headersOf(head);
    const bodyStart = headEnd + 4;
    const hasBody = method !== 'HEAD' && status !== 204 && status !== 304;
    let body: Buffer = Buffer.alloc(0);
    let end = bodyStart;
    if (hasBody && headers['transfer-encoding'] === 'chunked') ({ body, end } = await this.#chunks(bodyStart));
    else if (hasBody && headers['content-length'] === undefined) {
      while (!this.#isEnded) await this.#more();
      body = Buffer.from(this.#received.subarray(bodyStart));
      end = this.#received.length;
    } else if (hasBody) {
      end = bodyStart + Number(headers['content-length']);
      while (this.#received.length < end) await this.#more();
      body = Buffer.from(this.#received.subarray(bodyStart, end));
    }
    this.#received = this.#received.subarray(end);
    const code = /<Code>(\w+)<\/Code>/.exec(body.toString('utf8', 0, 4096))?.[1] ?? '';
    return { status, headers, body, code };
  }

  async #chunks(start: number): Promise<{ body: Buffer; end: number }> {
    const chunks: Buffer[] = [];
    let position = start;
    for (;;) {
      const lineEnd = await this.#find('\r\n', position);
      const size = Number.parseInt(this.#received.toString('latin1', position, lineEnd), 16);
      const dataEnd = lineEnd + 2 + size;
      while (this.#received.length < dataEnd + 2) await this.#more();
      chunks.push(Buffer.from(this.#received.subarray(lineEnd + 2, dataEnd)));
      position = dataEnd + 2;
      if (size === 0) return { body: Buffer.concat(chunks), end: position };
    }
  }

  async #find(text: string, from: number): Promise<number> {
    for (;;) {
      const position = this.#received.indexOf(text, from, 'latin1');
      if (position !== -1) return position;
      await this.#more();
    }
  }

  #more(): Promise<void> {
    if (this.#isEnded || this.#failure) {
      const reason = this.#failure ? this.#failure.message : 'it was closed';
      throw new Error(`the connection ended before the answer was whole: ${reason}`);
    }
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('no answer within 30 s')), ANSWER_TIMEOUT_MS);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

function statusOf(head: string): number {
  return Number(head.split(' ')[1]);
}

function headersOf(head: string): Record<string, string> {
  const lines = head.split('\r\n').slice(1);
  return Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
}
