import type { CertificateKind } from './certificates.js';

/** What happens to a new connection before HTTP begins. */
export type TlsFault = 'reset-in-handshake' | 'stall-in-handshake' | 'plain-answer';

export interface Listener {
  readonly scheme: 'http' | 'https';
  readonly certificate?: CertificateKind;
  readonly tlsFault?: TlsFault;
}

/** One port each. `otherHttp` is a second origin, for redirects. */
export const LISTENERS = {
  http: { scheme: 'http' },
  otherHttp: { scheme: 'http' },
  https: { scheme: 'https', certificate: 'valid' },
  httpsExpired: { scheme: 'https', certificate: 'expired' },
  httpsWrongName: { scheme: 'https', certificate: 'wrong-name' },
  httpsUnknownIssuer: { scheme: 'https', certificate: 'unknown-issuer' },
  httpsReset: { scheme: 'https', tlsFault: 'reset-in-handshake' },
  httpsStall: { scheme: 'https', tlsFault: 'stall-in-handshake' },
  httpsPlain: { scheme: 'https', tlsFault: 'plain-answer' },
} as const satisfies Record<string, Listener>;

export type ListenerName = keyof typeof LISTENERS;
export type Origins = Readonly<Record<ListenerName, string>>;
