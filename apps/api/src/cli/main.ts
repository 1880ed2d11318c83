#!/usr/bin/env node
import 'reflect-metadata';
import { describeFailure } from './cli-error.js';
import { InterruptedError, listenForInterruption } from './interruption.js';
import { createProgram } from './program.js';

const interruption = listenForInterruption();
/** What a command opened, closed in reverse order when it ends in whatever way. */
const opened = new AsyncDisposableStack();
const program = createProgram({ interruption, opened });

let exitCode = 0;
function fail(error: unknown): void {
  exitCode = interruption.aborted && error === interruption.reason ? (error as InterruptedError).exitCode : 1;
  if (!(error instanceof InterruptedError)) console.error(describeFailure(error, program.opts()));
}

await program.parseAsync().catch(fail);
await opened.disposeAsync().catch(fail);
process.exit(exitCode);
