import { randomBytes } from 'node:crypto';
import { keep, readKept } from '../kept-file.js';

export interface AccessKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** AWS's own keys have 20 and 40 characters; some tools check that. */
const KEY_ID_RANDOM_BYTES = 8;
const SECRET_BYTES = 30;

/**
 * The keys kept in `file`, or new random ones, which are then kept there, readable by the owner alone.
 * @throws Error when the file holds something else.
 */
export async function readOrMakeAccessKeys(file: string): Promise<AccessKeys> {
  const kept = await readKept(file);
  if (kept !== undefined) return parse(kept, file);
  const keys: AccessKeys = {
    accessKeyId: `DEV0${randomBytes(KEY_ID_RANDOM_BYTES).toString('hex').toUpperCase()}`,
    secretAccessKey: randomBytes(SECRET_BYTES).toString('base64url'),
  };
  await keep(file, JSON.stringify(keys, null, 2));
  return keys;
}

function parse(text: string, file: string): AccessKeys {
  try {
    const { accessKeyId, secretAccessKey }: Partial<AccessKeys> = JSON.parse(text);
    if (accessKeyId && secretAccessKey) return { accessKeyId, secretAccessKey };
  } catch {
    // Not JSON. The parser's message would show a piece of the secret.
  }
  throw new Error(`${file} holds no access keys: remove it, and new ones are made`);
}
