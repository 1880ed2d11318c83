import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { IS_PUBLIC } from './public.decorator.js';
import { type Principal, TokenVerifier, unauthenticated } from './token-verifier.js';

/** What the guards read and write on a request. */
export interface GuardedRequest {
  readonly headers: { readonly authorization?: string };
  readonly params: { readonly workspaceId?: string };
  principal?: Principal;
}

/** 401 without a valid bearer token, on every route that is not @Public(). */
@Injectable()
export class BearerTokenGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    private readonly verifier: TokenVerifier,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    if (this.reflector.getAllAndOverride<boolean>(IS_PUBLIC, [context.getHandler(), context.getClass()])) return true;
    const request = context.switchToHttp().getRequest<GuardedRequest>();
    const [, token] = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '') ?? [];
    if (token === undefined) throw unauthenticated();
    request.principal = await this.verifier.verify(token);
    return true;
  }
}
