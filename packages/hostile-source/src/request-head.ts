/** What a client asked for; names of headers in lower case, repeated ones joined by a comma. */
export interface RequestHead {
  readonly method: string;
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Another request may follow on the connection. */
  readonly isKeepAlive: boolean;
}

export interface ByteRange {
  readonly start: number;
  /** Not included. */
  readonly end: number;
}

export function parseRequestHead(text: string): RequestHead | undefined {
  const [requestLine = '', ...lines] = text.split('\r\n');
  const [, method, target, version] = /^([A-Z]+) (\/\S*) HTTP\/(1\.[01])$/.exec(requestLine) ?? [];
  if (method === undefined || target === undefined) return undefined;
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).trim().toLowerCase();
    const value = line.slice(colon + 1).trim();
    headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`;
  }
  const connection = headers.connection?.toLowerCase();
  return {
    method,
    target,
    headers,
    isKeepAlive: version === '1.0' ? connection === 'keep-alive' : connection !== 'close',
  };
}

/**
 * The one range of a Range header, cut to the file. Undefined for no range, several or a malformed one, which HTTP lets a server
 * ignore; 'unsatisfiable' when it starts behind the end.
 */
export function parseRange(header: string | undefined, sizeBytes: number): ByteRange | 'unsatisfiable' | undefined {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined;
  if (first === '') {
    const start = Math.max(0, sizeBytes - Number(last));
    return Number(last) === 0 || sizeBytes === 0 ? 'unsatisfiable' : { start, end: sizeBytes };
  }
  const start = Number(first);
  if (start >= sizeBytes) return 'unsatisfiable';
  const end = last === '' ? sizeBytes : Math.min(sizeBytes, Number(last) + 1);
  return end > start ? { start, end } : undefined;
}
