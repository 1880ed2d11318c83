import { once } from 'node:events';
import { createServer, request as forward, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What stands between the product and its store in a test, and does to requests what real networks and stores do. */
export interface StoreWay {
  readonly endpoint: string;
  /** Every request that came, as `PUT part`, `POST complete` and so on: see `kindOf`. */
  readonly seen: string[];
  /** Told of each request; true: it has answered, or cut the connection, itself. */
  disturb: (request: IncomingMessage, response: ServerResponse) => boolean;
  /** Told of each answer before it is passed on; true: it is cut off instead. */
  swallow: (request: IncomingMessage) => boolean;
  /** Waited for before an answer is passed on. */
  delay: (request: IncomingMessage) => Promise<void> | undefined;
  /** Changes a chunk of a body on its way to the store. */
  damage: (request: IncomingMessage, chunk: Buffer) => Buffer;
  reset(): void;
  close(): void;
}

/** `store` gives the endpoint when it is known: the way is begun first, because the product is told of it alone. */
export async function openStoreWay(store: () => string): Promise<StoreWay> {
  // The Host header stays that of the way: it is signed.
  const server = createServer((request, response) => {
    way.seen.push(kindOf(request));
    if (way.disturb(request, response)) return;
    const { method = 'GET', url = '/', headers } = request;
    const onward = forward(new URL(url, store()), { method, headers, path: url }, async (answer) => {
      await way.delay(request);
      if (way.swallow(request)) return void response.destroy();
      answer.pipe(response.writeHead(answer.statusCode ?? 502, answer.headers));
    });
    onward.on('error', () => response.destroy());
    request.on('data', (chunk: Buffer) => onward.write(way.damage(request, chunk)));
    request.on('end', () => onward.end());
    request.on('error', () => onward.destroy());
  });
  const calm = () => ({
    disturb: () => false,
    swallow: () => false,
    delay: () => undefined,
    damage: (_request: IncomingMessage, chunk: Buffer) => chunk,
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const way: StoreWay = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen: [],
    ...calm(),
    reset() {
      way.seen.length = 0;
      Object.assign(way, calm());
    },
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
  return way;
}

/** Which call of S3 it is, by method and query. */
export function kindOf({ method, url = '/' }: IncomingMessage): string {
  const query = new URL(url, 'http://store').searchParams;
  if (query.has('partNumber')) return 'part';
  if (query.has('uploads')) return method === 'POST' ? 'create' : 'list uploads';
  if (query.has('uploadId')) return { POST: 'complete', DELETE: 'abort' }[method ?? ''] ?? 'list parts';
  if (query.has('list-type')) return 'list';
  return { PUT: 'put', HEAD: 'head', GET: 'get', DELETE: 'delete' }[method ?? ''] ?? String(method);
}
