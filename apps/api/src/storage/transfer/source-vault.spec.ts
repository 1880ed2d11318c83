import { randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { SecretBox } from '../../config/secret-box.js';
import { SourceVault } from './source-vault.js';

const DATA_ENCRYPTION_KEY = randomBytes(32).toString('base64');
const vault = new SourceVault(new SecretBox({ DATA_ENCRYPTION_KEY, DATA_ENCRYPTION_OLD_KEYS: [] }));
const target = { url: new URL('https://recorder.example/v?token=canary'), headers: { authorization: 'Bearer canary' } };

describe('SourceVault', () => {
  it('gives the whole source back, and shows nothing of it meanwhile', () => {
    const sealed = vault.seal('file-1', target);
    expect(vault.open('file-1', sealed)).toEqual({ sourceUrl: target.url.href, sourceHeaders: target.headers });
    for (const word of ['canary', 'recorder', 'authorization']) expect(Buffer.from(sealed).includes(word)).toBe(false);
  });

  it('opens what is sealed for one file for no other', () => {
    const sealed = vault.seal('file-1', target);
    expect(() => vault.open('file-2', sealed)).toThrow(expect.objectContaining({ code: 'SOURCE_LOST' }));
  });
});
