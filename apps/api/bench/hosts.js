// Many web servers in one process, each on a loopback address of its own: hosts.js '{ "good": 5, "slow": 50 }'. Sends
// their origins. ?bytes=N is the length of a file, of which good and slow hosts give so much a second.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { pieceAt } from './source-bytes.js';

const BYTES_PER_SECOND = { good: 2e6, slow: 16 * 1024 };
const TICK_MS = 50;
const LAST_MODIFIED = 'Thu, 01 Jan 2026 00:00:00 GMT';

const counts = JSON.parse(process.argv[2]);
process.once('disconnect', () => process.exit()); // The run that started this process is gone.
const good = await open(counts.good, 1, BYTES_PER_SECOND.good);
const slow = await open(counts.slow, 2, BYTES_PER_SECOND.slow);
process.send({ good, slow });

async function open(count, network, rate) {
  const addresses = Array.from({ length: count }, (_, index) => `127.0.${network}.${index + 1}`);
  return await Promise.all(
    addresses.map(async (address) => {
      const server = createServer((request, response) => send(response, answer(request, response), rate)).listen(
        0,
        address,
      );
      await once(server, 'listening');
      return `http://${address}:${server.address().port}`;
    }),
  );
}

/** Ranges from a byte to the end alone: what a transfer that goes on asks for. */
function answer(request, response) {
  const total = Number(new URL(request.url, 'http://host').searchParams.get('bytes'));
  const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  response.writeHead(start > 0 ? 206 : 200, {
    'content-type': 'video/mp4',
    'content-length': total - start,
    etag: `"bytes-${total}"`,
    'last-modified': LAST_MODIFIED,
    ...(start > 0 ? { 'content-range': `bytes ${start}-${total - 1}/${total}` } : {}),
  });
  return { start, end: total };
}

/** What is late is made up for, so that a busy machine does not make a host slower than it is. */
function send(response, { start, end }, rate) {
  const begin = performance.now();
  let offset = start;
  const timer = setInterval(() => {
    const due = Math.min(end, start + Math.floor(((performance.now() - begin) * rate) / 1_000));
    while (offset < due) {
      const piece = pieceAt(offset, due);
      offset += piece.length;
      response.write(piece);
    }
    if (offset === end) response.end();
  }, TICK_MS);
  response.on('close', () => clearInterval(timer));
}
