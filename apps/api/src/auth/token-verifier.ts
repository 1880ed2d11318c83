import { Inject, Injectable } from '@nestjs/common';
import { createRemoteJWKSet, errors, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { z } from 'zod';
import { ENVIRONMENT, type Environment } from '../config/env.js';
import { HttpProblem } from '../http/http-problem.js';

/** Who calls, as the token says. */
export interface Principal {
  readonly subject: string;
  /** Ids in lower case. */
  readonly workspaces: ReadonlySet<string>;
}

const claimsSchema = z.object({ sub: z.string().min(1), workspaces: z.array(z.guid().toLowerCase()) });

/** Pinned, so that a token cannot choose how it is checked: the secret is never used with a key set's algorithms. */
const SECRET_ALGORITHM = 'HS256';
const KEY_SET_ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'];
const KEY_SET_TIMEOUT_MS = 5_000;

/** Checks bearer tokens against AUTH_JWT_SECRET, the key set at AUTH_JWKS_URL, or both. */
@Injectable()
export class TokenVerifier {
  private readonly algorithms: string[];
  private readonly getKey: JWTVerifyGetKey;

  constructor(@Inject(ENVIRONMENT) private readonly environment: Environment) {
    const { AUTH_JWT_SECRET, AUTH_JWKS_URL } = environment;
    const secret = AUTH_JWT_SECRET === undefined ? undefined : new TextEncoder().encode(AUTH_JWT_SECRET);
    const keySet =
      AUTH_JWKS_URL === undefined
        ? undefined
        : createRemoteJWKSet(new URL(AUTH_JWKS_URL), { timeoutDuration: KEY_SET_TIMEOUT_MS });
    this.algorithms = [...(secret ? [SECRET_ALGORITHM] : []), ...(keySet ? KEY_SET_ALGORITHMS : [])];
    this.getKey = async (header, token) => {
      const key = header.alg === SECRET_ALGORITHM ? secret : await keySet?.(header, token);
      if (key === undefined) throw new errors.JOSEAlgNotAllowed('no key is set for this algorithm');
      return key;
    };
  }

  /**
   * Signature, algorithm, `exp`, issuer and audience where set, `sub` and `workspaces`.
   *
   * @throws HttpProblem 401 UNAUTHENTICATED; 503 AUTH_UNAVAILABLE when the key set cannot be read
   */
  async verify(token: string): Promise<Principal> {
    try {
      const { payload } = await jwtVerify(token, this.getKey, {
        algorithms: this.algorithms,
        issuer: this.environment.AUTH_ISSUER,
        audience: this.environment.AUTH_AUDIENCE,
        requiredClaims: ['exp'],
      });
      const claims = claimsSchema.safeParse(payload);
      if (!claims.success) throw unauthenticated('the token must have the claims sub and workspaces (UUIDs)');
      return { subject: claims.data.sub, workspaces: new Set(claims.data.workspaces) };
    } catch (error) {
      throw error instanceof HttpProblem ? error : toProblem(error);
    }
  }
}

/** 401 with the challenge that RFC 6750 asks for; `description` is shown to the caller. */
export function unauthenticated(description?: string, cause?: unknown): HttpProblem {
  const challenge = description === undefined ? '' : `, error="invalid_token", error_description="${description}"`;
  return new HttpProblem({
    status: 401,
    code: 'UNAUTHENTICATED',
    detail: description ?? 'a bearer token is needed: Authorization: Bearer ...',
    headers: { 'www-authenticate': `Bearer realm="api"${challenge}` },
    cause,
  });
}

/** Errors of the token itself; what else can happen is the key set's. */
const TOKEN_ERRORS = [
  errors.JWTClaimValidationFailed,
  errors.JWTInvalid,
  errors.JWSInvalid,
  errors.JWSSignatureVerificationFailed,
  errors.JOSEAlgNotAllowed,
  errors.JOSENotSupported,
  errors.JWKSNoMatchingKey,
  errors.JWKSMultipleMatchingKeys,
];

function toProblem(error: unknown): HttpProblem {
  if (error instanceof errors.JWTExpired) return unauthenticated('the token has expired', error);
  if (TOKEN_ERRORS.some((kind) => error instanceof kind)) return unauthenticated('the token is not valid', error);
  return new HttpProblem({
    status: 503,
    code: 'AUTH_UNAVAILABLE',
    detail: 'tokens cannot be checked now; try again later',
    cause: error,
  });
}
