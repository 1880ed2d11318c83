// @peculiar/x509 needs Reflect's metadata to be there before it is loaded.
import 'reflect-metadata';
import { randomUUID, type webcrypto as WebCrypto, webcrypto } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';
import * as x509 from '@peculiar/x509';

const KEY = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MS = 24 * 60 * 60 * 1000;

/** Which certificate a TLS port shows. */
export type CertificateKind = 'valid' | 'expired' | 'wrong-name' | 'unknown-issuer';

export interface Certificates {
  /** PEM of the authority that a client has to trust. */
  readonly authority: string;
  readonly contexts: Readonly<Record<CertificateKind, SecureContext>>;
}

interface Authority {
  readonly certificate: x509.X509Certificate;
  readonly keys: WebCrypto.CryptoKeyPair;
}

interface Leaf {
  readonly issuer: Authority;
  readonly names: x509.JsonGeneralNames;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** An authority and its certificates, made anew at each start: no private key lies in the repository. About 30 ms. */
export async function makeCertificates(): Promise<Certificates> {
  const now = Date.now();
  // Names of its own, so that a client can trust several servers at once: OpenSSL finds issuers by their names.
  const trusted = await makeAuthority(`Hostile source ${randomUUID()}`);
  const stranger = await makeAuthority(`Nobody ${randomUUID()}`);
  const good = { issuer: trusted, names: OWN_NAMES, notBeforeMs: now - DAY_MS, notAfterMs: now + 365 * DAY_MS };
  return {
    authority: trusted.certificate.toString('pem'),
    contexts: {
      valid: await makeContext(good),
      expired: await makeContext({ ...good, notBeforeMs: now - 3 * DAY_MS, notAfterMs: now - DAY_MS }),
      'wrong-name': await makeContext({ ...good, names: [{ type: 'dns', value: 'elsewhere.test' }] }),
      'unknown-issuer': await makeContext({ ...good, issuer: stranger }),
    },
  };
}

const OWN_NAMES: x509.JsonGeneralNames = [
  { type: 'dns', value: 'localhost' },
  { type: 'ip', value: '127.0.0.1' },
];

async function makeAuthority(name: string): Promise<Authority> {
  const keys = await makeKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    notBefore: new Date(Date.now() - 30 * DAY_MS),
    notAfter: new Date(Date.now() + 3650 * DAY_MS),
    signingAlgorithm: KEY,
    keys,
    extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
  });
  return { certificate, keys };
}

async function makeContext(leaf: Leaf): Promise<SecureContext> {
  const keys = await makeKeys();
  const certificate = await x509.X509CertificateGenerator.create({
    subject: 'CN=hostile-source',
    issuer: leaf.issuer.certificate.subject,
    notBefore: new Date(leaf.notBeforeMs),
    notAfter: new Date(leaf.notAfterMs),
    signingAlgorithm: KEY,
    signingKey: leaf.issuer.keys.privateKey,
    publicKey: keys.publicKey,
    extensions: [new x509.SubjectAlternativeNameExtension(leaf.names)],
  });
  const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
  return createSecureContext({ cert: certificate.toString('pem'), key: pem('PRIVATE KEY', key) });
}

function makeKeys(): Promise<WebCrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(KEY, true, ['sign', 'verify']);
}

function pem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}
