import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type CryptoKey, exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import { readEnvironment } from '../config/env.js';
import { TokenVerifier } from './token-verifier.js';

const SECRET = 'a secret of the tests that is long enough';
const WORKSPACE = '5b0e2c3a-3f0b-4a51-9f2b-2f6f0c9d7a10';
const CLAIMS = { sub: 'user-1', workspaces: [WORKSPACE] };

function createVerifier(variables: Record<string, string>): TokenVerifier {
  return new TokenVerifier(readEnvironment({ DATABASE_URL: 'postgresql://localhost/api', ...variables }));
}

function sign(
  key: CryptoKey | Uint8Array,
  alg: string,
  claims: JWTPayload = CLAIMS,
  header: Record<string, string> = {},
): Promise<string> {
  return new SignJWT(claims)
    .setProtectedHeader({ alg, ...header })
    .setExpirationTime('1h')
    .sign(key);
}

const secretBytes = new TextEncoder().encode(SECRET);
const unauthenticated = { code: 'UNAUTHENTICATED', status: 401 };

describe('TokenVerifier with a secret', () => {
  it('tells who calls, with ids in lower case', async () => {
    const token = await sign(secretBytes, 'HS256', { sub: 'user-1', workspaces: [WORKSPACE.toUpperCase()] });
    expect(await createVerifier({ AUTH_JWT_SECRET: SECRET }).verify(token)).toEqual({
      subject: 'user-1',
      workspaces: new Set([WORKSPACE]),
    });
  });

  it('compares issuer and audience where they are set', async () => {
    const verifier = createVerifier({ AUTH_JWT_SECRET: SECRET, AUTH_ISSUER: 'https://id', AUTH_AUDIENCE: 'api' });
    const right = await sign(secretBytes, 'HS256', { ...CLAIMS, iss: 'https://id', aud: ['web', 'api'] });
    expect((await verifier.verify(right)).subject).toBe('user-1');
    for (const claims of [
      { ...CLAIMS, aud: 'api' },
      { ...CLAIMS, iss: 'https://id' },
      { ...CLAIMS, iss: 'https://other', aud: 'api' },
      { ...CLAIMS, iss: 'https://id', aud: 'web' },
    ]) {
      await expect(verifier.verify(await sign(secretBytes, 'HS256', claims))).rejects.toMatchObject(unauthenticated);
    }
  });

  it.each([
    { workspaces: [WORKSPACE] },
    { sub: '', workspaces: [WORKSPACE] },
    { sub: 'user-1' },
    { sub: 'user-1', workspaces: WORKSPACE },
    { sub: 'user-1', workspaces: ['*'] },
  ])('refuses the claims %j', async (claims) => {
    const verifier = createVerifier({ AUTH_JWT_SECRET: SECRET });
    await expect(verifier.verify(await sign(secretBytes, 'HS256', claims))).rejects.toMatchObject(unauthenticated);
  });

  it('says of an old token that it has expired, in words that hold in a header', async () => {
    const token = await new SignJWT(CLAIMS).setProtectedHeader({ alg: 'HS256' }).setExpirationTime(1).sign(secretBytes);
    await expect(createVerifier({ AUTH_JWT_SECRET: SECRET }).verify(token)).rejects.toMatchObject({
      ...unauthenticated,
      detail: 'the token has expired',
      headers: {
        'www-authenticate': 'Bearer realm="api", error="invalid_token", error_description="the token has expired"',
      },
    });
  });
});

describe('TokenVerifier with a key set', () => {
  let server: Server;
  let url: string;
  let privateKey: CryptoKey;
  let publicPem: string;
  let isDown = false;

  beforeAll(async () => {
    const pair = await generateKeyPair('RS256', { extractable: true });
    privateKey = pair.privateKey;
    const jwk = await exportJWK(pair.publicKey);
    publicPem = JSON.stringify(jwk);
    server = createServer((_request, response) => {
      if (isDown) response.writeHead(500).end();
      else response.end(JSON.stringify({ keys: [{ ...jwk, kid: 'key-1', alg: 'RS256', use: 'sig' }] }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  it('takes tokens of its keys, and no secret that it has not', async () => {
    const verifier = createVerifier({ AUTH_JWKS_URL: url });
    expect((await verifier.verify(await sign(privateKey, 'RS256', CLAIMS, { kid: 'key-1' }))).subject).toBe('user-1');
    await expect(verifier.verify(await sign(secretBytes, 'HS256'))).rejects.toMatchObject(unauthenticated);
    // The old trick: the public key, known to all, used as a secret.
    const forged = await sign(new TextEncoder().encode(publicPem), 'HS256', CLAIMS, { kid: 'key-1' });
    await expect(verifier.verify(forged)).rejects.toMatchObject(unauthenticated);
  });

  it('takes both kinds where both are set, each by its own key', async () => {
    const verifier = createVerifier({ AUTH_JWKS_URL: url, AUTH_JWT_SECRET: SECRET });
    expect((await verifier.verify(await sign(privateKey, 'RS256', CLAIMS, { kid: 'key-1' }))).subject).toBe('user-1');
    expect((await verifier.verify(await sign(secretBytes, 'HS256'))).subject).toBe('user-1');
  });

  it('refuses a token of an unknown key', async () => {
    const { privateKey: stranger } = await generateKeyPair('RS256');
    const verifier = createVerifier({ AUTH_JWKS_URL: url });
    for (const kid of ['key-1', 'key-2']) {
      const token = await sign(stranger, 'RS256', CLAIMS, { kid });
      await expect(verifier.verify(token)).rejects.toMatchObject(unauthenticated);
    }
  });

  it('says 503, not 401, when the key set cannot be read', async () => {
    const token = await sign(privateKey, 'RS256', CLAIMS, { kid: 'key-1' });
    isDown = true;
    const unavailable = { code: 'AUTH_UNAVAILABLE', status: 503 };
    await expect(createVerifier({ AUTH_JWKS_URL: url }).verify(token)).rejects.toMatchObject(unavailable);
    isDown = false;
    const unreachable = createVerifier({ AUTH_JWKS_URL: 'http://127.0.0.1:1/jwks.json' });
    await expect(unreachable.verify(token)).rejects.toMatchObject(unavailable);
  });
});
