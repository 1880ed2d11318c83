import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { ENVIRONMENT, type Environment } from './env.js';

const CIPHER = 'aes-256-gcm';
/** Of the layout below. */
const FORMAT = 1;
const KEY_ID_BYTES = 4;
/** NIST SP 800-38D, 8.2.2: a random nonce of 96 bits. */
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEADER_BYTES = 1 + KEY_ID_BYTES + NONCE_BYTES + TAG_BYTES;

interface Key {
  readonly id: Buffer;
  readonly bytes: Buffer;
}

/** What was sealed cannot be opened: its key is not configured any more, or its bytes or its place are others. */
export class SecretBoxError extends Error {
  override readonly name = 'SecretBoxError';
}

/**
 * Encrypts what the database must keep and nobody may read there: source URLs, their headers, secrets of webhooks.
 *
 * AES-256-GCM under DATA_ENCRYPTION_KEY, which is set wherever storage is on; what DATA_ENCRYPTION_OLD_KEYS sealed can be opened as well. Layout: format (1
 * byte), key id (4), nonce (12), tag (16), ciphertext.
 */
@Injectable()
export class SecretBox {
  private readonly keys: readonly Key[];

  constructor(@Inject(ENVIRONMENT) environment: Pick<Environment, 'DATA_ENCRYPTION_KEY' | 'DATA_ENCRYPTION_OLD_KEYS'>) {
    const { DATA_ENCRYPTION_KEY: current, DATA_ENCRYPTION_OLD_KEYS: old } = environment;
    this.keys = current === undefined ? [] : [current, ...old].map(toKey);
  }

  /** `context` names the place it is kept at, such as a row's id: moved to another place it cannot be opened. */
  seal(plain: string, context: string): Uint8Array<ArrayBuffer> {
    const [key] = this.keys;
    if (key === undefined) throw new SecretBoxError('DATA_ENCRYPTION_KEY is not set');
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, key.bytes, nonce).setAAD(Buffer.from(context));
    const sealed = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final()]);
    return Uint8Array.from(Buffer.concat([Buffer.of(FORMAT), key.id, nonce, cipher.getAuthTag(), sealed]));
  }

  /** @throws SecretBoxError */
  open(sealed: Uint8Array, context: string): string {
    const bytes = Buffer.from(sealed);
    if (bytes.length < HEADER_BYTES || bytes[0] !== FORMAT) throw new SecretBoxError('this was not sealed here');
    const [keyId, nonce, tag] = split(bytes.subarray(1), KEY_ID_BYTES, NONCE_BYTES, TAG_BYTES);
    const key = this.keys.find(({ id }) => id.equals(keyId as Buffer));
    if (key === undefined) {
      throw new SecretBoxError('this was sealed under another key; add it to DATA_ENCRYPTION_OLD_KEYS');
    }
    const decipher = createDecipheriv(CIPHER, key.bytes, nonce as Buffer, { authTagLength: TAG_BYTES })
      .setAAD(Buffer.from(context))
      .setAuthTag(tag as Buffer);
    try {
      return Buffer.concat([decipher.update(bytes.subarray(HEADER_BYTES)), decipher.final()]).toString('utf8');
    } catch (error) {
      throw new SecretBoxError('what was sealed has been changed, or belongs to another place', { cause: error });
    }
  }
}

function toKey(base64: string): Key {
  const bytes = Buffer.from(base64, 'base64');
  return { bytes, id: createHash('sha256').update(bytes).digest().subarray(0, KEY_ID_BYTES) };
}

function split(bytes: Buffer, ...lengths: readonly number[]): Buffer[] {
  let start = 0;
  return lengths.map((length) => {
    const piece = bytes.subarray(start, start + length);
    start += length;
    return piece;
  });
}
