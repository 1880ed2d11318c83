// What source and sink have in common: both listen on loopback, with the certificate whose folder is their argument.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export function readCertificate(folder = process.argv[2]) {
  const read = (name) => readFileSync(join(folder, name));
  // One cipher for every client: rivals that would choose another are compared at the same work.
  return {
    key: read('key.pem'),
    cert: read('certificate.pem'),
    ciphers: 'TLS_AES_128_GCM_SHA256',
    minVersion: 'TLSv1.3',
  };
}

export async function listenOnLoopback(server, scheme) {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return `${scheme}://127.0.0.1:${server.address().port}`;
}
