// The least S3 server that clients take for one, over http and https, in a process of its own: it reads every byte,
// keeps sizes and metadata, and answers. Signatures are not verified. Arguments: folder of the certificate, [--hash].
// A message names a key, and is answered with { size, sha256, integrity } of the object last written there, deleted
// or not; the SHA-256, which costs time, only with --hash.
import { createServer } from 'node:net';
import { createServer as createSecureServer } from 'node:tls';
import { listenOnLoopback, readCertificate } from './listening.js';
import { RequestReader } from './request-reader.js';
import { SinkStore } from './sink-store.js';

const store = new SinkStore({ isHashing: process.argv.includes('--hash') });

process.once('disconnect', () => process.exit()); // The run that started this process is gone.
process.on('message', ({ key }) => process.send(store.lastWritten(key)));
process.send({
  endpoint: await listenOnLoopback(createServer(serve), 'http'),
  secureEndpoint: await listenOnLoopback(createSecureServer(readCertificate(), serve), 'https'),
});

function serve(socket) {
  const reader = new RequestReader(({ method, target, headers }) => {
    const url = new URL(target, 'http://sink');
    const operation = store.begin({ method, path: url.pathname, query: url.searchParams, headers });
    if (headers.expect?.toLowerCase() === '100-continue') socket.write('HTTP/1.1 100 Continue\r\n\r\n');
    return {
      data: (chunk) => operation.data(chunk),
      end: () => {
        socket.write(formatAnswer(operation.end(), method));
        if (headers.connection === 'close') socket.end();
      },
    };
  });
  socket.setNoDelay(true);
  socket.on('data', (chunk) => reader.read(chunk));
  socket.on('error', () => {}); // A client may leave at any time.
}

function formatAnswer({ status, headers = {}, body = '' }, method) {
  const lines = Object.entries({ 'content-length': Buffer.byteLength(body), ...headers }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  const head = Buffer.from(`HTTP/1.1 ${status} -\r\n${lines.join('')}\r\n`, 'latin1');
  return method === 'HEAD' ? head : Buffer.concat([head, Buffer.from(body)]);
}
