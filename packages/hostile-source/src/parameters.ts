/** Every number that can be set in a URL, with its unit in the name and what it does. */
export const PARAMETERS = {
  sizeBytes: 'length of the file',
  seed: 'decides the bytes of the file',
  cutAfterBytes: 'bytes of the body before the fault',
  everyBytes: 'bytes of each answer before the fault',
  surplusBytes: 'bytes more than announced',
  missingBytes: 'bytes less than announced or asked for',
  shiftBytes: 'distance between the range asked for and the one sent',
  delayMs: 'pause between two bytes, or before the answer goes on',
  bytesPerSecond: 'rate of a connection',
  times: 'how often the fault happens before the file is sent properly',
  hops: 'redirects before the file',
  retryAfterSeconds: 'value of Retry-After',
  maxConnections: 'connections at once that are served',
  count: 'number of interim answers or headers',
  lengthBytes: 'length of the header or line',
  totalBytes: 'length that is announced',
  target: 'index into PRIVATE_LOCATIONS',
} as const;

export type ParameterName = keyof typeof PARAMETERS;
export type ParameterValues = Partial<Readonly<Record<ParameterName, number>>>;

/** Overrides of a query that the behaviour knows; everything else in the query belongs to someone else (a token, a signature). */
export function overridesOf(query: URLSearchParams, known: ParameterValues): ParameterValues {
  const names = Object.keys(known) as ParameterName[];
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = query.get(name);
      return value !== null && /^\d{1,16}$/.test(value) ? [[name, Number(value)]] : [];
    }),
  );
}
