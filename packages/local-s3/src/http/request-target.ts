import { S3Error } from '../errors.js';

export interface QueryParameter {
  readonly name: string;
  readonly value: string;
}

/** The request line as the client sent it, decoded once and never normalised: `.`, `..` and `//` are parts of a key. */
export interface RequestTarget {
  /** The decoded path, from its first slash; what the client signed. */
  readonly path: string;
  readonly bucket: string;
  readonly key: string;
  readonly query: readonly QueryParameter[];
}

/**
 * Splits a raw request target. A host `bucket.localhost` carries the bucket (virtual-host style), any other host none.
 * @throws S3Error InvalidURI for a broken percent sequence or bytes that are no UTF-8
 */
export function parseRequestTarget(rawTarget: string, host: string): RequestTarget {
  const target = rawTarget.replace(/^https?:\/\/[^/?]*/i, '') || '/';
  const mark = target.indexOf('?');
  const path = decodeBytes(mark === -1 ? target : target.slice(0, mark));
  const query = mark === -1 ? [] : parseQuery(target.slice(mark + 1));
  if (!path.startsWith('/')) throw new S3Error('InvalidURI', "Couldn't parse the specified URI.");

  const bucketOfHost = /^(.+)\.localhost(?::\d+)?$/i.exec(host)?.[1];
  if (bucketOfHost !== undefined) return { path, bucket: bucketOfHost, key: path.slice(1), query };
  const slash = path.indexOf('/', 1);
  if (slash === -1) return { path, bucket: path.slice(1), key: '', query };
  return { path, bucket: path.slice(1, slash), key: path.slice(slash + 1), query };
}

function parseQuery(rawQuery: string): QueryParameter[] {
  return rawQuery
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair) => {
      const equals = pair.indexOf('=');
      const name = equals === -1 ? pair : pair.slice(0, equals);
      const value = equals === -1 ? '' : pair.slice(equals + 1);
      return { name: decodeBytes(name.replaceAll('+', ' ')), value: decodeBytes(value.replaceAll('+', ' ')) };
    });
}

/** Node hands request line and headers over as latin1, so each character stands for one byte. */
function decodeBytes(raw: string): string {
  const bytes = Buffer.from(raw, 'latin1');
  let length = 0;
  for (let index = 0; index < bytes.length; index += 1) {
    let byte = bytes[index] as number;
    if (byte === 0x25) {
      const hex = raw.slice(index + 1, index + 3);
      if (!/^[0-9a-f]{2}$/i.test(hex)) throw new S3Error('InvalidURI', "Couldn't parse the specified URI.");
      byte = Number.parseInt(hex, 16);
      index += 2;
    }
    bytes[length] = byte;
    length += 1;
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes.subarray(0, length));
  } catch {
    // The decoder's TypeError says no more than this.
    throw new S3Error('InvalidURI', "Couldn't parse the specified URI.");
  }
}

/**
 * Decodes a percent-encoded text as it came over the wire.
 * @throws S3Error InvalidURI
 */
export function uriDecode(raw: string): string {
  return decodeBytes(raw);
}

/** Percent-encodes as SigV4 does: all but A-Z a-z 0-9 - . _ ~ (and the slash, in paths). */
export function uriEncode(text: string, options: { keepSlash: boolean }): string {
  const encoded = encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return options.keepSlash ? encoded.replaceAll('%2F', '/') : encoded;
}
