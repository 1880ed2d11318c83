import { createHash, createHmac } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { ACCESS_KEY_ID, SECRET_ACCESS_KEY } from './server.js';

export interface RawRequest {
  readonly method: string;
  /** The request target as it goes over the wire; its encoding must be S3's own. */
  readonly path: string;
  readonly query?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | string;
  readonly payloadHash?: string;
  readonly accessKeyId?: string;
  readonly secretAccessKey?: string;
  readonly region?: string;
  readonly time?: Date;
}

export interface SignedRequest {
  readonly head: string;
  readonly headers: Record<string, string>;
  readonly signature: string;
  readonly timestamp: string;
  readonly scope: string;
  readonly sign: (text: string) => string;
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly code: string | undefined;
}

/** Signs by hand, apart from the SDK and from the server's own code. */
export function sign(port: number, request: RawRequest): SignedRequest {
  const timestamp = (request.time ?? new Date()).toISOString().replace(/[-:]|\.\d{3}/g, '');
  const day = timestamp.slice(0, 8);
  const scope = `${day}/${request.region ?? 'us-east-1'}/s3/aws4_request`;
  const payloadHash =
    request.payloadHash ??
    createHash('sha256')
      .update(request.body ?? '')
      .digest('hex');
  const headers: Record<string, string> = {
    host: `127.0.0.1:${port}`,
    'x-amz-content-sha256': payloadHash,
    'x-amz-date': timestamp,
    ...request.headers,
  };
  const names = Object.keys(headers)
    .filter((name) => !['content-length', 'transfer-encoding', 'connection', 'expect'].includes(name))
    .sort();
  const query = (request.query ?? '')
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair) => (pair.includes('=') ? pair : `${pair}=`))
    // By name: the byte before the first `=` of the longer name could be less than `=`.
    .sort((a, b) => (a.replace('=', '\0') < b.replace('=', '\0') ? -1 : 1))
    .join('&');
  const canonical = [
    request.method,
    request.path,
    query,
    ...names.map((name) => `${name}:${headers[name]}`),
    '',
    names.join(';'),
    payloadHash,
  ].join('\n');
  const key = [day, request.region ?? 'us-east-1', 's3', 'aws4_request'].reduce<Buffer | string>(
    (previous, text) => createHmac('sha256', previous).update(text).digest(),
    `AWS4${request.secretAccessKey ?? SECRET_ACCESS_KEY}`,
  );
  const signText = (text: string): string => createHmac('sha256', key).update(text).digest('hex');
  const signature = signText(
    ['AWS4-HMAC-SHA256', timestamp, scope, createHash('sha256').update(canonical).digest('hex')].join('\n'),
  );
  headers.authorization = `AWS4-HMAC-SHA256 Credential=${request.accessKeyId ?? ACCESS_KEY_ID}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`;
  const target = request.query ? `${request.path}?${request.query}` : request.path;
  return { head: headOf(request.method, target, headers), headers, signature, timestamp, scope, sign: signText };
}

export function headOf(method: string, target: string, headers: Readonly<Record<string, string>>): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  return `${[`${method} ${target} HTTP/1.1`, ...lines].join('\r\n')}\r\n\r\n`;
}

/** Signs and sends a request with its body and reads the answer. */
export async function send(port: number, request: RawRequest): Promise<RawAnswer> {
  const length = Buffer.byteLength(request.body ?? '');
  const { head } = sign(port, { ...request, headers: { 'content-length': String(length), ...request.headers } });
  return sendBytes(port, Buffer.concat([Buffer.from(head), Buffer.from(request.body ?? '')]), request.method);
}

export async function sendBytes(port: number, bytes: Buffer | string, method = 'GET'): Promise<RawAnswer> {
  const socket = await connectTo(port);
  socket.write(bytes);
  try {
    return await readAnswer(socket, method);
  } finally {
    socket.destroy();
  }
}

export function connectTo(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket));
    socket.once('error', reject);
  });
}

/** Reads one answer; rejects when the connection ends before it is whole. */
export function readAnswer(socket: Socket, method = 'GET'): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0);
    const tryToEnd = (): void => {
      const headEnd = received.indexOf('\r\n\r\n');
      if (headEnd === -1) return;
      const [statusLine = '', ...lines] = received.toString('latin1', 0, headEnd).split('\r\n');
      const headers = Object.fromEntries(
        lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
      );
      const status = Number(statusLine.split(' ')[1]);
      const length = method === 'HEAD' || status === 204 || status === 304 ? 0 : Number(headers['content-length'] ?? 0);
      if (received.length < headEnd + 4 + length) return;
      const body = received.toString('utf8', headEnd + 4, headEnd + 4 + length);
      settle();
      resolve({ status, headers, body, code: /<Code>(\w+)<\/Code>/.exec(body)?.[1] });
    };
    const onData = (chunk: Buffer): void => {
      received = Buffer.concat([received, chunk]);
      tryToEnd();
    };
    const onEnd = (): void => {
      settle();
      reject(new Error(`The connection ended after ${received.length} bytes of the answer.`));
    };
    const onError = (error: Error): void => {
      settle();
      reject(error);
    };
    const settle = (): void => {
      socket.off('data', onData).off('close', onEnd).off('error', onError);
    };
    socket.on('data', onData).on('close', onEnd).on('error', onError);
  });
}
