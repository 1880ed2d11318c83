import { randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { SecretBox, SecretBoxError } from './secret-box.js';

const key = () => randomBytes(32).toString('base64');
const boxOf = (current: string, ...old: string[]) =>
  new SecretBox({ DATA_ENCRYPTION_KEY: current, DATA_ENCRYPTION_OLD_KEYS: old });

describe('SecretBox', () => {
  const first = key();
  const url = 'https://recorder.example/v?token=Zürich';

  it('opens what it sealed, and never seals the same bytes twice alike', () => {
    const box = boxOf(first);
    const sealed = box.seal(url, 'row 1');
    expect(box.open(sealed, 'row 1')).toBe(url);
    expect(Buffer.from(sealed).equals(Buffer.from(box.seal(url, 'row 1')))).toBe(false);
    expect(Buffer.from(sealed).includes('token')).toBe(false);
  });

  it('opens what an old key sealed, and seals under the new one', () => {
    const sealed = boxOf(first).seal(url, 'row 1');
    const box = boxOf(key(), first);
    expect(box.open(sealed, 'row 1')).toBe(url);
    expect(() => boxOf(first).open(box.seal(url, 'row 1'), 'row 1')).toThrow(/DATA_ENCRYPTION_OLD_KEYS/);
  });

  it('refuses what was moved to another place, changed, cut, or never sealed', () => {
    const box = boxOf(first);
    const sealed = box.seal(url, 'row 1');
    expect(() => box.open(sealed, 'row 2')).toThrow(SecretBoxError);
    for (let at = 0; at < sealed.length; at += 1) {
      const changed = Uint8Array.from(sealed, (byte, index) => (index === at ? byte ^ 1 : byte));
      expect(() => box.open(changed, 'row 1')).toThrow(SecretBoxError);
    }
    expect(() => box.open(sealed.subarray(0, 20), 'row 1')).toThrow(SecretBoxError);
    expect(() => box.open(Buffer.from('plain text that is long enough to be taken for one'), 'row 1')).toThrow(
      SecretBoxError,
    );
  });
});
