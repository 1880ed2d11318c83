import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { askRaw } from './raw-client.js';

const RECORD_HEAD_BYTES = 5;
/** An alert of TLS 1.3: level, description, content type and the tag of the cipher. */
const ENCRYPTED_ALERT_BYTES = 2 + 1 + 16;

/** Whether the server says close_notify at the end of its answer: the last record on the wire has the length of an alert. */
export async function endsWithCloseNotify(url: string, certificate: string): Promise<boolean> {
  const fromServer: Buffer[] = [];
  const relay = createServer((client) => {
    const upstream = connect(Number(new URL(url).port), '127.0.0.1');
    upstream.on('data', (bytes: Buffer) => fromServer.push(bytes));
    client.pipe(upstream).pipe(client);
    for (const socket of [client, upstream]) socket.on('error', () => socket.destroy());
  });
  relay.listen(0, '127.0.0.1');
  await once(relay, 'listening');
  const tapped = new URL(url);
  tapped.port = String((relay.address() as AddressInfo).port);
  await askRaw(tapped.href, { certificate });
  relay.close();
  await once(relay, 'close');
  return lastRecordLength(Buffer.concat(fromServer)) === ENCRYPTED_ALERT_BYTES;
}

function lastRecordLength(wire: Buffer): number {
  let length = 0;
  for (let position = 0; position < wire.length; position += RECORD_HEAD_BYTES + length) {
    length = wire.readUInt16BE(position + 3);
  }
  return length;
}
