import { EventEmitter, once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { contentRange, contentSha256 } from '@s3-transfer/hostile-source';

const HOST = '127.0.0.1';
/** Small: what lies in the sockets between two processes is counted as sent. */
export const CHUNK_BYTES = 64 * 1024;

export interface SourceRequest {
  /** As it was asked for; undefined for the whole file. */
  readonly range: string | undefined;
  /** Where in the file the answer begins. */
  readonly start: number;
  /** Bytes of the body given to the system so far. */
  sentBytes: number;
  isOver: boolean;
}

/** One file of a source: how much of it was asked for and sent, and how far and how fast it may be sent. */
export class PacedFile {
  readonly requests: SourceRequest[] = [];
  /** Of all answers together; Infinity for no limit. */
  bytesPerSecond = Number.POSITIVE_INFINITY;
  /** False: the whole file is the answer to every range. */
  isHonouringRanges = true;
  /** Requests are answered 404. */
  isGone = false;
  /** Of the answers that began under it. */
  private hold = { limit: Number.POSITIVE_INFINITY };
  private isSilent = false;
  private paidUntilMs = 0;
  private readonly changes = new EventEmitter().setMaxListeners(0);

  constructor(
    readonly url: string,
    readonly sizeBytes: number,
    private seed: number,
  ) {}

  get etag(): string {
    return `"${this.seed}-${this.sizeBytes}"`;
  }

  get sentBytes(): number {
    return this.requests.reduce((sum, { sentBytes }) => sum + sentBytes, 0);
  }

  sha256(): Promise<string> {
    return contentSha256(this.content);
  }

  /** No byte at or behind this place in the file is sent until `release`. */
  holdAt(position: number): void {
    this.hold.limit = position;
  }

  /** Requests are not even answered until `release`. */
  keepSilent(): void {
    this.isSilent = true;
  }

  release(): void {
    this.hold.limit = Number.POSITIVE_INFINITY;
    this.isSilent = false;
    this.tell();
  }

  /** Answers that begin from now on are not held; those under way are for ever. */
  releaseOthers(): void {
    this.hold = { limit: Number.POSITIVE_INFINITY };
  }

  /** Other bytes of the same length from now on, under another ETag. */
  replace(): void {
    this.seed += 1;
  }

  /** When so many requests have come. */
  async asked(count = 1): Promise<void> {
    await this.until(() => this.requests.length >= count);
  }

  /** When every byte before this place in the file has been sent. */
  async sentUpTo(position: number): Promise<void> {
    await this.until(() =>
      this.requests.some(({ start, sentBytes }) => start <= position && start + sentBytes >= position),
    );
  }

  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { start, end, status } = this.rangeOf(request);
    const record: SourceRequest = { range: request.headers.range, start, sentBytes: 0, isOver: false };
    if (request.method !== 'HEAD') this.requests.push(record);
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    this.tell();
    try {
      while (this.isSilent && !gone.signal.aborted) await this.changed(gone.signal);
      if (this.isGone) {
        response.writeHead(404).end();
        return;
      }
      response.writeHead(status, {
        'content-type': 'video/mp4',
        'content-length': end - start,
        etag: this.etag,
        ...(this.isHonouringRanges ? { 'accept-ranges': 'bytes' } : {}),
        ...(status === 206 ? { 'content-range': `bytes ${start}-${end - 1}/${this.sizeBytes}` } : {}),
      });
      if (request.method !== 'HEAD') await this.send(response, record, { start, end, signal: gone.signal });
      response.end();
    } catch (error) {
      if (!gone.signal.aborted) throw error;
    } finally {
      record.isOver = true;
      this.tell();
    }
  }

  private get content() {
    return { seed: this.seed, sizeBytes: this.sizeBytes };
  }

  private rangeOf({ headers }: IncomingMessage): { start: number; end: number; status: number } {
    const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '') ?? [];
    const ifRange = headers['if-range'];
    const isHonoured = this.isHonouringRanges && (ifRange === undefined || ifRange === this.etag);
    if (from === undefined || !isHonoured) return { start: 0, end: this.sizeBytes, status: 200 };
    const end = to === '' || to === undefined ? this.sizeBytes : Math.min(Number(to) + 1, this.sizeBytes);
    return { start: Math.min(Number(from), end), end, status: 206 };
  }

  private async send(
    response: ServerResponse,
    record: SourceRequest,
    { start, end, signal }: { start: number; end: number; signal: AbortSignal },
  ): Promise<void> {
    const { content, hold } = this; // An answer under way is of one version.
    response.flushHeaders();
    const gone = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    gone.catch(() => {}); // It may come after the last byte.
    for (let position = start; position < end; ) {
      const to = Math.min(position + CHUNK_BYTES, end, Math.max(position, hold.limit));
      if (to === position) {
        await this.changed(signal);
        continue;
      }
      await this.waitForTurn(to - position, signal);
      const chunk = contentRange(content, position, to);
      await Promise.race([writeTo(response, chunk), gone]);
      record.sentBytes += to - position;
      position = to;
      this.tell();
    }
  }

  private async waitForTurn(bytes: number, signal: AbortSignal): Promise<void> {
    if (this.bytesPerSecond === Number.POSITIVE_INFINITY) return;
    const now = performance.now();
    const turn = Math.max(now, this.paidUntilMs);
    this.paidUntilMs = turn + (bytes / this.bytesPerSecond) * 1_000;
    if (turn > now) await sleep(turn - now, undefined, { signal });
  }

  private tell(): void {
    this.changes.emit('change');
  }

  private async changed(signal?: AbortSignal): Promise<void> {
    await once(this.changes, 'change', { signal });
  }

  private async until(holds: () => boolean): Promise<void> {
    while (!holds()) await this.changed();
  }
}

function writeTo(response: ServerResponse, chunk: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    response.write(chunk, (error) => (error ? reject(error) : resolve()));
  });
}

/**
 * An honest web server on 127.0.0.1 whose files are sent as far and as fast as a test says, and counted byte by byte.
 * Ranges and If-Range are honoured; nothing is stored.
 */
export class PacedSource {
  readonly files: PacedFile[] = [];

  private constructor(private readonly server: Server) {}

  static async start(): Promise<PacedSource> {
    const server = createServer();
    const source = new PacedSource(server);
    server.on('request', (request, response) => source.answer(request, response));
    await once(server.listen(0, HOST), 'listening');
    return source;
  }

  add(sizeBytes: number): PacedFile {
    const number = this.files.length + 1;
    const { port } = this.server.address() as AddressInfo;
    const file = new PacedFile(`http://${HOST}:${port}/${number}/video.mp4`, sizeBytes, number * 1_000);
    this.files.push(file);
    return file;
  }

  async close(): Promise<void> {
    const closed = once(this.server.close(), 'close');
    this.server.closeAllConnections();
    await closed;
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const file = this.files[Number(request.url?.split('/')[1]) - 1];
    if (file === undefined) {
      response.writeHead(404).end();
      return;
    }
    file.serve(request, response).catch((error: Error) => response.destroy(error));
  }
}
