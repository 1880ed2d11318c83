// Serves bodies of ?mib=N MiB that cost next to nothing to make.
import { createServer } from 'node:http';
import { pipeline } from 'node:stream/promises';

const MiB = 1024 * 1024;
const block = Buffer.alloc(MiB, 'not all the same ');

const server = createServer((request, response) => {
  const mib = Number(new URL(request.url, 'http://source').searchParams.get('mib'));
  response.writeHead(200, { 'content-length': mib * MiB });
  pipeline(function* () {
    for (let sent = 0; sent < mib; sent += 1) yield block;
  }, response).catch(() => response.destroy());
});
server.listen(0, '127.0.0.1', () => process.send({ url: `http://127.0.0.1:${server.address().port}/video.mp4` }));
