import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { HttpProblem } from '../http/http-problem.js';
import type { GuardedRequest } from './bearer-token.guard.js';
import { IS_PUBLIC } from './public.decorator.js';

/**
 * Keeps a caller within the workspaces of the token. Another's workspace is 404, never 403, and so is one that does not
 * exist: which ids exist is nobody else's business. A route without `:workspaceId` is closed unless it is @Public().
 */
@Injectable()
export class WorkspaceGuard implements CanActivate {
  constructor(private readonly reflector: Reflector) {}

  canActivate(context: ExecutionContext): boolean {
    if (this.reflector.getAllAndOverride<boolean>(IS_PUBLIC, [context.getHandler(), context.getClass()])) return true;
    const { params, principal } = context.switchToHttp().getRequest<GuardedRequest>();
    if (principal?.workspaces.has(params.workspaceId?.toLowerCase() ?? '')) return true;
    throw new HttpProblem({ status: 404, code: 'WORKSPACE_NOT_FOUND', detail: 'there is no such workspace' });
  }
}
