import { once } from 'node:events';
import { createServer } from 'node:net';
import { CliError } from './cli-error.js';
import type { CommandContext } from './command-context.js';

/**
 * Looks whether the API could listen, before anything slow is started.
 *
 * @throws CliError PORT_TAKEN
 */
export async function assertApiPortFree(): Promise<void> {
  const host = process.env.API_HOST || '127.0.0.1';
  const port = Number(process.env.API_PORT || 3001);
  // A wrong value is the schema's to name, together with the others.
  if (!Number.isInteger(port) || port < 1 || port > 65_535) return;
  const probe = createServer().listen({ host, port });
  try {
    await once(probe, 'listening');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') return;
    throw portTaken(port, host, error);
  }
  probe.close();
  await once(probe, 'close');
}

/**
 * Starts the API in this process on the variables in process.env and resolves to its address.
 *
 * @throws CliError PORT_TAKEN; EnvironmentError with every wrong variable
 */
export async function startApi({ opened, isVerbose }: CommandContext): Promise<string> {
  // The log stands between the lines for people: only what went wrong is worth that place.
  process.env.LOG_LEVEL = isVerbose ? 'debug' : process.env.LOG_LEVEL || 'warn';
  process.env.LOG_FORMAT ||= 'pretty';
  // Loaded now: the app's module looks at S3_ENDPOINT when it is imported.
  const { createApp, listen, PortTakenError } = await import('../create-app.js');
  const app = await createApp();
  opened.defer(() => app.close());
  try {
    return await listen(app);
  } catch (error) {
    if (!(error instanceof PortTakenError)) throw error;
    throw portTaken(process.env.API_PORT, process.env.API_HOST, error);
  }
}

function portTaken(port: unknown, host: unknown, cause: unknown): CliError {
  const message = `port ${port} on ${host} is taken: stop what uses it, or choose another, as in API_PORT=3002 npx -y pnpm@12 start`;
  return new CliError('PORT_TAKEN', message, { cause });
}
