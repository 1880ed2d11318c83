import { NestFactory } from '@nestjs/core';
import { Logger } from 'nestjs-pino';
import type { CommandContext } from './command-context.js';
import { openFoundation } from './foundation.js';
import { interrupted } from './interruption.js';
import { print, strong } from './terminal.js';

/**
 * Runs the transfers of the queue until it is told to stop: then it lets go of them within 25 s, and other workers, or
 * the next start, go on with each from its last stored part.
 *
 * @throws EnvironmentError with every wrong variable
 */
export async function work(context: CommandContext): Promise<void> {
  const { interruption, opened, isVerbose } = context;
  const foundation = await openFoundation(context);
  process.env.TRANSFER_WORKER = 'all';
  process.env.LOG_LEVEL = isVerbose ? 'debug' : process.env.LOG_LEVEL || 'warn';
  // Loaded now: what it imports looks at process.env.
  const { WorkerModule } = await import('../worker.module.js');
  const worker = await NestFactory.createApplicationContext(WorkerModule, { bufferLogs: true, abortOnError: false });
  opened.defer(() => worker.close());
  worker.useLogger(worker.get(Logger));
  print(
    strong('Worker'),
    `on ${foundation.databaseAddress} and ${foundation.storeAddress}; Ctrl-C hands over and stops`,
  );
  await interrupted(interruption);
}
