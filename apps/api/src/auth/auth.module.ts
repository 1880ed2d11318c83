import { Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { BearerTokenGuard } from './bearer-token.guard.js';
import { TokenVerifier } from './token-verifier.js';
import { WorkspaceGuard } from './workspace.guard.js';

/** Closes every route: first the token, then the workspace. */
@Module({
  providers: [
    TokenVerifier,
    { provide: APP_GUARD, useClass: BearerTokenGuard },
    { provide: APP_GUARD, useClass: WorkspaceGuard },
  ],
})
export class AuthModule {}
