import { compareUtf8, firstWhere, lowerBound } from './utf8-order.js';

export interface KeyListingRequest {
  readonly prefix: string;
  readonly delimiter: string;
  /** Only what comes after this key (or rolled-up prefix) is listed; '' for all. */
  readonly after: string;
  readonly limit: number;
}

export interface KeyListing {
  readonly keys: string[];
  readonly commonPrefixes: string[];
  readonly isTruncated: boolean;
  /** The last key or prefix of this page: the next page's `after`. */
  readonly last: string | undefined;
}

/** One page of sorted keys; keys with `delimiter` behind the prefix are rolled up into one common prefix each. */
export function listKeys(sortedKeys: readonly string[], request: KeyListingRequest): KeyListing {
  const { prefix, delimiter, after, limit } = request;
  const keys: string[] = [];
  const commonPrefixes: string[] = [];
  let last: string | undefined;
  let position = lowerBound(sortedKeys, prefix);
  if (after !== '' && compareUtf8(after, prefix) >= 0) {
    position = firstWhere(sortedKeys, position, (key) => compareUtf8(key, after) > 0);
  }
  while (position < sortedKeys.length) {
    const key = sortedKeys[position] as string;
    if (!key.startsWith(prefix)) break;
    const cut = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
    const rolledUp = cut === -1 ? undefined : key.slice(0, cut + delimiter.length);
    // A page that ended with this prefix has told of all keys below it.
    const isListed = rolledUp !== undefined && rolledUp === after;
    if (!isListed) {
      if (keys.length + commonPrefixes.length >= limit) {
        return { keys, commonPrefixes, isTruncated: limit > 0, last };
      }
      if (rolledUp === undefined) keys.push(key);
      else commonPrefixes.push(rolledUp);
      last = rolledUp ?? key;
    }
    position =
      rolledUp === undefined
        ? position + 1
        : firstWhere(sortedKeys, position, (candidate) => !candidate.startsWith(rolledUp));
  }
  return { keys, commonPrefixes, isTruncated: false, last };
}
