import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { CommandContext } from './command-context.js';

/** The product's storage in this process, on the database and the store that process.env names. Close it. */
export async function openStorage({ isVerbose }: CommandContext): Promise<INestApplicationContext> {
  // A command runs what it is asked for, and leaves the queue to the workers.
  process.env.TRANSFER_WORKER ||= 'own';
  const { CliModule } = await import('./cli.module.js');
  return await NestFactory.createApplicationContext(CliModule, {
    // Errors come back to the command, which closes what it opened; Nest would end the process.
    abortOnError: false,
    logger: isVerbose ? ['fatal', 'error', 'warn'] : ['fatal'],
  });
}
