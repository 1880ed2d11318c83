import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { CommandContext } from './command-context.js';

/**
 * The product's storage in this process, on the database and the store that process.env names. Close it. It runs what the
 * command asks for, and leaves the queue to the workers.
 */
export async function openStorage({ isVerbose }: CommandContext): Promise<INestApplicationContext> {
  const { CliModule } = await import('./cli.module.js');
  const { TRANSFER_WORKER } = process.env;
  process.env.TRANSFER_WORKER = 'own';
  try {
    return await NestFactory.createApplicationContext(CliModule, {
      // Errors come back to the command, which closes what it opened; Nest would end the process.
      abortOnError: false,
      logger: isVerbose ? ['fatal', 'error', 'warn'] : ['fatal'],
    });
  } finally {
    // `start` runs an API in this process afterwards, which does take from the queue.
    process.env.TRANSFER_WORKER = TRANSFER_WORKER ?? '';
  }
}
