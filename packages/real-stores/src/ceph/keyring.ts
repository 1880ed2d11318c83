import { randomBytes } from 'node:crypto';
import { formatIni, type Settings } from '../ini-file.js';

/** What an entity may do, by the kind of server that it asks. */
export type Capabilities = Record<string, string>;

const KEY_TYPE_AES = 1;
const KEY_LENGTH_BYTES = 16;

/** A cephx secret: type, time of making (s, ns), length and key, little endian, in Base64 (Ceph: src/auth/Crypto.h). */
export function createSecret(): string {
  const header = Buffer.alloc(12);
  header.writeUInt16LE(KEY_TYPE_AES, 0);
  header.writeUInt32LE(Math.floor(Date.now() / 1000), 2);
  header.writeUInt16LE(KEY_LENGTH_BYTES, 10);
  return Buffer.concat([header, randomBytes(KEY_LENGTH_BYTES)]).toString('base64');
}

/** The text of a keyring file with one section for each entity. */
export function formatKeyring(entities: Record<string, { secret: string; capabilities?: Capabilities }>): string {
  const sections = Object.entries(entities).map(([name, { secret, capabilities = {} }]) => {
    const caps = Object.entries(capabilities).map(([kind, rule]) => [`caps ${kind}`, `"${rule}"`]);
    return [name, { key: secret, ...Object.fromEntries(caps) }] satisfies [string, Settings];
  });
  return formatIni(Object.fromEntries(sections));
}
