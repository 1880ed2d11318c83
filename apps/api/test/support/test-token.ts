import { SignJWT } from 'jose';

/** AUTH_JWT_SECRET of every test app. */
export const TEST_JWT_SECRET = 'a secret of the tests that is long enough';
/** DATA_ENCRYPTION_KEY of every test app with storage. */
export const TEST_ENCRYPTION_KEY = Buffer.alloc(32, 'key of the tests').toString('base64');

export interface TestTokenOptions {
  /** Ids of the workspaces that the token opens. */
  workspaces: readonly string[];
  subject?: string;
  /** Seconds from now, negative for a token of the past. */
  expiresIn?: number;
  secret?: string;
}

/** A bearer token (HS256) as the API accepts it. */
export async function mintToken({
  workspaces,
  subject = 'user-1',
  expiresIn = 600,
  secret = TEST_JWT_SECRET,
}: TestTokenOptions): Promise<string> {
  return await new SignJWT({ workspaces })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(subject)
    .setIssuedAt()
    .setExpirationTime(Math.floor(Date.now() / 1_000) + expiresIn)
    .sign(new TextEncoder().encode(secret));
}
