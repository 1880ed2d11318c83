import { STATUS_CODES } from 'node:http';
import type { Connection } from './connection.js';
import { contentChunks, type FileContent } from './content.js';
import type { FileState } from './file-state.js';
import type { Origins } from './listeners.js';
import type { ByteRange, RequestHead } from './request-head.js';
import type { RequestRecord } from './request-record.js';

/** A list is sent as several headers of that name; undefined as none. */
export type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

const RESET_GRACE_MS = 10;

export interface ExchangeParts {
  readonly connection: Connection;
  readonly request: RequestHead;
  readonly record: RequestRecord;
  readonly state: FileState;
  readonly file: FileContent;
  readonly origins: Origins;
  readonly url: URL;
}

/** One request and the script's means to answer it. Every method but the getters throws ConnectionGone once the client has left. */
export class Exchange {
  readonly connection: Connection;
  readonly request: RequestHead;
  readonly state: FileState;
  readonly file: FileContent;
  readonly origins: Origins;
  /** As asked for, on the origin that was asked. */
  readonly url: URL;
  /** 1 for the first request of this URL's id. */
  readonly attempt: number;
  readonly #record: RequestRecord;

  constructor(parts: ExchangeParts) {
    this.connection = parts.connection;
    this.request = parts.request;
    this.state = parts.state;
    this.file = parts.file;
    this.origins = parts.origins;
    this.url = parts.url;
    this.attempt = Math.max(1, parts.state.requests);
    this.#record = parts.record;
  }

  async sendHead(status: number, headers: Headers, version = 'HTTP/1.1'): Promise<void> {
    await this.sendRaw(
      `${version} ${status} ${STATUS_CODES[status] ?? 'Unknown'}\r\n${headerLines(headers)}\r\n`,
      status,
    );
  }

  /** Bytes outside the body: a head of one's own making, or what is none. */
  async sendRaw(text: string, status?: number): Promise<void> {
    if (status !== undefined) this.#record.status = status;
    await this.connection.write(text);
  }

  /** Bytes of the body; none for HEAD. */
  async sendBody(bytes: string | Uint8Array): Promise<void> {
    if (this.request.method === 'HEAD') return;
    await this.connection.write(bytes);
    this.#record.bodyBytes += bytes.length;
  }

  async sendContent({ start, end }: ByteRange): Promise<void> {
    for (const chunk of contentChunks(this.file, start, end)) await this.sendBody(chunk);
  }

  /** At most so many bytes a second on this connection, the answers before this one included. */
  async sendContentSlowly({ start, end }: ByteRange, bytesPerSecond: number): Promise<void> {
    const sliceBytes = Math.max(1, Math.round(bytesPerSecond / 100));
    for (let position = start; position < end; position += sliceBytes) {
      const slice = { start: position, end: Math.min(end, position + sliceBytes) };
      await this.#waitForTurn(((slice.end - slice.start) / bytesPerSecond) * 1000);
      await this.sendContent(slice);
    }
  }

  /** One chunk of the chunked coding; `extension` stands behind its length. */
  async sendChunk(bytes: Uint8Array, extension = ''): Promise<void> {
    if (bytes.length === 0) return;
    await this.#sendFraming(`${bytes.length.toString(16)}${extension}\r\n`);
    await this.sendBody(bytes);
    await this.#sendFraming('\r\n');
  }

  async sendContentChunked({ start, end }: ByteRange, extension = ''): Promise<void> {
    for (const chunk of contentChunks(this.file, start, end)) await this.sendChunk(chunk, extension);
  }

  async sendLastChunk(trailers: Headers = {}): Promise<void> {
    await this.#sendFraming(`0\r\n${headerLines(trailers)}\r\n`);
  }

  pause(ms: number): Promise<void> {
    return this.connection.pause(ms);
  }

  stall(): Promise<never> {
    return this.connection.stall();
  }

  /** FIN. */
  cut(): void {
    this.connection.end();
  }

  /** RST. It takes with it what the client has not read yet, so the client is given a moment. */
  async reset(): Promise<void> {
    await this.pause(RESET_GRACE_MS);
    this.connection.reset();
  }

  async #sendFraming(text: string): Promise<void> {
    if (this.request.method !== 'HEAD') await this.connection.write(text);
  }

  async #waitForTurn(costMs: number): Promise<void> {
    const nowMs = performance.now();
    const dueMs = Math.max(nowMs, this.connection.nextByteAtMs);
    this.connection.nextByteAtMs = dueMs + costMs;
    if (dueMs > nowMs) await this.pause(dueMs - nowMs);
  }
}

export function headerLines(headers: Headers): string {
  return Object.entries(headers)
    .flatMap(([name, value]) => (value === undefined ? [] : [value].flat().map((line) => `${name}: ${line}\r\n`)))
    .join('');
}
