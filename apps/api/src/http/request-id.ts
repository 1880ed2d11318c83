import { randomUUID } from 'node:crypto';

/** What a caller may name a request: short, and harmless in a header, a log line and a shell. */
const SANE_REQUEST_ID = /^[\w.:-]{1,100}$/;

/** The caller's X-Request-Id where it is sane, so that one id follows a request through several systems; else a UUID. */
export function chooseRequestId(header: string | string[] | undefined): string {
  return typeof header === 'string' && SANE_REQUEST_ID.test(header) ? header : randomUUID();
}
