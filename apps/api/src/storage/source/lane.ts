import type { Framing } from './source-answer.js';
import type { SourceBody } from './source-body.js';
import type { SourceClient } from './source-client.js';

/** A body that is being read, and where in the file it stands. */
export interface OpenBody {
  readonly stream: SourceBody;
  position: number;
  /** Byte after its last one; null where only its end will tell. */
  readonly end: number | null;
  readonly framing: Framing;
  /** The answer to a request for the whole file. */
  readonly isWhole: boolean;
}

/** One connection, and the body it reads. */
export class Lane {
  body: OpenBody | undefined;
  /** It has brought bytes since it failed last. */
  hasProgress = false;

  constructor(readonly client: SourceClient) {}

  /** The body under way, where it stands at this position and has bytes there. */
  bodyAt(position: number): OpenBody | undefined {
    const { body } = this;
    return body?.position === position && (body.end === null || body.end > position) ? body : undefined;
  }

  /** Ends the connection when a body is under way on it. */
  dropBody(): void {
    this.body?.stream.destroy(new Error('no longer read'));
    this.body = undefined;
  }

  /** Reads on to the end of an answer whose bytes are all here, so that the connection is free for the next. */
  async endBody({ stream }: OpenBody): Promise<void> {
    // What breaks off behind the last byte costs the connection, and nothing else.
    const hasEnded = await stream.hasEnded().catch(() => false);
    if (!hasEnded) stream.destroy(new Error('more than was asked for'));
    this.body = undefined;
  }

  close(): void {
    this.dropBody();
    this.client.close();
  }
}
