import type { IncomingMessage, ServerResponse } from 'node:http';
import { S3Error } from '../errors.js';
import type { RequestBody } from '../http/request-body.js';
import type { RequestTarget } from '../http/request-target.js';
import type { Bucket } from '../store/bucket.js';
import type { Store } from '../store/store.js';

/** What the operations know of the server. */
export interface ServerSettings {
  readonly region: string;
  /** How long a day of a lifecycle rule lasts, in ms. */
  readonly lifecycleDayMs: number;
}

/** One authenticated request and the means to answer it. */
export class Exchange {
  constructor(
    readonly request: IncomingMessage,
    readonly response: ServerResponse,
    readonly target: RequestTarget,
    readonly body: RequestBody,
    readonly store: Store,
    readonly settings: ServerSettings,
  ) {}

  get region(): string {
    return this.settings.region;
  }

  /** @throws S3Error InvalidBucketName, NoSuchBucket */
  get bucket(): Bucket {
    return this.store.get(this.target.bucket);
  }

  get key(): string {
    return this.target.key;
  }

  header(name: string): string | undefined {
    const value = this.request.headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  }

  parameter(name: string): string | undefined {
    return this.target.query.find((parameter) => parameter.name === name)?.value;
  }

  /**
   * A whole number from the query.
   * @throws S3Error InvalidArgument for anything else, or outside the bounds
   */
  numberParameter(name: string, bounds: { min: number; max: number }): number | undefined {
    const text = this.parameter(name);
    if (text === undefined || text === '') return undefined;
    const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= bounds.min && value <= bounds.max)) {
      throw new S3Error('InvalidArgument', `${name} must be an integer between ${bounds.min} and ${bounds.max}`, {
        ArgumentName: name,
        ArgumentValue: text,
      });
    }
    return value;
  }

  /** Answers with an XML document. */
  xml(document: string, headers: Record<string, string> = {}, status = 200): void {
    const body = Buffer.from(document);
    this.response.writeHead(status, { ...headers, 'content-type': 'application/xml', 'content-length': body.length });
    this.response.end(body);
  }

  /** Answers without a body. */
  empty(status: number, headers: Record<string, string> = {}): void {
    this.response.writeHead(status, status === 204 ? headers : { ...headers, 'content-length': '0' });
    this.response.end();
  }
}

export function isoTime(time: number): string {
  return new Date(time - (time % 1000)).toISOString();
}

export function httpTime(time: number): string {
  return new Date(time).toUTCString();
}
