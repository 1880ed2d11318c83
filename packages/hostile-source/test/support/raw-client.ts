import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

/** How a connection was left: closed, broken, or open because the server fell silent or enough had come. */
export type Ending = 'fin' | 'reset' | 'open';

export interface Received {
  readonly text: string;
  readonly status: number;
  /** All values by lower-case name. */
  readonly headers: Readonly<Record<string, string[]>>;
  /** What followed the head, framing included. */
  readonly body: Buffer;
  readonly ending: Ending;
}

export interface RawRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly certificate: string;
  /** Leaves the connection as soon as so many bytes have come. */
  readonly enoughBytes?: number;
  /** Leaves the connection after such a silence. */
  readonly quietMs?: number;
  /** Leaves the connection after that time, whatever comes. */
  readonly patienceMs?: number;
}

/** A GET over a socket of its own; reads whatever comes until the connection ends. Rejects when a certificate or the handshake is refused. */
export async function askRaw(url: string, request: RawRequest): Promise<Received> {
  const target = new URL(url);
  const socket = openSocket(target, request.certificate);
  const headers = { Host: target.host, Connection: 'close', ...request.headers };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`${request.method ?? 'GET'} ${target.pathname}${target.search} HTTP/1.1\r\n${lines.join('')}\r\n`);
  const { bytes, ending } = await readAll(socket, request);
  return parse(bytes, ending);
}

/**
 * Two requests on one connection, the second after so many bytes of the first answer's body. Gives what came after them.
 */
export function askTwice(
  url: string,
  certificate: string,
  bodyBytes: number,
): Promise<{ bytes: Buffer; ending: Ending }> {
  const target = new URL(url);
  const socket = openSocket(target, certificate);
  const request = `GET ${target.pathname}${target.search} HTTP/1.1\r\nHost: ${target.host}\r\n\r\n`;
  let received = Buffer.alloc(0);
  let firstLength = Number.POSITIVE_INFINITY;
  socket.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    const bodyStart = received.indexOf('\r\n\r\n') + 4;
    if (firstLength !== Number.POSITIVE_INFINITY || bodyStart === 3 || received.length < bodyStart + bodyBytes) return;
    firstLength = bodyStart + bodyBytes;
    socket.write(request);
  });
  socket.write(request);
  return readAll(socket, { certificate, quietMs: 1000 }).then(({ bytes, ending }) => ({
    bytes: bytes.subarray(firstLength),
    ending,
  }));
}

export function openSocket(url: URL, certificate: string): Socket {
  const place = { host: url.hostname, port: Number(url.port) };
  return url.protocol === 'https:' ? connectTls({ ...place, ca: certificate }) : connectTcp(place);
}

function readAll(
  socket: Socket,
  { enoughBytes, quietMs = 5000, patienceMs = 20_000 }: RawRequest,
): Promise<{ bytes: Buffer; ending: Ending }> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const leave = (ending: Ending): void => {
      clearTimeout(patience);
      socket.destroy();
      resolve({ bytes: Buffer.concat(chunks), ending });
    };
    const patience = setTimeout(() => leave('open'), patienceMs);
    socket.setTimeout(quietMs, () => leave('open'));
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      length += chunk.length;
      if (enoughBytes !== undefined && length >= enoughBytes) leave('open');
    });
    socket.on('end', () => leave('fin'));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNRESET') leave('reset');
      else {
        clearTimeout(patience);
        reject(error);
      }
    });
  });
}

function parse(bytes: Buffer, ending: Ending): Received {
  const text = bytes.toString('latin1');
  const [head = '', ...rest] = text.split('\r\n\r\n');
  const [statusLine = '', ...lines] = head.split('\r\n');
  const headers: Record<string, string[]> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    headers[name] = [...(headers[name] ?? []), line.slice(colon + 1).trim()];
  }
  const body = rest.length === 0 ? Buffer.alloc(0) : bytes.subarray(head.length + 4);
  return { text, status: Number(statusLine.split(' ')[1]), headers, body, ending };
}

/** The data of whole chunks; `isWhole` when the last chunk has come. */
export function decodeChunks(body: Buffer): { data: Buffer; isWhole: boolean; afterLastChunk: string } {
  const chunks: Buffer[] = [];
  let position = 0;
  for (;;) {
    const lineEnd = body.indexOf('\r\n', position);
    const length = lineEnd === -1 ? Number.NaN : Number.parseInt(body.toString('latin1', position, lineEnd), 16);
    const end = lineEnd + 2 + length;
    if (length === 0)
      return { data: Buffer.concat(chunks), isWhole: true, afterLastChunk: body.toString('latin1', end) };
    if (!(end <= body.length)) return { data: Buffer.concat(chunks), isWhole: false, afterLastChunk: '' };
    chunks.push(body.subarray(lineEnd + 2, end));
    position = end + 2;
  }
}
