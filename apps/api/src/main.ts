import 'reflect-metadata';
import { inspect } from 'node:util';
import { Logger } from '@nestjs/common';
import { EnvironmentError } from './config/env.js';
import { createApp, listen, PortTakenError } from './create-app.js';
import { redactSecrets } from './http/redact-secrets.js';

const logger = new Logger('main');

// State is unknown after it: leases and the database's rows are what a new process goes on from.
process.on('uncaughtException', (error) => {
  logger.fatal({ err: error, msg: 'uncaught exception' });
  process.exit(1);
});

try {
  const app = await createApp();
  // An exit of its own: a signal to oneself ends nothing where the process is the first of a container.
  app.enableShutdownHooks(['SIGTERM', 'SIGINT'], { useProcessExit: true });
  logger.log(`listening on ${await listen(app)}`);
} catch (error) {
  const isForPerson = error instanceof EnvironmentError || error instanceof PortTakenError;
  console.error(redactSecrets(isForPerson ? error.message : inspect(error)));
  process.exit(1);
}
