/**
 * Compares two texts by their UTF-8 bytes, the order of all S3 lists. JavaScript's own order differs from it only where a
 * surrogate pair meets a character of U+E000 to U+FFFF.
 */
export function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index += 1) {
    const left = a.charCodeAt(index);
    const right = b.charCodeAt(index);
    if (left !== right) return rank(left) - rank(right);
  }
  return a.length - b.length;
}

function rank(codeUnit: number): number {
  if (codeUnit < 0xd800) return codeUnit;
  return codeUnit >= 0xe000 ? codeUnit - 0x800 : codeUnit + 0x2000;
}

/** The position of the first key that is not before `key`. */
export function lowerBound(keys: readonly string[], key: string): number {
  return firstWhere(keys, 0, (candidate) => compareUtf8(candidate, key) >= 0);
}

/** The first position from `from` on where `holds`; it must hold for all that follow. */
export function firstWhere(keys: readonly string[], from: number, holds: (key: string) => boolean): number {
  let low = from;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(keys[middle] as string)) high = middle;
    else low = middle + 1;
  }
  return low;
}
