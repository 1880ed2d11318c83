import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import {
  CreateBucketCommand,
  type DeleteObjectCommand,
  GetObjectCommand,
  type GetObjectCommandInput,
  type GetObjectCommandOutput,
  HeadObjectCommand,
  type HeadObjectCommandInput,
  PutObjectCommand,
  type PutObjectCommandInput,
  type S3Client,
  type S3ClientConfig,
  type UploadPartCommand,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { ALLOWED_PARAMETERS } from './allowed-operations.js';
import type { ContractStore } from './contract.js';
import type { Refusal } from './expectations.js';
import { clientFor } from './store-client.js';
import { type UploadSettings, UploadUnderTest } from './upload-under-test.js';
import { type RawAnswer, RawConnection } from './wire/raw-connection.js';
import { amzTimestamp, encodePath, type Signature, type SigningKey, sha256, signRequest } from './wire/signature-v4.js';

export interface RawRequest {
  readonly method: string;
  /** Default the bucket under test. */
  readonly bucket?: string;
  /** Below the case's prefix; without one the request is on the bucket. */
  readonly name?: string;
  /** Without a leading `?`, encoded, `name=value` pairs. */
  readonly query?: string;
  /** Lower-case names. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent, but not signed. */
  readonly unsignedHeaders?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
  /** Default the SHA-256 of the body. */
  readonly payloadHash?: string;
  readonly time?: Date;
  readonly key?: Partial<SigningKey>;
}

export interface SignedHead extends Signature {
  /** Request line and headers, as they go over the wire. */
  readonly head: string;
}

export interface FetchedAnswer extends Refusal {
  readonly headers: Headers;
  readonly body: Buffer;
}

type Presignable = DeleteObjectCommand | GetObjectCommand | HeadObjectCommand | PutObjectCommand | UploadPartCommand;
export type PresignOptions = Parameters<typeof getSignedUrl>[2] & { readonly client?: S3Client };

const FETCH_TIMEOUT_MS = 30_000;

/** What a case works with: clients, keys below a prefix of its own, and requests written by hand. */
export class CaseContext {
  readonly #clients: S3Client[] = [];
  readonly #connections: RawConnection[] = [];
  readonly #buckets: string[] = [];
  readonly #keys = new Set<string>();
  #client: S3Client | undefined;
  #defaults: S3Client | undefined;

  constructor(
    readonly store: ContractStore,
    readonly prefix: string,
    private readonly isOwnOnly: boolean,
  ) {}

  /** As the product sets the SDK: checksums only where an operation demands them. One attempt a request. */
  get client(): S3Client {
    this.#client ??= this.newClient({
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
    });
    return this.#client;
  }

  /** The SDK as it comes: CRC32 on every upload, in a trailer when the body is a stream. */
  get defaults(): S3Client {
    this.#defaults ??= this.newClient({});
    return this.#defaults;
  }

  get send(): S3Client['send'] {
    return this.client.send.bind(this.client) as S3Client['send'];
  }

  get bucket(): string {
    return this.store.bucket;
  }

  newClient(config: S3ClientConfig): S3Client {
    const client = clientFor(this.store, config, { isOwnOnly: this.isOwnOnly });
    this.#clients.push(client);
    return client;
  }

  key(name: string): string {
    const key = `${this.prefix}${name}`;
    this.#keys.add(key);
    return key;
  }

  at(name: string): { Bucket: string; Key: string } {
    return { Bucket: this.bucket, Key: this.key(name) };
  }

  put(name: string, Body: string | Uint8Array = name, more: Partial<PutObjectCommandInput> = {}) {
    return this.client.send(new PutObjectCommand({ ...this.at(name), Body, ...more }));
  }

  async read(
    name: string,
    more: Partial<GetObjectCommandInput> = {},
  ): Promise<GetObjectCommandOutput & { readonly bytes: Buffer }> {
    const output = await this.client.send(new GetObjectCommand({ ...this.at(name), ...more }));
    return { ...output, bytes: Buffer.from((await output.Body?.transformToByteArray()) ?? []) };
  }

  async text(name: string, more: Partial<GetObjectCommandInput> = {}): Promise<string> {
    return (await this.read(name, more)).bytes.toString();
  }

  head(name: string, more: Partial<HeadObjectCommandInput> = {}) {
    return this.client.send(new HeadObjectCommand({ ...this.at(name), ...more }));
  }

  upload(name: string, settings: UploadSettings = {}): Promise<UploadUnderTest> {
    return UploadUnderTest.create(settings.client ?? this.client, this.at(name), settings);
  }

  /** A bucket of this case alone; it is emptied and removed afterwards. Only for cases that need `buckets`. */
  async newBucket(): Promise<string> {
    const name = `s3-contract-${randomBytes(6).toString('hex')}`;
    this.#buckets.push(name);
    await this.client.send(new CreateBucketCommand({ Bucket: name }));
    return name;
  }

  presign(command: Presignable, { client = this.client, ...options }: PresignOptions = {}): Promise<string> {
    // One of the union, for the type's sake: the presigner takes any command.
    return getSignedUrl(client, command as GetObjectCommand, { expiresIn: 300, ...options });
  }

  presignGet(name: string, options?: PresignOptions): Promise<string> {
    return this.presign(new GetObjectCommand(this.at(name)), options);
  }

  presignPut(name: string, options?: PresignOptions): Promise<string> {
    return this.presign(new PutObjectCommand(this.at(name)), options);
  }

  /** Plain fetch, as a browser or a script would send it. */
  async fetch(url: string, init: RequestInit = {}): Promise<FetchedAnswer> {
    const answer = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(FETCH_TIMEOUT_MS), ...init });
    const body = Buffer.from(await answer.arrayBuffer());
    const code = /<Code>(\w+)<\/Code>/.exec(body.toString('utf8', 0, 4096))?.[1] ?? '';
    return { status: answer.status, headers: answer.headers, body, code };
  }

  /** The signed head of a request, for a case that writes the rest to a connection itself. */
  signedHead(request: RawRequest): SignedHead {
    this.#refuseUnknownParameters(request.query ?? '');
    const path = encodePath(
      `/${request.bucket ?? this.bucket}${request.name === undefined ? '' : `/${this.key(request.name)}`}`,
    );
    const time = request.time ?? new Date();
    const payloadHash = request.payloadHash ?? sha256(request.body ?? '');
    const headers: Record<string, string> = {
      host: new URL(this.store.endpoint).host,
      'x-amz-content-sha256': payloadHash,
      'x-amz-date': amzTimestamp(time),
      ...request.headers,
    };
    const { method, query = '' } = request;
    const signature = signRequest(
      { method, path, query, headers, payloadHash, time },
      { ...this.store, ...request.key },
    );
    const lines = Object.entries({ ...headers, authorization: signature.authorization, ...request.unsignedHeaders });
    const target = query === '' ? path : `${path}?${query}`;
    const head = [`${method} ${target} HTTP/1.1`, ...lines.map(([name, value]) => `${name}: ${value}`), '', ''];
    return { ...signature, head: head.join('\r\n') };
  }

  /** Signs by hand, sends over a connection of its own and reads the answer. */
  async raw(request: RawRequest): Promise<RawAnswer> {
    const body = Buffer.from(request.body ?? '');
    const { head } = this.signedHead({
      ...request,
      unsignedHeaders: { 'content-length': String(body.length), ...request.unsignedHeaders },
    });
    return this.rawBytes(Buffer.concat([Buffer.from(head), body]), request.method);
  }

  async rawBytes(bytes: Uint8Array | string, method = 'GET'): Promise<RawAnswer> {
    const connection = await this.connect();
    await connection.write(bytes);
    return connection.answer(method);
  }

  async connect(): Promise<RawConnection> {
    const connection = await RawConnection.open(this.store.endpoint);
    this.#connections.push(connection);
    return connection;
  }

  /** @throws Error when the store cannot be killed; such a case needs `restart` */
  async killAndRestart(): Promise<void> {
    if (!this.store.restart) throw new Error('this case needs `restart`');
    await this.store.restart();
    this.dropClients(); // Their kept connections are dead.
  }

  dropClients(): void {
    for (const client of this.#clients.splice(0)) client.destroy();
    this.#client = undefined;
    this.#defaults = undefined;
  }

  /** What is left to be removed; connections and clients are gone after it. */
  end(): { readonly keys: readonly string[]; readonly buckets: readonly string[] } {
    for (const connection of this.#connections.splice(0)) connection.cut();
    this.dropClients();
    return { keys: [...this.#keys], buckets: this.#buckets };
  }

  #refuseUnknownParameters(query: string): void {
    if (this.isOwnOnly) return;
    const names = query.split('&').map((pair) => pair.split('=')[0] ?? '');
    const unknown = names.find((name) => name !== '' && !/^x-amz-/i.test(name) && !ALLOWED_PARAMETERS.has(name));
    if (unknown !== undefined) throw new Error(`?${unknown} is not on the list of allowed parameters`);
  }
}

/** A body that the SDK cannot read twice nor measure. */
export function streamOf(...chunks: (string | Uint8Array)[]): Readable {
  return Readable.from(chunks.map((chunk) => Buffer.from(chunk)));
}
