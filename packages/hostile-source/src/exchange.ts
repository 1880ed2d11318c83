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

/** Ends the script of a behaviour after the head of an answer to HEAD. */
export class HeadAnswered extends Error {
  override readonly name = 'HeadAnswered';
}

/** One request and the script's means to answer it. What sends or waits throws ConnectionGone once the client has left. */
export class Exchange {
  readonly connection: Connection;
  readonly request: RequestHead;
  readonly state: FileState;
  /** The version that is served; a script may put another one in its place. */
  file: FileContent;
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

  /** @throws HeadAnswered when no body is due, so that no script has to think of HEAD */
  async sendHead(status: number, headers: Headers, version = 'HTTP/1.1'): Promise<void> {
    const statusLine = `${version} ${status} ${STATUS_CODES[status] ?? 'Unknown'}`;
    await this.sendRawHead(status, `${statusLine}\r\n${headerLines(headers)}\r\n`);
  }

  /** A whole head of one's own making. */
  async sendRawHead(status: number, text: string): Promise<void> {
    this.#record.status = status;
    await this.sendRaw(text);
    if (this.request.method === 'HEAD') throw new HeadAnswered();
  }

  async sendInterim(status: number, headers: Headers = {}): Promise<void> {
    await this.sendRaw(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${headerLines(headers)}\r\n`);
  }

  /** Bytes outside the body, whatever they are. */
  sendRaw(data: string | Uint8Array): Promise<void> {
    return this.connection.write(data);
  }

  async sendBody(bytes: string | Uint8Array): Promise<void> {
    await this.sendRaw(bytes);
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

  sendChunk(bytes: Uint8Array, extension = ''): Promise<void> {
    return this.sendChunks([bytes], extension);
  }

  /** Chunks of the chunked coding, in one write; `extension` stands behind the length of each. */
  async sendChunks(chunks: readonly Uint8Array[], extension = ''): Promise<void> {
    const frames = chunks.flatMap((bytes) => [
      Buffer.from(`${bytes.length.toString(16)}${extension}\r\n`, 'latin1'),
      bytes,
      Buffer.from('\r\n'),
    ]);
    await this.sendRaw(Buffer.concat(frames));
    for (const { length } of chunks) this.#record.bodyBytes += length;
  }

  async sendContentChunked({ start, end }: ByteRange, extension = ''): Promise<void> {
    for (const chunk of contentChunks(this.file, start, end)) await this.sendChunk(chunk, extension);
  }

  async sendLastChunk(trailers: Headers = {}): Promise<void> {
    await this.sendRaw(`0\r\n${headerLines(trailers)}\r\n`);
  }

  /** The file again and again; an empty one that is sent for ever is silence. */
  async sendFileForEver(coding: 'plain' | 'chunked'): Promise<never> {
    const whole = { start: 0, end: this.file.sizeBytes };
    while (whole.end > 0) await (coding === 'chunked' ? this.sendContentChunked(whole) : this.sendContent(whole));
    return this.stall();
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
