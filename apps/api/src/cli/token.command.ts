import { mintToken } from './bearer-token.js';
import { CliError } from './cli-error.js';
import type { CommandContext } from './command-context.js';

/** Prints a token and nothing else, so that it can stand in `$(...)`. */
export async function printToken(
  { settings }: CommandContext,
  options: { workspace?: string[]; subject: string; expiresIn: string },
): Promise<void> {
  const { AUTH_JWT_SECRET: ownSecret, AUTH_JWKS_URL: keySetUrl } = process.env;
  if (!ownSecret && keySetUrl) {
    throw new CliError(
      'TOKENS_ELSEWHERE',
      'AUTH_JWKS_URL is set: tokens come from your identity provider, not from here',
    );
  }
  const token = await mintToken({
    secret: ownSecret || (await settings.dataFolder.jwtSecret()),
    workspaces: options.workspace ?? [await settings.dataFolder.workspaceId()],
    subject: options.subject,
    expiresIn: options.expiresIn,
  });
  console.log(token);
}
