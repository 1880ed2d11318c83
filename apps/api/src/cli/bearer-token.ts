import { SignJWT } from 'jose';
import { CliError } from './cli-error.js';

export interface TokenClaims {
  /** AUTH_JWT_SECRET of the API that is to accept it. */
  secret: string;
  /** Ids of the workspaces that it opens. */
  workspaces: readonly string[];
  subject: string;
  /** Such as `30m` or `12h`. */
  expiresIn: string;
}

/**
 * A bearer token for development. `iss` and `aud` are those that the API expects (AUTH_ISSUER, AUTH_AUDIENCE).
 *
 * @throws CliError USAGE for a time that is none
 */
export async function mintToken({ secret, workspaces, subject, expiresIn }: TokenClaims): Promise<string> {
  const { AUTH_ISSUER: issuer, AUTH_AUDIENCE: audience } = process.env;
  const token = new SignJWT({ workspaces }).setProtectedHeader({ alg: 'HS256' }).setSubject(subject).setIssuedAt();
  try {
    token.setExpirationTime(expiresIn);
  } catch (error) {
    throw new CliError('USAGE', `--expires-in takes a time such as 30m or 12h, not "${expiresIn}"`, { cause: error });
  }
  if (issuer) token.setIssuer(issuer);
  if (audience) token.setAudience(audience);
  return await token.sign(new TextEncoder().encode(secret));
}
