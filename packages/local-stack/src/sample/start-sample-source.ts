import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFile, stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { findFreePort } from '../free-port.js';
import { parseRange } from './byte-range.js';
import { FREE_BOX_BYTES, readFreeBox } from './free-box.js';

const SAMPLE_FILE = fileURLToPath(new URL('../../sample/sample-recording.mp4', import.meta.url));
const SAMPLE_PATH = '/sample-recording.mp4';

/** A web server with the sample recording. */
export interface SampleSource {
  readonly url: string;
  /** Of the whole body: the video and the `free` box behind it. */
  readonly sizeBytes: number;
  /** Of the whole body, in hex. */
  readonly sha256: string;
  /** Ends the server and the connections that are open. Idempotent. */
  close(): Promise<void>;
}

/**
 * Serves the sample recording on 127.0.0.1, with a `free` box of 24 MiB appended so that it is worth a multipart upload.
 *
 * Knows HEAD, single ranges (206, 416) and If-Range; the ETag is strong. Memory: the video (0.3 MB) and a chunk for
 * each reader. `port` is a wish: when it is taken, any free one is used.
 */
export async function startSampleSource(options: { port?: number } = {}): Promise<SampleSource> {
  const sample = await loadSample();
  const server = createServer((request, response) => {
    answer(sample, request, response).catch(() => response.destroy()); // the reader has gone away
  });
  const port = await findFreePort([options.port]);
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${port}${SAMPLE_PATH}`,
    sizeBytes: sample.sizeBytes,
    sha256: sample.sha256,
    async close() {
      if (!server.listening) return;
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

interface Sample {
  readonly video: Buffer;
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly etag: string;
  readonly lastModified: string;
}

async function loadSample(): Promise<Sample> {
  const [video, { mtime }] = await Promise.all([readFile(SAMPLE_FILE), stat(SAMPLE_FILE)]);
  const sizeBytes = video.length + FREE_BOX_BYTES;
  const hash = createHash('sha256');
  for (const chunk of readSample(video, 0, sizeBytes)) hash.update(chunk);
  const sha256 = hash.digest('hex');
  return { video, sizeBytes, sha256, etag: `"${sha256}"`, lastModified: mtime.toUTCString() };
}

function* readSample(video: Buffer, start: number, end: number): Generator<Buffer> {
  if (start < video.length) yield video.subarray(start, Math.min(end, video.length));
  if (end > video.length) yield* readFreeBox(Math.max(start, video.length) - video.length, end - video.length);
}

async function answer(sample: Sample, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method, headers } = request;
  if (request.url?.split('?', 1)[0] !== SAMPLE_PATH) return refuse(response, 404);
  if (method !== 'GET' && method !== 'HEAD') return refuse(response, 405, { allow: 'GET, HEAD' });

  // If-Range asks for the range of exactly this body; a range means something for GET alone (RFC 9110, 13.1.5 and 14.2).
  const { 'if-range': ifRange } = headers;
  const isSameBody = ifRange === undefined || ifRange === sample.etag || ifRange === sample.lastModified;
  const range = method === 'GET' && isSameBody ? parseRange(headers.range, sample.sizeBytes) : undefined;
  if (range === 'unsatisfiable') return refuse(response, 416, { 'content-range': `bytes */${sample.sizeBytes}` });

  const { start, end } = range ?? { start: 0, end: sample.sizeBytes };
  response.writeHead(range ? 206 : 200, {
    'content-type': 'video/mp4',
    'content-length': end - start,
    'accept-ranges': 'bytes',
    etag: sample.etag,
    'last-modified': sample.lastModified,
    ...(range && { 'content-range': `bytes ${start}-${end - 1}/${sample.sizeBytes}` }),
  });
  if (method === 'HEAD') response.end();
  else await pipeline(Readable.from(readSample(sample.video, start, end), { objectMode: false }), response);
}

function refuse(response: ServerResponse, status: number, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-length': 0, ...headers }).end();
}
