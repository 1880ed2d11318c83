// A web server of videos of ?bytes=N, over http and https, in a process of its own. Honours ranges, with a strong ETag.
//   &rate=B  sends at most B bytes a second on each connection
//   &drop=B  closes each connection after B bytes of bodies
// The message `stats` is answered with what was sent since the last one.
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { listenOnLoopback, readCertificate } from './listening.js';
import { pieceAt } from './source-bytes.js';

const PACED_PIECE_BYTES = 64 * 1024;
const LAST_MODIFIED = 'Thu, 01 Jan 2026 00:00:00 GMT';

/** Of each open connection: body bytes sent, and when the next may be sent, in ms. */
const connections = new Map();
let stats = newStats();

const http = watch(createServer(answer));
const https = watch(createSecureServer(readCertificate(), answer), 'secureConnection');
process.once('disconnect', () => process.exit()); // The run that started this process is gone.
process.on('message', () => {
  process.send(stats);
  stats = newStats();
});
process.send({
  url: `${await listenOnLoopback(http, 'http')}/`,
  secureUrl: `${await listenOnLoopback(https, 'https')}/`,
});

function watch(server, connectionEvent = 'connection') {
  return server.on(connectionEvent, (socket) => {
    connections.set(socket, { sent: 0, dueAt: 0 });
    stats.peakConnections = Math.max(stats.peakConnections, connections.size);
    socket.on('close', () => connections.delete(socket));
  });
}

function newStats() {
  return { requests: 0, bodyBytes: 0, firstRequestAt: null, peakConnections: connections.size };
}

function answer(request, response) {
  stats.requests += 1;
  stats.firstRequestAt ??= Date.now();
  const query = new URL(request.url, 'http://source').searchParams;
  const total = Number(query.get('bytes'));
  const etag = `"bytes-${total}"`;
  const headers = { 'content-type': 'video/mp4', 'accept-ranges': 'bytes', etag, 'last-modified': LAST_MODIFIED };
  const range = readRange(request.headers, total, etag);
  if (range === 'unsatisfiable') {
    response.writeHead(416, { ...headers, 'content-range': `bytes */${total}` }).end();
    return;
  }
  const { start, end } = range ?? { start: 0, end: total };
  if (range !== undefined) headers['content-range'] = `bytes ${start}-${end - 1}/${total}`;
  response.writeHead(range === undefined ? 200 : 206, { ...headers, 'content-length': end - start });
  if (request.method === 'HEAD') response.end();
  else void sendBody(response, { start, end, rate: Number(query.get('rate')), drop: Number(query.get('drop')) });
}

/** One range, `end` exclusive; undefined where the whole is to be sent. */
function readRange({ range = '', 'if-range': ifRange = '' }, total, etag) {
  const [, from, to] = /^bytes=(\d*)-(\d*)$/.exec(range) ?? [];
  if (from === undefined || from + to === '' || !['', etag, LAST_MODIFIED].includes(ifRange)) return undefined;
  const start = from === '' ? Math.max(0, total - Number(to)) : Number(from);
  const end = from === '' || to === '' ? total : Math.min(total, Number(to) + 1);
  return start < end ? { start, end } : 'unsatisfiable';
}

async function sendBody(response, { start, end, rate, drop }) {
  const { socket } = response;
  const connection = connections.get(socket);
  const isUsedUp = () => drop > 0 && connection.sent >= drop;
  const body = async function* () {
    for (let offset = start; offset < end && !isUsedUp(); ) {
      let piece = pieceAt(offset, end);
      if (rate > 0) piece = await inTime(piece.subarray(0, PACED_PIECE_BYTES), connection, rate);
      if (drop > 0) piece = piece.subarray(0, drop - connection.sent);
      offset += piece.length;
      connection.sent += piece.length;
      stats.bodyBytes += piece.length;
      yield piece;
    }
  };
  // A reader may leave at any time.
  await pipeline(body, response).catch(() => {});
  if (isUsedUp()) socket.destroy();
}

async function inTime(piece, connection, rate) {
  const now = performance.now();
  const wait = connection.dueAt - now;
  connection.dueAt = Math.max(now, connection.dueAt) + (piece.length / rate) * 1_000;
  if (wait > 0) await sleep(wait);
  return piece;
}
